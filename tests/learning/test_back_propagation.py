"""Back-propagation by the sweep: would catch a derivative that is not the derivative, a mean in
place of the sum, momentum applied to the wrong step, a bias forgotten or moved, seeds that see each
other, direct connections left out, a count of sweeps off by one.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.fit import fit
from practicum.engine.optimizers import SGD
from practicum.engine.services import Services
from practicum.errors import PracticumError
from practicum.learning import back_propagation as bp
from practicum.nn.mlp import MLP

KINDS = {
    "hidden": {"hidden": 3},
    "direct": {"hidden": 3, "direct": True},
    "none": {"hidden": 0, "direct": True},
    "linear": {"hidden": 3, "linear": True},
}
ALL = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def problem(kind: dict, seeds: int = 2) -> tuple[bp.Weights, np.ndarray, np.ndarray]:
    """Return weights, five cases of four inputs and two outputs."""
    generators = [np.random.default_rng(seed) for seed in range(seeds)]
    weights = bp.draw(generators, inputs=4, outputs=2, spread=1.5, **kind)
    random = np.random.default_rng(99)
    return weights, random.normal(size=(5, 4)), (random.random((5, 2)) < 0.5).astype(float)


def naive_outputs(weights: bp.Weights, seed: int, x: list[float]) -> list[float]:
    """Go unit by unit, Eq. (1) and Eq. (2), in plain floats."""
    inside = []
    for j in range(weights.hidden.shape[2]):
        total = weights.hidden[seed, -1, j]
        for i in range(len(x)):
            total += weights.hidden[seed, i, j] * x[i]
        inside.append(total if weights.linear else 1 / (1 + math.exp(-total)))
    feeding = inside + (list(x) if weights.output.shape[1] > len(inside) + 1 else [])
    answers = []
    for k in range(weights.output.shape[2]):
        total = weights.output[seed, -1, k]
        for f in range(len(feeding)):
            total += weights.output[seed, f, k] * feeding[f]
        answers.append(1 / (1 + math.exp(-total)))
    return answers


def naive_error(weights: bp.Weights, seed: int, x: np.ndarray, d: np.ndarray) -> float:
    """Eq. (3): half the sum over cases and outputs."""
    total = 0.0
    for case, wanted in zip(x, d, strict=True):
        for y, t in zip(naive_outputs(weights, seed, list(case)), wanted, strict=True):
            total += (y - t) ** 2
    return total / 2


@ALL
def test_outputs_equal_going_unit_by_unit(kind: dict) -> None:
    weights, x, _ = problem(kind)
    there = bp.outputs(weights, x)
    for seed, case in itertools.product(range(2), range(len(x))):
        expected = naive_outputs(weights, seed, list(x[case]))
        np.testing.assert_allclose(there[seed, case], expected, rtol=1e-12, atol=1e-15)


@ALL
def test_the_gradient_is_the_slope_of_the_error_in_every_weight(kind: dict) -> None:
    weights, x, d = problem(kind)
    found = bp.gradient(weights, x, d)
    h = 1e-6
    for part in ("hidden", "output"):
        array, slopes = getattr(weights, part), getattr(found, part)
        assert slopes.shape == array.shape
        for place in np.ndindex(array.shape):
            before = array[place]
            array[place] = before + h
            above = naive_error(weights, place[0], x, d)
            array[place] = before - h
            below = naive_error(weights, place[0], x, d)
            array[place] = before
            assert slopes[place] == pytest.approx((above - below) / (2 * h), rel=1e-5, abs=1e-8)


@ALL
def test_the_gradient_equals_that_of_autograd(kind: dict) -> None:
    weights, x, d = problem(kind)
    found = bp.gradient(weights, x, d)
    hidden = torch.tensor(weights.hidden, requires_grad=True)
    output = torch.tensor(weights.output, requires_grad=True)
    x_t = torch.cat((torch.tensor(x), torch.ones(len(x), 1, dtype=torch.float64)), 1)
    inside = x_t @ hidden
    inside = inside if weights.linear else torch.sigmoid(inside)
    beside = x_t if kind.get("direct") else x_t[:, -1:]
    y = torch.sigmoid(torch.cat((inside, beside.expand(2, -1, -1)), 2) @ output)
    (0.5 * (y - torch.tensor(d)).square().sum()).backward()
    np.testing.assert_allclose(found.output, output.grad, rtol=1e-10)
    np.testing.assert_allclose(
        found.hidden, np.zeros_like(hidden.detach()) if hidden.grad is None else hidden.grad,
        rtol=1e-10, atol=1e-15,
    )  # fmt: skip


def test_sweeps_equal_full_batches_of_the_engine_with_heavy_ball_momentum() -> None:
    """The same start, the same sum of squares: `fit` with torch's SGD ends at the same weights."""
    x = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3)), dtype=torch.float64)
    d = (x.sum(1, keepdim=True) % 2).double()
    trained = fit(
        lambda: MLP(3, (2,), 1, activation="sigmoid"),
        loss=lambda network, batch, noise: (
            0.5 * (torch.sigmoid(network(batch[0])) - batch[1]).square().sum()
        ),
        optimizer=SGD(lr=0.3, momentum=0.9),
        data=(x, d),
        batch_size=8,
        steps=30,
        seeds=(4,),
        services=Services(arithmetic=Arithmetic(precision="float64")),
    )
    (end,) = trained.weights()
    from practicum.engine.seeds import streams

    with streams(4).init():
        first, last = MLP(3, (2,), 1, activation="sigmoid").double().layers
    start = bp.Weights(
        hidden=torch.cat((first.weight.T, first.bias[None]))[None].detach().numpy(),
        output=torch.cat((last.weight.T, last.bias[None]))[None].detach().numpy(),
    )

    def swept(epsilon: float, alpha: float) -> bp.Weights:
        return bp.learn(
            start, x.numpy(), d.numpy(), epsilon=epsilon, alpha=alpha, sweeps=30, every=30,
            services=Services(),
        ).weights  # fmt: skip

    expected = torch.cat((end["network.layers.0.weight"].T, end["network.layers.0.bias"][None]))
    np.testing.assert_allclose(swept(0.3, 0.9).hidden[0], expected, rtol=1e-9, atol=1e-11)
    # The check can fail: with the mean of the gradients, and with another momentum, it does.
    assert not np.allclose(swept(0.3 / 8, 0.9).hidden[0], expected, atol=1e-3)
    assert not np.allclose(swept(0.3, 0.8).hidden[0], expected, atol=1e-3)


