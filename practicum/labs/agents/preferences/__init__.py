"""The lab `preferences`: a language model learns from comparisons of what it wrote."""
