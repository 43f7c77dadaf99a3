"""Labs about graphs: nodes that are classified with the help of their neighbours."""
