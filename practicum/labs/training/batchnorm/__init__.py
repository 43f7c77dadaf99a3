"""The lab `batchnorm`."""
