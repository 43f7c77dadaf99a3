"""Recurrent networks against torch's, and against twins that compute one number at a time.

Would catch: gates in another order than torch's, a lost or doubled bias, the reset gate at the
other place, an update gate turned round, a backward direction that is not turned back or starts at
the wrong end, layers that get the wrong state or input, dropout after the last layer, padding that
leaks into a shorter sequence, a fused kernel that computes something else, a network that cannot
be mapped over lanes or trains to other numbers there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from practicum.errors import PracticumError
from practicum.nn.gru import GRU, GRUCell
from practicum.nn.lstm import LSTM, LSTMCell
from practicum.nn.recurrent import Cell, Recurrent
from practicum.nn.rnn import RNN, RNNCell
from tests.nn.checks import lanes_equal_the_loop

B, T, D, H = 4, 5, 3, 2

LAYERS: dict[str, tuple[Callable[..., Recurrent], Callable[..., nn.Module]]] = {
    "tanh": (RNN, nn.RNN),
    "relu": (
        lambda *sizes, **more: RNN(*sizes, activation="relu", **more),
        lambda *sizes, **more: nn.RNN(*sizes, nonlinearity="relu", **more),
    ),
    "lstm": (LSTM, nn.LSTM),
    "gru": (GRU, nn.GRU),
}
CELLS: dict[str, tuple[Callable[..., Cell], Callable[..., nn.Module]]] = {
    "tanh": (RNNCell, nn.RNNCell),
    "relu": (
        lambda *sizes, **more: RNNCell(*sizes, activation="relu", **more),
        lambda *sizes, **more: nn.RNNCell(*sizes, nonlinearity="relu", **more),
    ),
    "lstm": (LSTMCell, nn.LSTMCell),
    "gru": (GRUCell, nn.GRUCell),
}
SHAPES = [(1, False, True), (2, True, True), (3, False, False), (1, True, False)]


def made(kind: str, **more: Any) -> tuple[Recurrent, nn.Module]:
    """Ours and torch's with the same wide weights, so that every gate opens and closes."""
    torch.manual_seed(5)
    ours, theirs = (build(D, H, **more).double() for build in LAYERS[kind])
    for p in ours.parameters():
        nn.init.normal_(p)
    theirs.load_state_dict(ours.state_dict())  # strict: the names and shapes are torch's
    assert isinstance(ours, Recurrent)
    return ours, theirs


def peer(theirs: nn.Module, x: Tensor, state: tuple[Tensor, ...] | None) -> tuple[Tensor, ...]:
    """Torch's layer, batch first, its results in one tuple: outputs, then the state's tensors."""
    given = None
    if state is not None:
        given = state if isinstance(theirs, nn.LSTM) else state[0]
    y, end = theirs(x.transpose(0, 1), given)
    return (y.transpose(0, 1), *(end if isinstance(end, tuple) else (end,)))


def weighed(results: tuple[Tensor, ...]) -> Tensor:
    """A scalar that depends on every number of the results differently."""
    return sum(
        (torch.linspace(1, 2 + k, one.numel(), dtype=one.dtype).view(one.shape).sin() * one).sum()
        for k, one in enumerate(results)
    )  # type: ignore[return-value]  # never empty


def same(
    ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...], mine: list[Tensor], others: list[Tensor]
) -> bool:
    """Whether results and their gradients agree, in float64 to rounding."""
    a = torch.autograd.grad(weighed(ours), mine, retain_graph=True, allow_unused=True)
    b = torch.autograd.grad(weighed(theirs), others, retain_graph=True, allow_unused=True)
    values = all(
        torch.allclose(p, q, rtol=1e-11, atol=1e-12) for p, q in zip(ours, theirs, strict=True)
    )
    zero = torch.zeros(())
    return values and all(
        torch.allclose(zero if p is None else p, zero if q is None else q, rtol=1e-10, atol=1e-12)
        for p, q in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("layers", "bidirectional", "bias"), SHAPES)
