"""Long short-term memory on the adding problem, and a problem so easy that guessing wins."""
