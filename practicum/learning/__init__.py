"""How networks learn, one regime a file: losses and update rules with their equations."""
