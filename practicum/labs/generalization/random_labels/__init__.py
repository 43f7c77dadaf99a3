"""Random labels, and what fitting them says about capacity."""
