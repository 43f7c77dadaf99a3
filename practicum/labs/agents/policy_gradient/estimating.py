"""The gradients that several estimators make of the same episodes of one fixed policy."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from practicum.engine.experience import acting_alone
from practicum.engine.noise import GlobalNoise, Noise
from practicum.engine.services import Services
from practicum.engine.updates import Batch, Networks
from practicum.learning.policy_gradient import Gathering, reinforce_loss
from practicum.nn.actor_critic import ActorCritic

ESTIMATORS = ("return", "to-go", "mean", "value", "own-mean")


def own_mean(gains: Float[Tensor, "E T"], lasted: Float[Tensor, "E T"]) -> Float[Tensor, "E T"]:
    """Return for each time the mean over all episodes that lasted, one's own among them."""
    mean = (gains * lasted).sum(0) / lasted.sum(0).clamp(min=1)
    return mean.expand_as(gains)


def loss(
    networks: Networks, batch: Batch, noise: Noise, *, baseline: str
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Return the loss of REINFORCE, for the baselines of `reinforce_loss` and "own-mean".

    "own-mean" counts the episode's own gain, which makes the gradient's mean too small: a control.
    """
    if baseline != "own-mean":
        return reinforce_loss(networks, batch, noise, baseline=baseline)
    s, a, gains, lasted = batch
    return reinforce_loss(networks, (s, a, gains - own_mean(gains, lasted), lasted), noise)


def gradients(
    network: ActorCritic,
    seed: int,
    gathering: Gathering,
    environment: str,
    batches: int,
    services: Services,
) -> dict[str, Float[Tensor, "batches P"]]:
    """Play batches of episodes; return each estimator's gradient of each, for the P actor weights.

    Args:
        network: the policy, which stays as it is.
        seed: of the episodes.
        gathering: how many episodes a batch has, and how long they may be.
        environment: gymnasium's name.
        batches: how many.
        services: the engine's.
    """
    # G_t and R are the same rewards; without discount R is the G_t of the first step.
    act = acting_alone({"main": network}, services)
    episodes = gathering.experience(environment)((seed,), act)
    found: dict[str, list[Tensor]] = {name: [] for name in ESTIMATORS}
    for done in range(batches):
        batch = shortened(tuple(one[0] for one in services.place(*episodes.next())))
        for name, gradient in of_batch(network, batch).items():
            found[name].append(gradient)
        services.progress(done + 1, batches)
        if services.poll is not None:
            services.poll()
    return {name: torch.stack(rows) for name, rows in found.items()}


def shortened(batch: Batch) -> Batch:
    """Leave out the times at which no episode lasts any more."""
    longest = int(batch[3].sum(1).max())
    return tuple(one[:, :longest] for one in batch)


def of_batch(network: ActorCritic, batch: Batch) -> dict[str, Float[Tensor, "P"]]:
    """Return each estimator's gradient of the mean return; the batch's gains are rewards to go."""
    weights = [*network.actor.parameters(), *network.policy.parameters()]
    s, a, gains, lasted = batch
    whole = gains[:, :1].expand_as(gains)
    logits, value = network(s.flatten(0, 1))  # once for all estimators

    def known(_: Tensor) -> tuple[Tensor, Tensor]:
        return logits, value

    found = {}
    for name in ESTIMATORS:
        mine = (s, a, whole if name == "return" else gains, lasted)
        baseline = "none" if name in ("return", "to-go") else name
        value_of, _ = loss({"main": known}, mine, GlobalNoise(), baseline=baseline)
        parts = torch.autograd.grad(-value_of, weights, retain_graph=True)
        found[name] = torch.cat([one.flatten() for one in parts])
    return found


def variance(gradient: Float[Tensor, "batches P"]) -> Float[Tensor, ""]:
    """Return the trace of the covariance of one batch's gradient."""
    return gradient.var(0).sum()


def along(gradient: Mapping[str, Float[Tensor, "batches P"]]) -> dict[str, Float[Tensor, ""]]:
    """Return the mean gradients as shares of that of "mean", along a common direction.

    Each half of the batches gives the direction in which the other half is measured: a gradient
    that chose its own direction would look longer than it is.
    """
    half = len(gradient["mean"]) // 2
    first = {name: one[:half].mean(0) for name, one in gradient.items()}
    second = {name: one[half:].mean(0) for name, one in gradient.items()}
    length = {
        name: first[name] @ second["mean"] + second[name] @ first["mean"] for name in gradient
    }
    return {name: one / length["mean"] for name, one in length.items()}
