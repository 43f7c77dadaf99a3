"""The lab `mlp`."""