@pytest.mark.parametrize("kind", LAYERS)
def test_layers_equal_torch_in_value_and_gradient(
    kind: str, layers: int, bidirectional: bool, bias: bool, fused: bool
) -> None:
    shape: dict[str, Any] = {"bidirectional": bidirectional, "bias": bias}
    torch.manual_seed(5)
    ours = LAYERS[kind][0](D, H, layers=layers, fused=fused, **shape).double()
    theirs = LAYERS[kind][1](D, H, num_layers=layers, **shape).double()
    for p in ours.parameters():
        nn.init.normal_(p)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(B, T, D, dtype=torch.float64, requires_grad=True)
    count = layers * (2 if bidirectional else 1)
    state = tuple(
        torch.randn(count, B, H, dtype=torch.float64, requires_grad=True)
        for _ in range(ours.unit.states)
    )
    for start in (None, state):
        y, end = ours(x, start)
        assert y.shape == (B, T, H * (2 if bidirectional else 1))
        leaves = [x, *(start or ())]
        assert same(
            (y, *end),
            peer(theirs, x, start),
            [*ours.parameters(), *leaves],
            [*theirs.parameters(), *leaves],
        )
    # The check sees another start, another order of time, a lost bias.
    params, others = list(ours.parameters()), list(theirs.parameters())
    y, end = ours(x, state)
    assert not same((y, *end), peer(theirs, x, None), params, others)
    assert not same((y, *end), peer(theirs, x.flip(1), state), params, others)
    if bias:
        with torch.no_grad():
            others[2].zero_()
        assert not same((y, *end), peer(theirs, x, state), params, others)


@pytest.mark.parametrize("kind", LAYERS)
def test_one_seed_gives_the_first_values_of_torch(kind: str) -> None:
    both = []
    for build, more in zip(LAYERS[kind], ({"layers": 2}, {"num_layers": 2}), strict=True):
        torch.manual_seed(9)
        both.append(build(D, H, bidirectional=True, **more).state_dict())
    assert both[0].keys() == both[1].keys()
    assert all(torch.equal(both[0][name], both[1][name]) for name in both[0])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", CELLS)
def test_cells_equal_torch_in_value_and_gradient(kind: str, bias: bool) -> None:
    torch.manual_seed(2)
    ours, theirs = (build(D, H, bias=bias).double() for build in CELLS[kind])
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(B, D, dtype=torch.float64, requires_grad=True)
    state = tuple(torch.randn(B, H, dtype=torch.float64) for _ in range(2 if kind == "lstm" else 1))
    for start in (None, state):
        given = start if start is None or kind == "lstm" else start[0]
        end = theirs(x, given)
        end = end if isinstance(end, tuple) else (end,)
        mine, others = [x, *ours.parameters()], [x, *theirs.parameters()]
        assert same(ours(x, start), end, mine, others)
        assert not same(ours(x + 1, start), end, mine, others)


# --- the equations, one number at a time


def s(a: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-a))


def tanh(a: Tensor) -> Tensor:
    return 2 * s(2 * a) - 1


def twin(layer: Recurrent, x: Tensor, rule: Callable[..., list[Tensor]]) -> Tensor:
    """One layer, one direction: outputs [B, T, H]; `rule` says what a unit k does."""
    w_ih, w_hh, b_ih, b_hh = layer.weights(0)
    rows = []
    for row in x:
        state = [[torch.zeros((), dtype=x.dtype)] * H for _ in range(layer.unit.states)]
        outputs = []
        for x_t in row:
            h = state[0]

            def into(gate: int, k: int, x_t: Tensor = x_t) -> Tensor:
                j = gate * H + k
                return sum((w_ih[j, d] * x_t[d] for d in range(D)), b_ih[j])

            def back(gate: int, k: int, h: list[Tensor] = h, bias: bool = True) -> Tensor:
                j = gate * H + k
                start = b_hh[j] if bias else torch.zeros((), dtype=x.dtype)
                return sum((w_hh[j, i] * h[i] for i in range(H)), start)

            units = [rule(into, back, state, k) for k in range(H)]
            state = [[unit[n] for unit in units] for n in range(layer.unit.states)]
            outputs.append(torch.stack(state[0]))
        rows.append(torch.stack(outputs))
    return torch.stack(rows)


