"""The perceptron and its convergence theorem."""
