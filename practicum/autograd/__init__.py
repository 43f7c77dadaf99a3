"""Automatic differentiation from scratch: reverse mode on NumPy arrays, small enough to read.

w = Tensor([[0.5, -1.0]], name="w")
loss = tanh(x @ w).mean()
(g,) = gradients(loss, [w])
"""

from practicum.autograd.backward import gradients, graph, operations
from practicum.autograd.drawing import svg
from practicum.autograd.functions import (
    avg_pool2d,
    conv2d,
    cross_entropy,
    log_softmax,
    max_pool2d,
    softmax,
)
from practicum.autograd.tensor import Tensor, exp, log, relu, sigmoid, tanh

__all__ = [
    "Tensor", "avg_pool2d", "conv2d", "cross_entropy", "exp", "gradients", "graph", "log",
    "log_softmax", "max_pool2d", "operations", "relu", "sigmoid", "softmax", "svg", "tanh",
]  # fmt: skip
