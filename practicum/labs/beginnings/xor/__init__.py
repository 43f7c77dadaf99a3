"""XOR and parity: what one unit cannot do, and what hidden units do from most starts."""
