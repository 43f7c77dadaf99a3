"""The seq2seq lab."""
