"""Data sets and generators; each returns tensors and a card (source, size, licence, citation)."""
