"""The lab `gpt`: loss against parameters, and a public workload on a laptop."""
