"""Dropout lowers test error when images are few."""
