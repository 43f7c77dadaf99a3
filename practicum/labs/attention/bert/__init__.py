"""The lab `bert`: guessing hidden words first, then learning from few labels."""