def elman(f: Callable[[Tensor], Tensor] = tanh, *, bias: bool = True) -> Callable[..., Any]:
    return lambda into, back, state, k: [f(into(0, k) + back(0, k, bias=bias))]


def lstm(order: str = "ifgo", *, forget: bool = True, bias: bool = True) -> Callable[..., Any]:
    def rule(into: Any, back: Any, state: Any, k: int) -> list[Tensor]:
        a = {name: into(n, k) + back(n, k, bias=bias) for n, name in enumerate(order)}
        c = (s(a["f"]) if forget else 1.0) * state[1][k] + s(a["i"]) * tanh(a["g"])
        return [s(a["o"]) * tanh(c), c]

    return rule


def gru(order: str = "rzn", reset: str = "after", *, turned: bool = False) -> Callable[..., Any]:
    def rule(into: Any, back: Any, state: Any, k: int) -> list[Tensor]:
        at = {name: n for n, name in enumerate(order)}
        r = [s(into(at["r"], j) + back(at["r"], j)) for j in range(H)]
        z = s(into(at["z"], k) + back(at["z"], k))
        if reset == "after":
            n = tanh(into(at["n"], k) + r[k] * back(at["n"], k))
        else:
            n = tanh(into(at["n"], k) + back(at["n"], k, [r[j] * state[0][j] for j in range(H)]))
        z = 1 - z if turned else z
        return [z * state[0][k] + (1 - z) * n]

    return rule


EQUATIONS: dict[str, tuple[Callable[[], Recurrent], Any, list[Any]]] = {
    "tanh": (lambda: RNN(D, H), elman(), [elman(bias=False), elman(s)]),
    "relu": (
        lambda: RNN(D, H, activation="relu"),
        elman(lambda a: a * (a > 0)),
        [elman(), elman(lambda a: a)],
    ),
    "lstm": (
        lambda: LSTM(D, H),
        lstm(),
        [lstm("figo"), lstm("igfo"), lstm("ifog"), lstm(forget=False), lstm(bias=False)],
    ),
    "lstm without a forget gate": (
        lambda: LSTM(D, H, forget_gate=False),
        lstm(forget=False),
        [lstm(), lstm("ofgi", forget=False)],
    ),
    "gru": (
        lambda: GRU(D, H),
        gru(),
        [gru("zrn"), gru("rnz"), gru(reset="before"), gru(turned=True)],
    ),
    "gru that resets before the product": (
        lambda: GRU(D, H, reset="before"),
        gru(reset="before"),
        [gru(), gru("zrn", "before")],
    ),
}


@pytest.mark.parametrize("name", EQUATIONS)
def test_each_unit_equals_its_equations_and_no_broken_ones(name: str) -> None:
    build, rule, broken = EQUATIONS[name]
    torch.manual_seed(1)
    layer = build().double()
    for p in layer.parameters():
        nn.init.normal_(p)
    x = torch.randn(2, 3, D, dtype=torch.float64, requires_grad=True)
    leaves = [x, *layer.parameters()]
    y = (layer(x)[0],)
    assert same(y, (twin(layer, x, rule),), leaves, leaves)
    for wrong in broken:
        assert not same(y, (twin(layer, x, wrong),), leaves, leaves)


