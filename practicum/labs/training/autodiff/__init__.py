"""Automatic differentiation, and what a gradient costs."""
