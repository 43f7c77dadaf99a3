"""Adam: where it fails, and how much it forgives a wrong learning rate."""
