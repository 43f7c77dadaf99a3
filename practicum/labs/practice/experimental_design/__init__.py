"""The lab `experimental-design`."""
