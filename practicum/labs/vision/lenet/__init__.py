"""The lab `lenet`."""
