"""Looking into a network: tracing, patching, attribution, attacks, probes (the labs on these come later)."""
