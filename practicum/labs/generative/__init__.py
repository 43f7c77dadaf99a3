"""Generative models: learning to make examples like those that were seen."""
