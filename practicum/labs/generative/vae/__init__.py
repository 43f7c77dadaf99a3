"""The lab `vae`."""
