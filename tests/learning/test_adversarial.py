"""The adversarial games: would catch a loss with a wrong sign, side or target, a penalty at the
wrong points, of the whole batch instead of each example, or without a second derivative, a critic
that sees the same part of the batch again, gradients that leak from one player to the other, and a
game that lanes play otherwise than the loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from practicum.engine.arithmetic import Arithmetic
from practicum.engine.noise import GlobalNoise
from practicum.engine.optimizers import SGD, Adam
from practicum.engine.seeds import streams
from practicum.engine.services import Services
from practicum.engine.train import Recipe, Trained, Trains, train
from practicum.errors import PracticumError
from practicum.learning.adversarial import (
    adversarial,
    between,
    critic_loss,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)

# -- known answers: the best discriminator on points that can be counted

REAL = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2])  # p = 1/2, 3/8, 1/8, 0
MADE = torch.tensor([0, 1, 1, 2, 2, 2, 2, 3])  # q = 1/8, 2/8, 4/8, 1/8
P, Q = (x.bincount(minlength=4).double() / 8 for x in (REAL, MADE))


def best(loss: Callable[[Tensor], Tensor], size: int = 4) -> Tensor:
    """Minimise a convex sum of functions of one logit each, with Newton's method."""
    logits = torch.zeros(size, dtype=torch.float64)
    for _ in range(60):
        slope = torch.func.grad(loss)(logits)
        bend = torch.func.grad(lambda t: torch.func.grad(loss)(t).sum())(logits)
        step = slope / (bend + 1e-12)
        logits = logits - step.clamp(-1, 1)
    return logits


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_best_discriminator_is_the_share_of_real_examples(smoothing: float) -> None:
    logits = best(lambda t: discriminator_loss(t[REAL], t[MADE], smoothing=smoothing))
    expected = (1 - smoothing) * P / (P + Q)
    torch.testing.assert_close(torch.sigmoid(logits[:3]), expected[:3], rtol=1e-9, atol=1e-12)
    assert torch.sigmoid(logits[3]) < 1e-9  # where no real example is
    both_sides = best(  # smoothing the generated side too is another discriminator
        lambda t: (
            discriminator_loss(t[REAL], t[MADE], smoothing=smoothing)
            + smoothing * F.softplus(-t[MADE]).mean()
        )
    )
    close = torch.allclose(torch.sigmoid(both_sides[:3]), expected[:3], atol=1e-3)
    assert close == (smoothing == 0)


def test_the_value_of_the_game_is_minus_log_4_where_the_two_are_alike_and_more_elsewhere() -> None:
    alike = best(lambda t: discriminator_loss(t[REAL], t[REAL]), 3)
    assert -discriminator_loss(alike[REAL], alike[REAL]).item() == pytest.approx(-math.log(4))
    apart = best(lambda t: discriminator_loss(t[REAL], t[MADE]))
    value = -discriminator_loss(apart[REAL], apart[MADE]).item()
    middle = (P + Q) / 2
    divergence = (torch.special.xlogy(P, P / middle) + torch.special.xlogy(Q, Q / middle)).sum() / 2
    assert value == pytest.approx(-math.log(4) + 2 * divergence.item(), abs=1e-8)


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=5), st.floats(0, 0.4))
def test_losses_are_the_logarithms_that_the_paper_writes(logits: list[float], s: float) -> None:
    made = torch.tensor(logits, dtype=torch.float64)
    real = made.flip(0) + 0.5
    d_real, d_made = torch.sigmoid(real), torch.sigmoid(made)
    judged = -((1 - s) * d_real.log() + s * (1 - d_real).log()).mean() - (1 - d_made).log().mean()
    torch.testing.assert_close(discriminator_loss(real, made, smoothing=s), judged)
    torch.testing.assert_close(generator_loss(made, "minimax"), (1 - d_made).log().mean())
    torch.testing.assert_close(generator_loss(made, "non-saturating"), -d_made.log().mean())
    torch.testing.assert_close(generator_loss(made, "wasserstein"), -made.mean())


