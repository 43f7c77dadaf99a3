"""Double descent, in regression on random features."""
