"""Labs on agents that learn from rewards: values, policies, games."""