def test_without_biases_the_gru_that_resets_before_has_none() -> None:
    torch.manual_seed(0)
    bare, zero = (GRU(D, H, reset="before", bias=bias) for bias in (False, True))
    with torch.no_grad():
        for name, one in zero.named_parameters():
            one.copy_(torch.zeros(()) if name.startswith("bias") else bare.get_parameter(name))
    x = torch.randn(B, T, D)
    torch.testing.assert_close(bare(x)[0], zero(x)[0])


def test_hand_set_weights_add_up_and_remember() -> None:
    adder = RNN(1, 1, activation="relu", bias=False)
    with torch.no_grad():
        for p in adder.parameters():
            p.fill_(1.0)
    x = torch.tensor([[[1.0], [2.0], [3.0]]])
    assert adder(x)[0].flatten().tolist() == [1.0, 3.0, 6.0]
    # Gates far open or shut: the cell takes its first input in and keeps it.
    latch = LSTM(2, 1)
    with torch.no_grad():
        for p in latch.parameters():
            p.zero_()
        latch.get_parameter("weight_ih_l0")[0] = torch.tensor([0.0, 200.0])  # i: the second input
        latch.get_parameter("weight_ih_l0")[2] = torch.tensor([1.0, 0.0])  # g: the first input
        latch.get_parameter("bias_ih_l0").copy_(torch.tensor([-100.0, 100.0, 0.0, 100.0]))
    x = torch.tensor([[[0.5, 1.0], [9.0, 0.0], [-7.0, 0.0]]])
    _, (_, c) = latch(x)
    assert c.item() == pytest.approx(torch.tanh(torch.tensor(0.5)).item())


def test_the_forget_gate_starts_where_it_is_told() -> None:
    layer = LSTM(D, H, forget_bias=1.5, layers=2, bidirectional=True)
    for name, one in layer.named_parameters():
        if name.startswith("bias"):
            start = 1.5 if "ih" in name else 0.0
            assert one[H : 2 * H].tolist() == [start] * H
            assert (one[:H] != start).all()
            assert (one[2 * H :] != start).all()


# --- sequences of different lengths


