"""Beginnings: the first machines that learned, before back-propagation."""
