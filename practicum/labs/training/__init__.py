"""Training: what makes the descent fast, stable and good."""
