"""Losses: what each assumes about the targets, and what it costs to assume wrongly."""
