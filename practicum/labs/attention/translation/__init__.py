"""The lab translation: one vector, attention and a Transformer on the same sentence pairs."""
