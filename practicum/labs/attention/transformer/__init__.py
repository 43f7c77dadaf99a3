"""The Transformer with parts taken away: heads, positions, scaling, norms, warm-up."""
