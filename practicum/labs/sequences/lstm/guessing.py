"""Random weight guessing: draw all weights of a small network, look whether it works, repeat.

Source: Schmidhuber, Hochreiter, Bengio, "Evaluating benchmark problems by random guessing", in: A
Field Guide to Dynamical Recurrent Networks, IEEE Press 2001; the network is its A1. Steps:
    1. Draw every weight from the uniform distribution on [-100, 100].
    2. Let the network answer one sequence after the other; at the first wrong answer go to 1.
    3. If no sequence is left, stop.

The network: D inputs, n hidden units, one output unit; hidden units and output see the input, all
hidden units and the output of the step before, hidden units also have a bias (numbered here):
    s_t = logistic(W_in x_t + W_rec s_{t-1} + b),  s_0 = 0,  b = 0 for the output       (1)

What is counted are sequences that a network had to read, up to the one that it got wrong, in the
order in which the networks were drawn. Many networks are tried at once; the count is as if it were
one after the other.

Deviation: the source lets a network read the whole training set and counts networks.

Shapes: G networks, P weights, S sequences, L time steps, D inputs, N = n + 1 units.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.labs.sequences.lstm.data import Sequences

REACH = 100.0
GUESSES = 512  # networks that are tried at once
FIRST = 8  # sequences that all of them read; few networks are left then


@dataclass(frozen=True)
class Guess:
    """What guessing found.

    Attributes:
        weights: [P] of the network that answered most sequences before its first mistake.
        passed: how many it answered.
        sequences: sequences read until a network had answered all, or the budget.
    """

    weights: Float[Tensor, "P"]
    passed: int
    sequences: int


def size(inputs: int, hidden: int) -> int:
    """Return P, the number of weights."""
    return (hidden + 1) * (inputs + hidden + 1) + hidden


def answers(
    weights: Float[Tensor, "G P"],
    x: Float[Tensor, "S L D"],
    last: Int[Tensor, "S"],
    hidden: int,
) -> Float[Tensor, "G S"]:
    """Return what each network's output unit says at the end of each sequence."""
    units, inputs = hidden + 1, x.shape[2]
    ends = [units * inputs, units * (inputs + units)]
    w_in, w_rec, b = weights.tensor_split(ends, dim=1)
    into_GND = w_in.reshape(-1, units, inputs)
    back_GNN = w_rec.reshape(-1, units, units).mT
    bias_GN = torch.cat([b, b.new_zeros(len(b), 1)], dim=1)
    state_GSN = x.new_zeros(len(weights), len(x), units)
    said = []
    for x_SD in x.unbind(1):
        net = (x_SD @ into_GND.mT) + state_GSN @ back_GNN + bias_GN[:, None]
        state_GSN = torch.sigmoid(net)  # Eq. (1)
        said.append(state_GSN[..., -1])
    return torch.stack(said, 2)[:, torch.arange(len(x)), last]


def passed(
    weights: Float[Tensor, "G P"], task: Sequences, hidden: int, tolerance: float
) -> Int[Tensor, "G"]:
    """Return how many sequences each network answers before its first mistake."""
    first = min(FIRST, len(task.x))
    count = _before_mistake(weights, task, slice(first), hidden, tolerance)
    left = (count == first).nonzero()[:, 0]
    if len(left):
        count[left] = _before_mistake(weights[left], task, slice(None), hidden, tolerance)
    return count


def _before_mistake(
    weights: Tensor, task: Sequences, rows: slice, hidden: int, tolerance: float
) -> Tensor:
    said = answers(weights, task.x[rows], task.last[rows], hidden)
    right = (said - task.target[rows]).abs() < tolerance
    return right.long().cumprod(1).sum(1)


def guess(
    task: Sequences, *, hidden: int, tolerance: float, budget: int, seed: int, services: Services
) -> Guess:
    """Guess until a network answers every sequence, or the budget is used up.

    Args:
        task: the sequences.
        hidden: n.
        tolerance: largest error of a right answer.
        budget: sequences that may be read in all.
        seed: whose initialisation stream the weights are drawn from.
        services: the engine's.
    """
    generator = streams(seed).generator("initialisation")
    best, most, read = torch.empty(0), -1, 0
    while read < budget:
        drawn = torch.rand(GUESSES, size(task.x.shape[2], hidden), generator=generator)
        (weights,) = services.place(REACH * (2 * drawn - 1))  # step 1
        count = passed(weights, task, hidden, tolerance)  # step 2
        looks = (count + 1).clamp(max=len(task.x)).cumsum(0) + read
        affordable = looks <= budget
        count = torch.where(affordable, count, -1)
        if int(count.max()) > most:
            most = int(count.max())
            best = weights[int(count.argmax())]
        if most == len(task.x):
            return Guess(best, most, int(looks[int(count.argmax())]))  # step 3
        read = int(looks[-1])
        services.progress(min(read, budget), budget)
        if services.poll is not None:
            services.poll()
    return Guess(best, most, budget)
