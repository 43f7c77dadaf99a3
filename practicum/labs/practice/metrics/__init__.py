"""What a number says about a classifier, and what it hides."""
