"""Seeds, lanes, the training loop, checkpoints, workers, devices; knows no particular network."""
