"""The lab `autoencoder`."""
