"""Back-propagation of 1986: mirror symmetry, detected by two hidden units."""
