"""How first weights decide whether a deep network learns."""
