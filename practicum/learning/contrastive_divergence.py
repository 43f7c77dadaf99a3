"""Contrastive divergence: learn a Boltzmann machine from chains that are stopped after k sweeps.

Papers: G. E. Hinton, "Training products of experts by minimizing contrastive divergence", Neural
Computation 14, 1771-1800, 2002 (CD). T. Tieleman, "Training restricted Boltzmann machines using
approximations to the likelihood gradient", ICML 2008 (persistent CD).

Idea: the gradient of the log-likelihood is a difference of two averages, one over the data and one
over the model. The second is estimated from chains of Gibbs sweeps. CD starts a chain at every
example and walks k sweeps; PCD goes on with the chains of the step before, which the small change
of the weights has hardly moved from the model.

Equations (going on from `practicum.nn.rbm`):
    (8)  d log p(v) / dW = v p(h | v)' - sum over v~ of p(v~) v~ p(h | v~)'    and alike for b, c
    (9)  CD-k: in Eq. (8), v~ is where k sweeps from v lead
    (10) PCD-k: v~ is where k sweeps from the last step's v~ lead

Both are the gradient of the mean of F(v) - F(v~) with v~ held fixed, which is how they are computed
here, so that any optimizer can take the step.

Shapes: B examples, C chains, V visible units.

Known failure signs: weights that grow while the chains hardly leave their states any more; an exact
log-likelihood that falls while the gap or the error of reconstruction gets better. The gap is no
measure of success: watch the likelihood where it can be computed.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from practicum.engine.loop import Diverged, Step
from practicum.engine.noise import Noise
from practicum.engine.state import State
from practicum.errors import PracticumError
from practicum.nn.rbm import RBM


def gap(network: RBM, data: Float[Tensor, "B V"], model: Float[Tensor, "C V"]) -> Float[Tensor, ""]:
    """Return mean F(data) - mean F(model); minus its gradient is Eq. (8) with v~ from `model`."""
    difference: Tensor = network(data).mean() - network(model).mean()
    return difference


def contrastive_divergence(sweeps: int = 1, *, chains: int | None = None) -> Step:
    """Return one step of CD-k, or of PCD-k if a number of chains is given.

    The step uses `state.networks["main"]`, an RBM, and `state.optimizers["main"]`. A batch is a
    tuple whose first part is [B, V], zeros and ones. PCD keeps its chains in
    `state.buffers["chains"]`, and starts them from fair coins where there are none yet.

    Args:
        sweeps: k, the Gibbs sweeps a step.
        chains: C for PCD; None for CD.

    Raises:
        PracticumError: fewer than one sweep or chain; from the step, a network that is no RBM.
    """
    if sweeps < 1 or (chains is not None and chains < 1):
        raise PracticumError(
            f"contrastive divergence with {sweeps} sweeps and {chains} chains; at least one of each"
        )

    def step(state: State, batch: tuple[Tensor, ...], noise: Noise) -> tuple[State, dict[str, Any]]:
        network, optimizer = state.networks["main"], state.optimizers["main"]
        if not isinstance(network, RBM):
            raise PracticumError(f"contrastive divergence trains an RBM, not {type(network)}")
        data = batch[0]
        start = data  # Eq. (9)
        if chains is not None and "chains" in state.buffers:
            start = state.buffers["chains"]  # Eq. (10)
        elif chains is not None:
            start = (noise.uniform(chains, data.shape[1]) < 0.5).to(data.dtype)
        model = network.gibbs(start, sweeps, noise.uniform)
        optimizer.zero_grad()
        loss = gap(network, data, model)
        if not bool(torch.isfinite(loss)):
            raise Diverged
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        optimizer.step()
        if chains is not None:
            state.buffers["chains"] = model
        return state, {"gap": loss.detach()}

    return step
