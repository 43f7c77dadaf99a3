"""A baseline and the reward to go lower the variance of a policy gradient, not its mean."""
