"""Generalization: why what fits the training examples also fits others, or does not."""
