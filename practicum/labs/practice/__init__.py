"""How experiments are designed, measured and judged."""