@pytest.mark.parametrize("kind", LAYERS)
def test_a_padded_sequence_gives_what_torch_gives_packed(kind: str) -> None:
    ours, theirs = made(kind, bidirectional=True)
    lengths = torch.tensor([3, 5, 1, 4])
    x = torch.randn(B, T, D, dtype=torch.float64)
    y, end = ours(x, None, lengths)
    packed, last = theirs(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
    padded, _ = pad_packed_sequence(packed, batch_first=True)
    last = last if isinstance(last, tuple) else (last,)
    params = (list(ours.parameters()), list(theirs.parameters()))
    assert same((y, *end), (padded, *last), *params)
    plain, plain_end = ours(x)
    assert not same((plain, *plain_end), (padded, *last), *params)
    # What stands in the padding does not matter.
    beyond = torch.arange(T) >= lengths.unsqueeze(1)
    changed, changed_end = ours(x.masked_fill(beyond.unsqueeze(2), 7.0), None, lengths)
    assert torch.equal(y, changed)
    assert all(torch.equal(a, b) for a, b in zip(end, changed_end, strict=True))


# --- dropout


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("build", [GRU, LSTM, RNN])
def test_dropout_lies_between_the_layers_and_nowhere_else(
    build: Callable[..., Recurrent], fused: bool, bidirectional: bool
) -> None:
    width = 80 if bidirectional else 40
    settings = {"fused": fused, "bidirectional": bidirectional}
    layer = build(D, 40, layers=2, dropout=0.5, **settings)
    first, second = build(D, 40, bidirectional=bidirectional), build(width, 40, **settings)
    for part, number in ((first, 0), (second, 1)):
        with torch.no_grad():
            for name, one in part.named_parameters():
                one.copy_(layer.get_parameter(name.replace("l0", f"l{number}")))
    x = torch.randn(B, T, D, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(4)
    y, _ = layer(x)
    torch.manual_seed(4)
    # The same draws on every path: those of outputs with time outermost in memory.
    mask = F.dropout(torch.ones(T, B, width), 0.5).transpose(0, 1)
    torch.testing.assert_close(y, second(first(x)[0] * mask)[0])
    assert not torch.allclose(y, layer(x)[0])
    state = torch.get_rng_state()
    torch.testing.assert_close(layer.eval()(x)[0], second(first(x)[0])[0])
    assert torch.equal(torch.get_rng_state(), state)


# --- the fused kernel, vmap and lanes


def test_the_kernel_is_used_only_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    kernel = torch.lstm

    def counting(*given: Any) -> Any:
        calls.append("kernel")
        return kernel(*given)

    monkeypatch.setattr(torch, "lstm", counting)
    x = torch.randn(B, T, D)
    LSTM(D, H, layers=3)(x)
    assert len(calls) == 3
    for build, more in (
        (LSTM(D, H, fused=False), ()),
        (LSTM(D, H), (None, torch.tensor([1, 2, 3, 4]))),
        (LSTM(D, H, forget_gate=False), ()),
    ):
        build(x, *more)
    network = LSTM(D, H)
    vmap(lambda x: functional_call(network, dict(network.named_parameters()), (x,))[0])(x[None])
    assert len(calls) == 3


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mapped_over_networks_each_gives_what_it_gives_alone(kind: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    build = LAYERS[kind][0]
    networks = [build(D, H, layers=2, bidirectional=True).to(dtype) for _ in range(3)]
    parameters, buffers = stack_module_state(networks)
    x = torch.randn(3, B, T, D, dtype=dtype)

    def one(parameters: dict[str, Tensor], x: Tensor) -> tuple[Tensor, ...]:
        y, end = functional_call(networks[0], (parameters, buffers), (x,))
        return (y, *end)

    mapped = vmap(one)(parameters, x)
    for k, network in enumerate(networks):
        y, end = network(x[k])
        for a, b in zip(mapped, (y, *end), strict=True):
            torch.testing.assert_close(a[k], b)


class Classifier(nn.Module):
    """A recurrent network whose mean output over time is classified."""

    def __init__(self, build: Callable[..., Recurrent]) -> None:
        super().__init__()
        self.body = build(D, H, layers=2, bidirectional=True, dropout=0.3)
        self.head = nn.Linear(2 * H, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x)[0].mean(1))


@pytest.mark.parametrize("kind", ["tanh", "lstm", "gru"])
def test_training_in_lanes_equals_the_loop(kind: str) -> None:
    g = torch.Generator().manual_seed(0)
    data = (torch.randn(14, 3, D, generator=g).double(), torch.randint(3, (14,), generator=g))
    lanes_equal_the_loop(
        lambda: Classifier(LAYERS[kind][0]),
        lambda network, batch: F.cross_entropy(network(batch[0]), batch[1]),
        data,
        batch_size=6,
        steps=4,
    )


# --- wrong input


def test_sizes_and_probabilities_that_cannot_be_are_refused() -> None:
    for build in (LSTM, GRU, RNN):
        with pytest.raises(PracticumError, match="hidden is 0"):
            build(3, 0)
        with pytest.raises(PracticumError, match="layers is 0"):
            build(3, 2, layers=0)
        with pytest.raises(PracticumError, match=r"not in \[0, 1\)"):
            build(3, 2, dropout=1.0)
    with pytest.raises(PracticumError, match="inputs is -1"):
        LSTMCell(-1, 2)
    with pytest.raises(PracticumError, match="no time step"):
        LSTM(3, 2)(torch.ones(2, 0, 3))


def test_unknown_names_are_named_with_the_near_one() -> None:
    with pytest.raises(PracticumError, match="did you mean 'tanh'"):
        RNN(3, 2, activation="tan")
    with pytest.raises(PracticumError, match="did you mean 'before'"):
        GRU(3, 2, reset="befor")
