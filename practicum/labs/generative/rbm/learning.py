"""How the lab `rbm` trains: one loop, three estimates of the gradient.

Numbering goes on from `practicum.learning.contrastive_divergence`:
    (11) d log p(v) / dW as in Eq. (8), its second average summed over all states: no chain, no
         noise, and only for machines whose smaller side can be written out
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from practicum.engine.events import Event, Moment
from practicum.engine.loop import Diverged, Step, loop
from practicum.engine.noise import GlobalNoise, Noise
from practicum.engine.optimizers import SGD, build
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.source import Batches
from practicum.engine.state import State
from practicum.learning.contrastive_divergence import contrastive_divergence
from practicum.nn.rbm import RBM

REPORT_EVERY = 50


def exact_likelihood() -> Step:
    """Return one step along the exact gradient of the mean log-likelihood, Eq. (11)."""

    def step(state: State, batch: tuple[Tensor, ...], noise: Noise) -> tuple[State, dict[str, Any]]:
        network, optimizer = state.networks["main"], state.optimizers["main"]
        assert isinstance(network, RBM)
        optimizer.zero_grad()
        loss = -network.log_likelihood(batch[0]).mean()
        if not bool(torch.isfinite(loss)):
            raise Diverged
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        optimizer.step()
        return state, {"loss": loss.detach()}

    return step


def step_of(method: str, sweeps: int, batch_size: int) -> Step:
    """Return the step of a method: "cd", "pcd" (a chain for each example of a batch), "exact"."""
    if method == "exact":
        return exact_likelihood()
    return contrastive_divergence(sweeps, chains=batch_size if method == "pcd" else None)


def train_machine(
    v: Float[Tensor, "n V"],
    step: Step,
    seed: int,
    services: Services,
    *,
    hidden: int,
    spread: float,
    rate: float,
    batch_size: int,
    steps: int,
    every: int,
    measure: Callable[[RBM], float],
) -> tuple[RBM, list[float], bool]:
    """Train one machine by plain gradient descent; measure it at the start and on the way.

    Returns:
        The machine, the measures (at step 0, then every so many steps), and whether it diverged;
        a machine that did has NaN for the points that it did not reach.
    """
    (v,) = services.place(v)
    with streams(seed).init():
        machine = RBM(v.shape[1], hidden, spread=spread)
    machine.to(device=services.device, dtype=services.dtype)
    with torch.no_grad():
        seen = [measure(machine)]

    def observe(moment: Moment) -> None:
        if moment.event is not Event.STEPPED:
            return
        done = moment.state.step
        if done % every == 0:
            with torch.no_grad():
                seen.append(measure(machine))
        if done % REPORT_EVERY == 0 or done == steps:
            services.progress(done, steps)

    optimizer = build(SGD(lr=rate), machine.parameters(), fused=services.arithmetic.fused)
    state = State(networks={"main": machine}, optimizers={"main": optimizer})
    source: Iterator[Any] = Batches((v,), batch_size, streams(seed).order())
    with streams(seed).noise():
        noise = GlobalNoise(services.device)
        state = loop(
            step, state, source, steps=steps, noise=noise, observers=[observe], poll=services.poll
        )
    seen += [float("nan")] * (1 + steps // every - len(seen))
    return machine, seen, "diverged" in state.counters


@torch.no_grad()
def fantasies(machine: RBM, seed: int, *, count: int, sweeps: int) -> Float[Tensor, "count V"]:
    """Return what a machine dreams: chances of the visible units at the end of long chains.

    Chains begin at fair coins; each seed draws its own.
    """
    visible = machine.weight.shape[0]
    with streams(seed).noise():
        noise = GlobalNoise(str(machine.weight.device))
        start = (noise.uniform(count, visible) < 0.5).to(machine.weight.dtype)
        v = machine.gibbs(start, sweeps, noise.uniform)
        chance = machine.hidden_given(v)
        h = (noise.uniform(*chance.shape) < chance).to(v.dtype)
    return machine.visible_given(h)
