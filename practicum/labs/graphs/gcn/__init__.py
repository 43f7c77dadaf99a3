"""The lab on graph convolutional networks."""
