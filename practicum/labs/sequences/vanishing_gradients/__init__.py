"""Why gradients vanish or explode over time, and what clipping and a regularizer do about it."""
