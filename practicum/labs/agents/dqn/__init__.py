"""Deep Q-learning: what replay and the target network are for, and values that are too high."""
