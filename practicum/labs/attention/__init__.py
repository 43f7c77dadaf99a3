"""Attention: networks in which every position looks at the others and chooses what to read."""