def test_only_the_minimax_generator_starves_when_the_discriminator_is_sure() -> None:
    def slope(objective: str) -> float:
        logit = torch.tensor([-12.0], dtype=torch.float64)
        return float(torch.func.grad(lambda x: generator_loss(x, objective))(logit))

    d = 1 / (1 + math.exp(12.0))  # D(G(z))
    assert slope("minimax") == pytest.approx(-d)
    assert slope("non-saturating") == pytest.approx(-(1 - d))
    assert slope("wasserstein") == -1


# -- the gradient penalty


class Critic(nn.Module):
    """f(x) = v . tanh(W x + b)."""

    def __init__(self) -> None:
        super().__init__()
        self.W, self.b = nn.Parameter(torch.randn(5, 3)), nn.Parameter(torch.randn(5))
        self.v = nn.Parameter(torch.randn(5))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.W.T + self.b) @ self.v


def critic() -> Critic:
    torch.manual_seed(2)
    return Critic().double()


def by_hand(f: Critic, x: Tensor) -> tuple[float, Tensor, Tensor, Tensor]:
    """The penalty and its gradients by W, b and v, example by example.

    h = tanh(W x + b), s = 1 - h^2, slope g = W'(v s), P = (|g| - 1)^2; with c = dP/dg,
    dP = c.dg and dg = dW'(v s) + W'(dv s) + W'(v ds), ds = -2 h s (dW x + db).
    """
    W, b, v = (p.detach() for p in (f.W, f.b, f.v))
    total, of_W, of_b, of_v = 0.0, torch.zeros_like(W), torch.zeros_like(b), torch.zeros_like(v)
    for one in x:
        h = torch.tanh(W @ one + b)
        s = 1 - h * h
        g = W.T @ (v * s)
        norm = g.norm()
        c = 2 * (norm - 1) * g / norm
        up = (W @ c) * v * (-2 * h * s)  # of the argument of tanh
        total += float((norm - 1) ** 2) / len(x)
        of_W += (torch.outer(v * s, c) + torch.outer(up, one)) / len(x)
        of_b += up / len(x)
        of_v += (W @ c) * s / len(x)
    return total, of_W, of_b, of_v


def test_the_penalty_s_gradient_is_the_double_backward_pass_written_by_hand() -> None:
    f, x = critic(), torch.randn(7, 3, dtype=torch.float64)
    value, *expected = by_hand(f, x)
    penalty = gradient_penalty(f, x)
    assert penalty.item() == pytest.approx(value, rel=1e-12)
    for ours, theirs in zip(torch.autograd.grad(penalty, [f.W, f.b, f.v]), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)

    points = x.clone().requires_grad_()  # the peer: autograd twice; the slopes cut off are caught
    for kept in (True, False):
        (g,) = torch.autograd.grad(f(points).sum(), points, create_graph=True)
        norm = g.norm(dim=1)
        loss = ((norm - 1) * ((norm if kept else norm.detach()) - 1)).mean()
        (again,) = torch.autograd.grad(loss, [f.W])
        assert torch.allclose(again, expected[0], rtol=1e-8) == kept


def test_the_norm_is_that_of_each_example_and_of_all_its_axes() -> None:
    w = torch.tensor([[3.0, 0.0], [0.0, 4.0]]).double()
    x = torch.randn(6, 2, 2).double()
    assert gradient_penalty(lambda x: (x * w).sum((1, 2)), x).item() == pytest.approx(16.0)
    scale = torch.tensor([1.0, 2.0, 3.0]).double()
    found = gradient_penalty(lambda x: x.squeeze(1) * scale, torch.randn(3, 1).double())
    assert found.item() == pytest.approx((0 + 1 + 4) / 3)


def test_a_critic_that_is_flat_has_penalty_one_and_a_finite_gradient() -> None:
    f = critic()
    with torch.no_grad():
        f.W.zero_()
    penalty = gradient_penalty(f, torch.randn(4, 3).double())
    assert penalty.item() == 1.0
    for one in torch.autograd.grad(penalty, [f.W, f.b, f.v]):
        assert torch.isfinite(one).all()


