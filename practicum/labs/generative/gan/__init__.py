"""Adversarial games: which points and images their generators leave out."""
