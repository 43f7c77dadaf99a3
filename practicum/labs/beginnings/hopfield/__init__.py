"""Hopfield networks and how many memories they hold."""
