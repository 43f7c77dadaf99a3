"""Sequences: networks that read one step after another, and must remember."""