@ALL
def test_a_seed_gives_the_same_bits_alone_and_among_others(kind: dict) -> None:
    random = np.random.default_rng(5)
    x, d = random.random((6, 4)), (random.random((6, 2)) < 0.5).astype(float)

    def run(seeds: list[int]) -> bp.Learned:
        generators = [np.random.default_rng(seed) for seed in seeds]
        weights = bp.draw(generators, inputs=4, outputs=2, spread=0.5, **kind)
        return bp.learn(
            weights, x, d, epsilon=0.2, alpha=0.9, sweeps=40, every=7, services=Services()
        )

    alone, among = run([3]), run([8, 3, 1, 9, 2])
    for name in ("error", "wrong", "right_since", "close_since"):
        assert np.array_equal(getattr(alone, name)[0], getattr(among, name)[1]), name
    assert np.array_equal(alone.weights.hidden[0], among.weights.hidden[1])
    assert np.array_equal(alone.weights.output[0], among.weights.output[1])


def test_each_seed_may_have_targets_of_its_own() -> None:
    weights, x, d = problem(KINDS["hidden"])
    both = np.stack([d, 1 - d])
    settings = {"epsilon": 0.2, "alpha": 0.5, "sweeps": 9, "every": 3, "services": Services()}
    together = bp.learn(weights, x, both, **settings)
    for seed in range(2):
        alone = bp.learn(weights, x, both[seed], **settings)
        assert np.array_equal(together.error[seed], alone.error[seed])
    assert not np.array_equal(together.error[0], bp.learn(weights, x, 1 - d, **settings).error[0])


def test_learning_leaves_the_initial_weights_as_they_are() -> None:
    weights, x, d = problem(KINDS["hidden"])
    before = weights.hidden.copy(), weights.output.copy()
    bp.learn(weights, x, d, epsilon=1.0, alpha=0.9, sweeps=3, every=1, services=Services())
    assert np.array_equal(weights.hidden, before[0])
    assert np.array_equal(weights.output, before[1])


