"""The RBM lab: pictures do not leak, arms share what they should, and gradients are the right ones.

Catches: shifted copies of training pictures among the test pictures (and their absence where the
leak is the point), shifts that wrap around, a missing or doubled pattern, exact gradients that are
not those of the likelihood, chains that do not persist, decays chosen by test pictures, machines
that begin elsewhere.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from practicum.data import load
from practicum.engine.noise import GlobalNoise
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.state import State
from practicum.errors import PracticumError
from practicum.labs.generative.rbm import experiment
from practicum.labs.generative.rbm.data import Pictures, bars_and_stripes, pictures, shifted
from practicum.labs.generative.rbm.experiment import ARMS, classified, independent, trial
from practicum.labs.generative.rbm.learning import fantasies, step_of, train_machine
from practicum.labs.lab import replaced
from practicum.nn.rbm import RBM

TINY = {"steps": 6, "points": 2, "hidden": 5, "train_size": 40, "validation_size": 20}


# --- pictures


@pytest.mark.parametrize(("side", "count"), [(2, 6), (3, 14), (4, 30)])
def test_bars_and_stripes_are_every_picture_of_equal_rows_or_columns(side: int, count: int) -> None:
    found = {tuple(one) for one in bars_and_stripes(side).int().tolist()}
    expected = set()
    for bits in itertools.product((0, 1), repeat=side * side):
        rows = [bits[i * side : (i + 1) * side] for i in range(side)]
        if all(len(set(row)) == 1 for row in rows) or len(set(rows)) == 1:
            expected.add(bits)
    assert found == expected
    assert len(bars_and_stripes(side)) == count


def test_shifts_move_by_one_pixel_and_lose_what_leaves() -> None:
    x = torch.arange(1.0, 10.0).reshape(1, 3, 3)
    same, up, down, left, right = shifted(x)
    assert torch.equal(same, x[0])
    assert up.tolist() == [[4, 5, 6], [7, 8, 9], [0, 0, 0]]
    assert down.tolist() == [[0, 0, 0], [1, 2, 3], [4, 5, 6]]
    assert left.tolist() == [[2, 3, 0], [5, 6, 0], [8, 9, 0]]
    assert right.tolist() == [[0, 1, 2], [0, 4, 5], [0, 7, 8]]


class Named:
    """Pictures with one grey square in the middle, whose grey tells which picture it is."""

    def __init__(self, name: str) -> None:
        greys = torch.arange(1, 401).float() / 400
        x = torch.zeros(400, 1, 8, 8)
        x[:, :, 3:5, 3:5] = greys.reshape(-1, 1, 1, 1)
        self.train = (x[:300], torch.arange(300) % 10)
        self.test = (x[300:], torch.arange(100) % 10)


def test_only_shifting_before_splitting_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("practicum.labs.generative.rbm.data.load", Named)
    found = {}
    for order in ("split first", "shift first", "no shift"):
        every = pictures("digits", order, train=200, validation=50, seed=1)
        parts = (every.train, every.validation, every.test)
        found[order] = [one[0].amax(1) for one in parts]
        copies = 1 if order == "no shift" else 5
        assert [len(one[0]) for one in parts] == [200 * copies, 50 * copies, 100 * copies]
    for order in ("split first", "no shift"):
        train, validation, test = (set(one.tolist()) for one in found[order])
        assert not train & test | train & validation | validation & test
    leaked = torch.isin(found["shift first"][2], found["shift first"][0])
    assert leaked.double().mean() > 0.9
    one, other = (torch.cat(found[order]).sort().values for order in ("split first", "shift first"))
    assert torch.equal(one, other)  # the same pictures, dealt differently


def test_labels_go_with_their_pictures() -> None:
    images = load("digits")
    known = {tuple(x.flatten().tolist()): int(y) for x, y in zip(*images.train, strict=True)}
    for order in ("split first", "shift first", "no shift"):
        x, y = pictures("digits", order, train=100, validation=30, seed=3).train
        found = [(known[tuple(one)], int(kind)) for one, kind in zip(x.tolist(), y, strict=True)
                 if tuple(one) in known]  # fmt: skip
        assert len(found) > 10
        assert all(a == b for a, b in found)


def test_more_pictures_than_there_are_are_refused() -> None:
    with pytest.raises(PracticumError, match="training examples of digits"):
        pictures("digits", "no shift", train=1400, validation=400, seed=0)


# --- learning


def machine_of(visible: int, hidden: int, seed: int) -> RBM:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        machine = RBM(visible, hidden, spread=0.7).double()
        for bias in (machine.visible_bias, machine.hidden_bias):
            torch.nn.init.normal_(bias)
    return machine


def naive_log_likelihood(machine: RBM, v: Tensor) -> Tensor:
    """Sum over every pair of visible and hidden states, one at a time."""
    visible, hidden = machine.weight.shape
    energies = {
        bits: torch.stack(
            [
                -(x @ machine.visible_bias) - h @ machine.hidden_bias - x @ machine.weight @ h
                for h in map(torch.tensor, itertools.product((0.0, 1.0), repeat=hidden))
                for x in [torch.tensor(bits).double()]
                for h in [h.double()]
            ]
        )
        for bits in itertools.product((0.0, 1.0), repeat=visible)
    }
    log_z = torch.logsumexp(torch.cat([-one for one in energies.values()]), 0)
    return torch.stack([torch.logsumexp(-energies[tuple(one)], 0) - log_z for one in v.tolist()])


def moved(method: str, machine: RBM, v: Tensor) -> dict[str, Tensor]:
    """By how much one step at rate 1 moves each parameter."""
    before = {name: one.detach().clone() for name, one in machine.named_parameters()}
    optimizer = torch.optim.SGD(machine.parameters(), lr=1.0)
    state = State(networks={"main": machine}, optimizers={"main": optimizer})
    step_of(method, 1, len(v))(state, (v,), GlobalNoise())
    return {name: one.detach() - before[name] for name, one in machine.named_parameters()}


def test_an_exact_step_follows_the_gradient_of_the_written_out_likelihood() -> None:
    v = torch.tensor([[1, 0, 1], [0, 0, 1], [1, 1, 0], [1, 0, 1]]).double()
    twin = machine_of(3, 2, 5)
    value = naive_log_likelihood(twin, v).mean()
    grads = torch.autograd.grad(value, list(twin.parameters()))
    found = moved("exact", machine_of(3, 2, 5), v)
    for (name, _), grad in zip(twin.named_parameters(), grads, strict=True):
        torch.testing.assert_close(found[name], grad, rtol=1e-10, atol=1e-12)
    wrong = moved("cd", machine_of(3, 2, 5), v)
    assert not torch.allclose(wrong["weight"], grads[0], atol=1e-2)


def run(method: str, steps: int = 5, **change: Any) -> tuple[RBM, list[float], bool]:
    settings: dict[str, Any] = {
        "hidden": 4, "spread": 0.1, "rate": 0.1, "batch_size": 6, "steps": steps, "every": 2,
        "measure": lambda machine: float(machine.weight.sum()), **change,
    }  # fmt: skip
    v = bars_and_stripes(2)
    return train_machine(v, step_of(method, 1, len(v)), 3, Services(), **settings)


def test_machines_begin_alike_and_are_measured_from_the_start() -> None:
    curves = {method: run(method)[1] for method in ("cd", "pcd", "exact")}
    assert len({curve[0] for curve in curves.values()}) == 1
    assert len({curve[-1] for curve in curves.values()}) == 3
    assert {len(curve) for curve in curves.values()} == {3}  # 0, 2, 4
    with streams(3).init():
        start = RBM(4, 4, spread=0.1)
    assert curves["cd"][0] == float(start.weight.detach().sum())


def test_a_machine_that_diverges_is_reported_and_keeps_its_place() -> None:
    _, curve, diverged = run("exact", steps=8, rate=1e38, spread=1.0)
    assert diverged
    assert len(curve) == 5
    assert math.isnan(curve[-1])


def test_dreams_of_a_known_machine_have_its_means() -> None:
    machine = RBM(3, 2)
    with torch.no_grad():
        machine.weight.zero_()
        machine.visible_bias.copy_(torch.tensor([2.0, 0.0, -1.0]))
    found = fantasies(machine, 1, count=7, sweeps=3)
    expected = torch.sigmoid(machine.visible_bias).detach().expand(7, 3)
    torch.testing.assert_close(found, expected)
    assert torch.equal(found, fantasies(machine, 1, count=7, sweeps=3))


# --- measuring


def test_independent_pixels_have_the_likelihood_of_coins_on_bars_and_stripes() -> None:
    # every pixel is on in half of the patterns
    assert independent(bars_and_stripes(4)) == pytest.approx(-16 * math.log(2))
    v = torch.tensor([[1.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    expected = 0.25 * math.log(0.25) + 0.75 * math.log(0.75)
    assert independent(v) == pytest.approx(expected, abs=1e-6)


def test_the_decay_is_chosen_by_validation_and_not_by_test() -> None:
    every = pictures("digits", "no shift", train=60, validation=60, seed=0)
    flipped = Pictures(
        train=every.train, validation=every.validation, test=(every.test[0], every.test[1].flip(0))
    )
    decays = (1e-3, 10.0)
    error, decay = classified(every, None, decays, Services())
    other, same = classified(flipped, None, decays, Services())
    assert decay == same == 1e-3
    assert error < 30 < other
    assert classified(every, None, (10.0,), Services())[0] > error


def test_arms_differ_only_in_what_the_header_says() -> None:
    pcd = ARMS["pcd"]
    for method in ("cd", "exact", "independent"):
        assert replaced(pcd, {"method": method, "rate": 0.3}) == ARMS[method]
    for kind in ("features", "raw"):
        for name, order in (("leaky", "shift first"), ("still", "no shift")):
            assert replaced(ARMS[kind], {"order": order}) == ARMS[f"{kind} {name}"]


def test_random_features_are_not_trained_and_others_are() -> None:
    setup = replaced(ARMS["random features"], TINY)
    with streams(2).init():
        start = RBM(64, 5, spread=0.3)
    kept = trial(setup, [2], Services()).weights[0]
    assert torch.equal(kept["weight"], start.weight)
    learnt = replaced(setup, {"method": "pcd"})
    assert not torch.equal(trial(learnt, [2], Services()).weights[0]["weight"], start.weight)


def test_the_classes_teach_the_machine_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = replaced(ARMS["features"], TINY)
    before = trial(setup, [2], Services()).weights[0]["weight"]

    def scrambled(*arguments: Any, **named: Any) -> Pictures:
        every = pictures(*arguments, **named)
        x, y = every.train
        return Pictures(train=(x, y.flip(0)), validation=every.validation, test=every.test)

    monkeypatch.setattr(experiment, "pictures", scrambled)
    assert torch.equal(trial(setup, [2], Services()).weights[0]["weight"], before)
