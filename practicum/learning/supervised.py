"""Supervised classification: maximise the likelihood of the right class.

Source: Goodfellow, Bengio, Courville, "Deep Learning", MIT Press 2016, section 6.2.2.3.

Equations:
    p(y | x) = exp(z_y) / sum_k exp(z_k)                     (6.29) softmax of the logits z
    J = - mean over the batch of log p(y | x)                (6.12) cross-entropy, in nats

Known failure sign: J near log K for many steps means that the network predicts the class
frequencies only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from practicum.engine.noise import Noise
from practicum.engine.updates import Batch


def cross_entropy(network: Callable[..., Tensor], batch: Batch, noise: Noise) -> Float[Tensor, ""]:
    """Return the mean cross-entropy of a batch (inputs, classes), in nats."""
    x, y = batch
    return F.cross_entropy(network(x), y)


def error_percent(logits: Float[Tensor, "n K"], y: Int[Tensor, "n"]) -> Float[Tensor, ""]:
    """Return the share of examples whose largest logit is not their class, in percent."""
    return 100 * (logits.argmax(1) != y).double().mean()
