"""Stochastic gradient descent on linear and logistic regression, where the optimum is known."""
