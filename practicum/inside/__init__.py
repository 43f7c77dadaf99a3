"""Looking into a network: tracing, patching, attribution, attacks, probes; its labs come later."""