def test_points_between_lie_on_the_lines_one_share_for_each_example() -> None:
    real, made, share = torch.randn(4, 2, 3), torch.randn(4, 2, 3), torch.rand(4)
    points = between(real, made, share)
    for i in range(4):
        torch.testing.assert_close(points[i], share[i] * real[i] + (1 - share[i]) * made[i])
    assert torch.equal(between(real, made, torch.ones(4)), real)
    assert torch.equal(between(real, made, torch.zeros(4)), made)


@pytest.mark.parametrize("weight", [0.5, 10.0])
def test_the_best_linear_critic_tells_how_far_a_gaussian_was_shifted(weight: float) -> None:
    shift = torch.tensor([3.0, -4.0, 0.0], dtype=torch.float64)
    made = torch.randn(50, 3, dtype=torch.float64)
    real, share = made + shift, torch.rand(50, dtype=torch.float64)
    w = torch.tensor([0.1, 0.1, 0.1], dtype=torch.float64)
    for _ in range(400):
        w = w - torch.func.grad(
            lambda w: critic_loss(lambda x: x @ w, real, made, share, weight)[0]
        )(w) / (1 + 2 * weight)
    # J_f = -w.m + lambda (|w| - 1)^2 is smallest along m, at length 1 + |m| / (2 lambda)
    torch.testing.assert_close(w, shift / 5 * (1 + 5 / (2 * weight)), rtol=1e-6, atol=1e-8)
    loss, found = critic_loss(lambda x: x @ w, real, made, share, weight)
    assert -loss.item() == pytest.approx(5 + 25 / (4 * weight))  # |m| = 5 for large lambda
    assert found["penalty"].item() == pytest.approx((5 / (2 * weight)) ** 2)


# -- the game


def generator() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 3))


def judge() -> nn.Module:
    layers = (nn.Linear(3, 8), nn.LeakyReLU(0.2), nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 1))
    return nn.Sequential(*layers, nn.Flatten(0))


X = torch.randn(40, 3, generator=torch.Generator().manual_seed(5)).double() + 1


def game(updates: Any, steps: int = 7) -> Recipe:
    return Recipe(
        networks={"generator": generator, "discriminator": judge},
        optimizers={
            "main": Trains(spec=Adam(lr=0.02), networks=("discriminator",)),
            "generator": Trains(spec=SGD(lr=0.1), networks=("generator",)),
        },
        updates=updates,
        data=(X,),
        batch_size=16,  # the last batch of an epoch has 8
        steps=steps,
    )


def played(
    updates: Any, path: Literal["loop", "lanes"] = "loop", seeds: tuple[int, ...] = (4,)
) -> Trained:
    return train(
        game(updates), seeds, Services(arithmetic=Arithmetic(path=path, precision="float64"))
    )


def by_the_book(objective: str, n_critic: int, smoothing: float, cut: Any) -> tuple[Any, Any]:
    """Algorithm 1 and its relatives, with torch's own pieces; `cut` takes part k of a batch."""
    s, noise = streams(4), GlobalNoise()
    with s.init():
        g, d = generator().double(), judge().double()
    of_d = torch.optim.Adam(d.parameters(), lr=0.02, fused=True)
    of_g = torch.optim.SGD(g.parameters(), lr=0.1, fused=True)
    order, steps = s.order(), 0
    with s.noise():
        while steps < 7:
            for index in torch.split(torch.randperm(40, generator=order), 16)[: 7 - steps]:
                for k in range(n_critic):
                    x = cut(X[index], k)
                    fake = g(noise.normal(len(x), 2).double()).detach()
                    if objective == "wasserstein":
                        e = noise.uniform(len(x)).double().unsqueeze(1)
                        at = (e * x + (1 - e) * fake).requires_grad_()
                        (slope,) = torch.autograd.grad(d(at).sum(), at, create_graph=True)
                        loss = d(fake).mean() - d(x).mean()
                        loss = loss + 3 * ((slope.norm(dim=1) - 1) ** 2).mean()
                    else:
                        ones = torch.full((len(x),), 1 - smoothing, dtype=torch.float64)
                        loss = F.binary_cross_entropy_with_logits(d(x), ones)
                        loss = loss + F.binary_cross_entropy_with_logits(d(fake), 0 * ones)
                    of_d.zero_grad()
                    loss.backward()
                    of_d.step()
                fake = g(noise.normal(len(cut(X[index], 0)), 2).double())
                said = torch.sigmoid(d(fake))
                of_g.zero_grad()
                {
                    "minimax": (1 - said).log().mean(),
                    "non-saturating": -said.log().mean(),
                    "wasserstein": -d(fake).mean(),
                }[objective].backward()
                of_g.step()
                steps += 1
    return g, d


