"""Momentum, and the square root of the condition number."""