def test_the_curves_are_those_of_the_weights_at_their_sweeps() -> None:
    """Known answer: a unit with zero weights answers 1/2, and sweep 0 is before any change."""
    weights = bp.Weights(hidden=np.zeros((1, 3, 0)), output=np.zeros((1, 3, 1)))
    x, d = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0.0], [0], [0], [1]])
    run = bp.learn(weights, x, d, epsilon=0.5, alpha=0.9, sweeps=7, every=3, services=Services())
    assert run.steps.tolist() == [0, 3, 6, 7]
    assert run.error[0, 0] == pytest.approx(4 * 0.25 / 2)
    assert run.wrong[0, 0] == 4  # a half is on no side
    again = weights
    change = np.zeros((1, 3, 1))
    for _ in range(7):
        change = -0.5 * bp.gradient(again, x, d).output + 0.9 * change  # Eq. (9)
        again = bp.Weights(hidden=again.hidden, output=again.output + change)
    np.testing.assert_allclose(run.weights.output, again.output, rtol=1e-12)
    assert run.error[0, -1] == pytest.approx(naive_error(again, 0, x, d), rel=1e-12)


def test_sweeps_are_counted_to_the_first_after_which_all_stays_right() -> None:
    """AND is learned once and stays; asked at every budget, the count never moves."""
    weights = bp.Weights(hidden=np.zeros((1, 3, 0)), output=np.zeros((1, 3, 1)))
    x, d = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0.0], [0], [0], [1]])

    def since(sweeps: int) -> tuple[float, float]:
        run = bp.learn(
            weights, x, d, epsilon=0.5, alpha=0.9, sweeps=sweeps, every=sweeps, services=Services()
        )
        return float(run.right_since[0]), float(run.close_since[0])

    right, close = since(800)
    assert 1 < right < close < 800
    assert since(int(right))[0] == right
    assert since(int(right) - 1)[0] == math.inf
    assert since(int(close)) == (right, close)
    assert since(int(close) - 1) == (right, math.inf)


def test_an_output_at_one_half_up_to_rounding_is_on_no_side() -> None:
    x, d = np.array([[0.0], [1.0]]), np.array([[0.0], [1.0]])

    def most_right(weight: float) -> float:
        weights = bp.Weights(
            hidden=np.zeros((1, 2, 0)), output=np.array([[[2 * weight], [-weight]]])
        )
        run = bp.learn(
            weights, x, d, epsilon=0.0, alpha=0.0, sweeps=1, every=1, services=Services()
        )
        assert run.most_right[0] == 2 - run.wrong.min()
        return float(run.most_right[0])

    assert most_right(1e-12) == 0
    assert most_right(1e-6) == 2


def test_the_most_right_is_that_of_the_best_sweep_not_of_the_last() -> None:
    """A unit on XOR passes 3 of 4 on its way to one half everywhere."""
    x, d = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0.0], [1], [1], [0]])
    weights = bp.draw(
        [np.random.default_rng(s) for s in range(4)], inputs=2, hidden=0, direct=True, spread=0.5
    )
    run = bp.learn(weights, x, d, epsilon=0.5, alpha=0.9, sweeps=600, every=1, services=Services())
    assert np.array_equal(run.most_right, 4 - run.wrong.min(axis=1))
    assert (run.most_right > 4 - run.wrong[:, -1]).all()


def test_a_network_that_connects_nothing_is_refused() -> None:
    with pytest.raises(PracticumError, match="direct connections"):
        bp.draw([np.random.default_rng(0)], inputs=2, hidden=0, spread=1.0)


def test_the_engine_is_told_of_every_sweep_and_may_stop_it() -> None:
    weights, x, d = problem(KINDS["hidden"])
    told: list[tuple[int, int]] = []
    progress: list[int] = []

    def poll() -> None:
        if len(told) == 30:
            raise KeyboardInterrupt

    services = Services(
        probe=lambda done, of: told.append((done, of)),
        progress=lambda done, of: progress.append(done),
        poll=poll,
    )
    with pytest.raises(KeyboardInterrupt):
        bp.learn(weights, x, d, epsilon=0.1, alpha=0.0, sweeps=50, every=50, services=services)
    assert told == [(done, 50) for done in range(1, 31)]
    assert progress == [25]
