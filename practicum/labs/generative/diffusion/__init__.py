"""The lab `diffusion`."""