PATHS: tuple[Literal["loop", "lanes"], ...] = ("loop", "lanes")
GAMES = [("minimax", 1, 0.0), ("non-saturating", 2, 0.1), ("wasserstein", 3, 0.0)]


@pytest.mark.parametrize(("objective", "n_critic", "smoothing"), GAMES)
def test_the_game_is_the_one_of_the_book(objective: str, n_critic: int, smoothing: float) -> None:
    updates = adversarial(objective, noise=2, n_critic=n_critic, smoothing=smoothing, penalty=3.0)
    networks = played(updates).networks[0]

    def close(cut: Any) -> bool:
        pairs = zip(
            ("generator", "discriminator"),
            by_the_book(objective, n_critic, smoothing, cut),
            strict=True,
        )
        return all(
            torch.allclose(a, b, rtol=1e-8, atol=1e-9)
            for name, other in pairs
            for a, b in zip(networks[name].parameters(), other.parameters(), strict=True)
        )

    assert close(lambda x, k: x.tensor_split(n_critic)[k])
    if n_critic > 1:  # the critic sees the same part again
        assert not close(lambda x, k: x.tensor_split(n_critic)[0])


@pytest.mark.parametrize(("objective", "n_critic", "smoothing"), GAMES)
def test_lanes_play_the_same_game(objective: str, n_critic: int, smoothing: float) -> None:
    updates = adversarial(objective, noise=2, n_critic=n_critic, smoothing=smoothing)
    loop, lanes = (played(updates, path, (4, 9)) for path in PATHS)
    torch.testing.assert_close(lanes.curves["loss"], loop.curves["loss"], rtol=1e-9, atol=1e-10)
    for ours, theirs in zip(lanes.weights(), loop.weights(), strict=True):
        for name, tensor in theirs.items():
            torch.testing.assert_close(ours[name], tensor, rtol=1e-7, atol=1e-8)


def test_no_gradient_reaches_the_generator_from_the_discriminator_s_loss() -> None:
    for objective in ("non-saturating", "wasserstein"):
        networks = {"generator": generator().double(), "discriminator": judge().double()}
        loss, _ = adversarial(objective, noise=2)[0].loss(networks, (X,), GlobalNoise())
        torch.autograd.backward(loss)
        assert all(p.grad is None for p in networks["generator"].parameters())
        assert all(p.grad is not None for p in list(networks["discriminator"].parameters())[::2])


@pytest.mark.parametrize(
    ("objective", "settings", "match"),
    [
        ("least-squares", {}, "objective"),
        ("minimax", {"noise": 0}, "at least 1"),
        ("minimax", {"n_critic": 0}, "at least 1"),
        ("minimax", {"smoothing": 0.5}, "below 0.5"),
        ("wasserstein", {"smoothing": 0.1}, "no labels"),
        ("wasserstein", {"penalty": -1.0}, "at least 0"),
    ],
)
def test_bad_settings_say_what_to_do(objective: str, settings: Any, match: str) -> None:
    with pytest.raises(PracticumError, match=match):
        adversarial(objective, **{"noise": 2, **settings})
    with pytest.raises(PracticumError, match="objective"):
        generator_loss(torch.zeros(1), "least-squares")


def test_a_batch_that_is_too_small_for_its_parts_is_refused() -> None:
    with pytest.raises(PracticumError, match="divides the number of examples"):
        played(adversarial("wasserstein", noise=2, n_critic=9))
