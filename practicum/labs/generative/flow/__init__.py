"""The lab `flow`."""
