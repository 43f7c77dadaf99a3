"""The lab scores: dot products with and without a scale, beside the other scores."""
