"""The labs: one folder each, a claim from the literature as an experiment that anyone can rerun."""
