"""What learns, and how: a recurrent network whose last state answers, by back-propagation.

The loss is the squared error of the answer at the end of a sequence, as in Hochreiter, Schmidhuber
1997; the optimizer is Adam, the gradient is exact (theirs is cut off at the gates) and clipped.
Every update sees sequences that are drawn anew from the seed's noise stream.

Shapes: B sequences, L time steps, D inputs, H hidden units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from practicum.engine.clipping import ClipNorm
from practicum.engine.fit import fit
from practicum.engine.noise import Noise
from practicum.engine.optimizers import Adam
from practicum.engine.schedules import LinearDecay
from practicum.engine.services import Services
from practicum.engine.train import Trained
from practicum.engine.updates import Batch
from practicum.labs.sequences.lstm.data import INPUTS, TOLERANCE, Sequences, draw
from practicum.nn.lstm import LSTM
from practicum.nn.recurrent import Recurrent
from practicum.nn.rnn import RNN

if TYPE_CHECKING:
    from practicum.labs.sequences.lstm.experiment import Setup

HELD_OPEN = 100.0  # bias of a forget gate that is 1 to the last bit, whatever comes in


class Reader(nn.Module):
    """A recurrent network that reads a sequence and gives one answer between 0 and 1.

    Args:
        body: the recurrent network.
    """

    def __init__(self, body: Recurrent) -> None:
        super().__init__()
        self.body = body
        self.readout = nn.Linear(body.hidden, 1)

    def forward(self, x: Float[Tensor, "B L D"], last: Int[Tensor, "B"]) -> Float[Tensor, "B"]:
        """Return the answers after the time steps `last`."""
        h_BLH, _ = self.body(x)
        at = last[:, None, None].expand(-1, 1, h_BLH.shape[2])
        answer: Tensor = self.readout(h_BLH.gather(1, at)[:, 0])
        return torch.sigmoid(answer[:, 0])


def build(setup: Setup) -> Reader:
    """Return the network of an arm.

    "lstm 1997" has no forget gate: its bias holds the gate at 1, where its slope is 0 to the last
    bit, so that it stays there; this lets torch's fast kernel do the work. As in the paper's
    experiment, a negative bias keeps the input gates nearly closed at first; otherwise a cell that
    never forgets drifts away with whatever it reads.
    """
    inputs = INPUTS[setup.task]
    if setup.learner == "rnn":
        return Reader(RNN(inputs, setup.hidden))
    if setup.learner == "lstm":
        return Reader(LSTM(inputs, setup.hidden, forget_bias=1.0))
    body = LSTM(inputs, setup.hidden, forget_bias=HELD_OPEN)
    _, _, b_ih, b_hh = body.weights(0)
    with torch.no_grad():
        b_ih[: setup.hidden], b_hh[: setup.hidden] = setup.input_bias, 0.0
    return Reader(body)


def right_percent(
    answers: Float[Tensor, "*B"], target: Float[Tensor, "*B"], task: str
) -> Float[Tensor, ""]:
    """Return the percentage of answers whose error is below the task's tolerance."""
    return 100 * ((answers - target).abs() < TOLERANCE[task]).double().mean()


def train(setup: Setup, check: Sequences, seeds: Sequence[int], services: Services) -> Trained:
    """Train every seed, counting right answers to the check sequences on the way."""

    def loss(network: Callable[..., Any], batch: Batch, noise: Noise) -> Tensor:
        (places,) = batch
        drawn = draw(noise, setup.task, len(places), setup.length, setup.informative)
        x, target = drawn.x.to(places), drawn.target.to(places)
        error: Tensor = network(x, drawn.last.to(places.device)) - target
        return error.square().mean()

    def evaluate(network: Callable[..., Any], seed: int) -> Mapping[str, Tensor]:
        return {"right": right_percent(network(check.x, check.last), check.target, setup.task)}

    return fit(
        lambda: build(setup),
        loss=loss,
        optimizer=Adam(lr=setup.rate),
        data=services.place(torch.zeros(setup.batch_size)),  # one place for each fresh sequence
        batch_size=setup.batch_size,
        steps=setup.steps,
        every=max(1, setup.steps // setup.points),
        evaluate=evaluate,
        clip=ClipNorm(norm=setup.clip) if setup.clip else None,
        schedule=LinearDecay(steps=setup.steps) if setup.decay else None,
        seeds=seeds,
        services=services,
    )
