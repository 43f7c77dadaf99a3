"""Attention against torch's, and against twins that compute one number at a time.

Would catch: a missing or doubled scale, a softmax over the wrong axis, a mask turned round or moved
by one, queries that see nothing and become nan, heads that are cut or joined in another order than
torch's, a lost bias, dropout at another place, a cache that forgets, repeats or misplaces what was
read, a network that cannot be mapped over lanes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from practicum.errors import PracticumError
from practicum.nn.attention import (
    AdditiveAttention,
    GeneralAttention,
    KVCache,
    MultiHeadAttention,
    attend,
    causal_mask,
    masked_softmax,
    padding_mask,
)
from practicum.nn.positions import Positions, Rotary
from tests.nn.checks import lanes_equal_the_loop

B, Q, K, E, N = 2, 3, 5, 12, 4


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(3)
    yield
    torch.set_default_dtype(torch.float32)


def same(ours: Tensor, theirs: Tensor, mine: list[Tensor], others: list[Tensor]) -> bool:
    """Whether two results and their gradients agree to rounding."""
    weights = torch.linspace(0, 5, ours.numel()).view(ours.shape).sin()
    a = torch.autograd.grad((ours * weights).sum(), mine, retain_graph=True)
    b = torch.autograd.grad((theirs * weights).sum(), others, retain_graph=True)
    return torch.allclose(ours, theirs, rtol=1e-11, atol=1e-12) and all(
        torch.allclose(p, q, rtol=1e-10, atol=1e-12) for p, q in zip(a, b, strict=True)
    )


def tensors(*shapes: tuple[int, ...]) -> list[Tensor]:
    return [torch.randn(shape, requires_grad=True) for shape in shapes]


# --- masks


def test_the_causal_mask_ends_flush_with_the_last_key() -> None:
    assert causal_mask(3).int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert causal_mask(2, 4).int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]


def test_the_padding_mask_shows_each_sequence_up_to_its_length() -> None:
    mask = padding_mask(torch.tensor([2, 0, 3]), 3)
    assert mask.shape == (3, 1, 1, 3)
    assert mask.flatten(1).int().tolist() == [[1, 1, 0], [0, 0, 0], [1, 1, 1]]


def test_hidden_scores_do_not_count_however_large() -> None:
    scores = torch.tensor([[1.0, 2.0, 1e30]])
    weights = masked_softmax(scores, torch.tensor([True, True, False]))
    assert weights.flatten().tolist() == pytest.approx([1 / (1 + math.e), math.e / (1 + math.e), 0])


def test_a_query_that_sees_nothing_gets_nothing_and_gives_no_gradient() -> None:
    q, k, v = tensors((B, Q, E), (B, K, E), (B, K, 4))
    mask = torch.ones(B, Q, K, dtype=torch.bool)
    mask[1, 2] = False
    context, weights = attend(q, k, v, mask)
    assert (context[1, 2] == 0).all()
    assert (weights[1, 2] == 0).all()
    assert torch.allclose(weights.sum(-1), mask.any(-1).double())
    context.sin().sum().backward()
    assert q.grad is not None
    assert k.grad is not None
    assert (q.grad[1, 2] == 0).all()
    assert all(torch.isfinite(one).all() for one in (q.grad, k.grad))
    # The usual form, with -inf, gives nan there.
    usual = (q @ k.mT).masked_fill(~mask, -math.inf).softmax(-1)
    assert usual[1, 2].isnan().all()
    # The kernel agrees with ours.
    kernel = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    assert same(attend(q, k, v, mask)[0], kernel, [q, k, v], [q, k, v])


# --- scores, one number at a time


def naive(
    score: Callable[[Tensor, Tensor], Tensor],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
) -> Tensor:
    """Eqs. (5) and (6) with loops; every query sees something."""
    rows = []
    for b in range(len(q)):
        for i in range(q.shape[1]):
            seen = [j for j in range(k.shape[1]) if mask is None or mask[b, i, j]]
            e = [torch.exp(score(q[b, i], k[b, j])) for j in seen]
            total = sum(e)
            rows.append(sum(one / total * v[b, j] for one, j in zip(e, seen, strict=True)))
    return torch.stack(rows).view(len(q), q.shape[1], -1)


def test_dot_attention_equals_the_loops_and_the_kernel() -> None:
    q, k, v = tensors((B, Q, E), (B, K, E), (B, K, 4))
    mask = torch.rand(B, Q, K) < 0.5
    mask[..., 1] = True
    leaves = [q, k, v]
    scaled, plain = attend(q, k, v, mask)[0], attend(q, k, v, mask, scale=1.0)[0]
    dot = lambda a, b: (a * b).sum()  # noqa: E731  # a formula
    by_root = lambda a, b: (a * b).sum() / math.sqrt(E)  # noqa: E731  # a formula
    assert same(plain, naive(dot, q, k, v, mask), leaves, leaves)
    assert same(scaled, naive(by_root, q, k, v, mask), leaves, leaves)
    assert same(scaled, F.scaled_dot_product_attention(q, k, v, mask), leaves, leaves)
    for wrong in (
        plain,
        naive(by_root, q, k, v),
        naive(by_root, q, k, v, mask.flip(2)),
        F.scaled_dot_product_attention(q, k, v, ~mask | mask[..., :1]),
    ):
        assert not same(scaled, wrong, leaves, leaves)


def test_additive_attention_equals_the_loops_and_not_broken_ones() -> None:
    q, k, v = tensors((B, Q, 3), (B, K, 4), (B, K, 2))
    attention = AdditiveAttention(3, 4, 6)
    w, u, s = attention.query.weight, attention.key.weight, attention.score.weight[0]
    mask = torch.rand(B, Q, K) < 0.5
    mask[..., 2] = True
    context, weights = attention(q, k, v, mask)
    leaves = [q, k, v, w, u, attention.score.weight]
    right = naive(lambda a, b: (s * torch.tanh(w @ a + u @ b)).sum(), q, k, v, mask)
    assert same(context, right, leaves, leaves)
    assert torch.allclose(weights @ v, context)
    for wrong in (
        naive(lambda a, b: (s * (w @ a + u @ b)).sum(), q, k, v, mask),
        naive(lambda a, b: (s * torch.tanh(w @ a - u @ b)).sum(), q, k, v, mask),
        naive(lambda a, b: (s * torch.tanh(w @ a + u @ b)).sum(), q, k, v),
    ):
        assert not same(context, wrong, leaves, leaves)
    # What a decoder computes once.
    once = attention.project(k)
    for i in range(Q):
        step, _ = attention(q[:, i : i + 1], k, v, mask[:, i : i + 1], once)
        assert torch.allclose(step[:, 0], context[:, i])


def test_general_attention_equals_the_loops_and_not_broken_ones() -> None:
    q, k, v = tensors((B, Q, 3), (B, K, 4), (B, K, 2))
    attention = GeneralAttention(3, 4)
    w = attention.key.weight
    context, _ = attention(q, k, v)
    leaves = [q, k, v, w]
    assert same(context, naive(lambda a, b: a @ w @ b, q, k, v), leaves, leaves)
    scaled = naive(lambda a, b: a @ w @ b / math.sqrt(3), q, k, v)
    assert not same(context, scaled, leaves, leaves)


# --- multi-head


def pair(bias: bool = True, fused: bool = True) -> tuple[MultiHeadAttention, nn.MultiheadAttention]:
    ours = MultiHeadAttention(E, N, bias=bias, fused=fused)
    theirs = nn.MultiheadAttention(E, N, bias=bias, batch_first=True)
    for p in ours.parameters():
        nn.init.normal_(p, std=0.5)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_multi_head_attention_equals_torch_in_value_and_gradient(bias: bool, fused: bool) -> None:
    ours, theirs = pair(bias, fused)
    x, memory = tensors((B, Q, E), (B, K, E))
    lengths = torch.tensor([4, 2])
    mine, others = [x, memory, *ours.parameters()], [x, memory, *theirs.parameters()]
    hidden = ~padding_mask(lengths, K).flatten(1)
    peer, weights = theirs(x, memory, memory, key_padding_mask=hidden, average_attn_weights=False)
    out = ours(x, memory, mask=padding_mask(lengths, K))
    assert same(out, peer, mine, others)
    shown, seen = ours.attend(x, memory, mask=padding_mask(lengths, K))
    assert same(shown, peer, mine, others)
    assert torch.allclose(seen, weights)
    assert seen.shape == (B, N, Q, K)
    # The check sees a lost mask, a mask turned round, heads joined in another order.
    assert not same(ours(x, memory), peer, mine, others)
    assert not same(ours(x, memory, mask=~padding_mask(lengths, K)), peer, mine, others)
    other = MultiHeadAttention(E, 3, bias=bias)
    other.load_state_dict(ours.state_dict())
    assert not torch.allclose(other(x, memory, mask=padding_mask(lengths, K)), peer, rtol=1e-3)


@pytest.mark.parametrize("fused", [True, False])
def test_causal_self_attention_equals_torch_in_value_and_gradient(fused: bool) -> None:
    ours, theirs = pair(fused=fused)
    (x,) = tensors((B, K, E))
    lengths = torch.tensor([4, 2])
    mine, others = [x, *ours.parameters()], [x, *theirs.parameters()]
    peer, _ = theirs(x, x, x, attn_mask=~causal_mask(K), need_weights=False)
    assert same(ours(x, causal=True), peer, mine, others)
    assert same(ours(x, mask=causal_mask(K)), peer, mine, others)
    assert not same(ours(x), peer, mine, others)
    both, _ = theirs(x, x, x, attn_mask=~causal_mask(K),
                     key_padding_mask=~padding_mask(lengths, K).flatten(1))  # fmt: skip
    assert same(ours(x, causal=True, mask=padding_mask(lengths, K)), both, mine, others)
    # What comes later does not matter.
    changed = x.detach().clone()
    changed[:, 3:] += 1
    assert torch.allclose(ours(changed, causal=True)[:, :3], peer[:, :3])
    assert not torch.allclose(ours(changed)[:, :3], ours(x)[:, :3])


def test_one_seed_gives_the_first_values_of_torch() -> None:
    states = []
    for build in (MultiHeadAttention, nn.MultiheadAttention):
        torch.manual_seed(1)
        states.append(build(E, N).state_dict())
    assert all(torch.equal(states[0][name], one) for name, one in states[1].items())


@pytest.mark.parametrize("fused", [True, False])
def test_a_row_of_padding_only_gives_the_bias_and_finite_gradients(fused: bool) -> None:
    ours, _ = pair(fused=fused)
    x, memory = tensors((B, Q, E), (B, K, E))
    out = ours(x, memory, mask=padding_mask(torch.tensor([3, 0]), K))
    assert torch.allclose(out[1], ours.out_proj.bias.expand(Q, E))
    out.sin().sum().backward()
    for one in (x, memory, *ours.parameters()):
        assert one.grad is not None
        assert torch.isfinite(one.grad).all()
    assert memory.grad is not None
    assert (memory.grad[1] == 0).all()


def test_dropout_takes_weights_while_training_only() -> None:
    attention = MultiHeadAttention(E, N, dropout=0.4)
    x = torch.randn(B, K, E)
    torch.manual_seed(7)
    out = attention(x)
    torch.manual_seed(7)
    q, k, v = (one.reshape(B, K, N, -1).transpose(1, 2)
               for one in F.linear(x, attention.in_proj_weight).chunk(3, -1))  # fmt: skip
    weights = F.dropout((q @ k.mT / math.sqrt(E / N)).softmax(-1), 0.4)
    expected = attention.out_proj((weights @ v).transpose(1, 2).flatten(2))
    assert torch.allclose(out, expected)
    attention.eval()
    assert torch.equal(attention(x), attention(x))
    assert not torch.allclose(attention(x), out)


# --- the cache


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_reading_with_a_cache_equals_reading_at_once(rotary: bool, fused: bool) -> None:
    turn = Rotary(20, 4) if rotary else None
    attention = MultiHeadAttention(8, 2, rotary=turn, fused=fused)
    x = torch.randn(B, 7, 8)
    whole = attention(x, causal=True)
    for pieces in ([1] * 7, [3, 1, 2, 1], [7]):
        cache, outputs = KVCache(), []
        for part in x.split(pieces, dim=1):
            outputs.append(attention(part, causal=True, cache=cache))
        assert cache.length == 7
        assert torch.allclose(torch.cat(outputs, 1), whole, rtol=1e-11, atol=1e-13)
    # Broken: a cache that is not handed on, or rotary positions that start again.
    fresh = [attention(part, causal=True, cache=KVCache()) for part in x.split(1, 1)]
    assert not torch.allclose(torch.cat(fresh, 1), whole, rtol=1e-3)


@pytest.mark.parametrize("rotary", [None, Rotary(20, E // 2)])
def test_a_cache_of_a_memory_is_filled_once_and_rows_can_be_chosen(rotary: Rotary | None) -> None:
    attention = MultiHeadAttention(E, 2, rotary=rotary)
    x, memory = torch.randn(B, Q, E), torch.randn(B, K, E)
    whole, cache = attention(x, memory), KVCache()
    for i in range(Q):
        step = attention(x[:, i : i + 1], memory if i == 0 else memory * 0, cache=cache)
        assert torch.allclose(step[:, 0], whole[:, i])
    assert cache.length == K
    cache.select(torch.tensor([1, 1]))
    swapped = attention(x, memory, cache=cache)
    assert torch.allclose(swapped, attention(x, memory[[1, 1]]))
    KVCache().select(torch.tensor([0]))  # nothing held, nothing to choose


# --- lanes


class Reader(nn.Module):
    """One layer of everything here, classified by its mean."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = Positions(4, 8)
        self.self = MultiHeadAttention(8, 2, dropout=0.2, rotary=Rotary(4, 4))
        self.additive = AdditiveAttention(8, 8, 3)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.positions(x)
        lengths = (x[:, :, 0] > -5).sum(1)  # all of them, but computed
        x = x + self.self(x, causal=True, mask=padding_mask(lengths, x.shape[1]))
        context, _ = self.additive(x[:, -1:], x, x, causal_mask(1, x.shape[1]))
        return self.head(context[:, 0])


def test_training_in_lanes_equals_the_loop() -> None:
    torch.set_default_dtype(torch.float32)
    g = torch.Generator().manual_seed(0)
    data = (torch.randn(14, 4, 8, generator=g).double(), torch.randint(3, (14,), generator=g))
    lanes_equal_the_loop(
        Reader,
        lambda network, batch: F.cross_entropy(network(batch[0]), batch[1]),
        data,
        batch_size=6,
        steps=4,
    )


def test_heads_that_do_not_share_the_width_alike_are_refused() -> None:
    for heads in (5, 0):
        with pytest.raises(PracticumError, match="cannot be shared"):
            MultiHeadAttention(12, heads)
