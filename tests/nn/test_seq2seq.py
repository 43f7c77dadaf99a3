"""Encoder and decoder against a twin that walks one sequence, one word at a time, unpadded.

Would catch: a context that is read too early, too late or not at all, a lost mask, a start that is
not the encoder's end, directions or layers that mix, input feeding that is not fed, a short cut
through time that differs from the steps, decoding that goes on after END, a network that cannot be
mapped over lanes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from practicum.errors import PracticumError
from practicum.nn.recurrent import Recurrent
from practicum.nn.seq2seq import AFTER, BEGIN, END, PAD, READS, Seq2Seq
from tests.nn.checks import lanes_equal_the_loop

B, S, T, U, V, E, H = 3, 5, 4, 7, 6, 2, 4
LENGTHS = torch.tensor([5, 2, 3])
PEERS = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}
KINDS = [(reads, False) for reads in READS] + [(reads, True) for reads in AFTER]
BROKEN = {
    "start": ("start from zeros", "backwards"),
    "always": ("start from zeros", "no context"),
    "mean": ("padding counts", "no context"),
    "additive": ("too late", "padding counts", "no context", "sum"),
    "dot": ("too early", "padding counts", "no tanh"),
    "scaled": ("too early", "unscaled"),
    "general": ("too early", "sum", "not fed"),
}


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(4)
    yield
    torch.set_default_dtype(torch.float32)


def made(reads: str, cell: str = "lstm", **more: Any) -> Seq2Seq:
    network = Seq2Seq(U, V, width=E, hidden=H, cell=cell, reads=reads, **more)
    for one in network.parameters():
        nn.init.normal_(one)
    return network


def pairs() -> tuple[Tensor, Tensor]:
    """Sources with rubbish, not PAD, beyond their ends; decoder inputs."""
    source = torch.randint(1, U, (B, S))
    inputs = torch.randint(0, V, (B, T))
    inputs[:, 0] = BEGIN
    return source, inputs


# --- the twin


def turn(
    layers: Recurrent, cell: str, name: str, x: Tensor, state: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """One time step of one layer, by torch's cell with our weights; vectors in and out."""
    weights = {
        part: getattr(layers, f"{part}_{name}")
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    given = tuple(one[None] for one in state)
    peer = PEERS[cell](len(x), len(state[0]))
    out = functional_call(peer, weights, (x[None], given if cell == "lstm" else given[0]))
    return tuple(one[0] for one in (out if isinstance(out, tuple) else (out,)))


def read(
    network: Seq2Seq, cell: str, words: list[Tensor]
) -> tuple[list[Tensor], list[tuple[Tensor, ...]]]:
    """Keys and the last state of every layer of one source."""
    encoder, states = network.encoder, []
    count = 2 if cell == "lstm" else 1
    for layer in range(encoder.layers):
        sides, ends = [], []
        for back, side in enumerate(("", "_reverse")[: encoder.directions]):
            state = (torch.zeros(encoder.hidden),) * count
            out = {}
            order = range(len(words))
            for j in reversed(order) if back else order:
                state = turn(encoder, cell, f"l{layer}{side}", words[j], state)
                out[j] = state[0]
            sides.append(out)
            ends.append(state)
        words = [torch.cat([out[j] for out in sides]) for j in range(len(words))]
        states.append(tuple(torch.cat(parts) for parts in zip(*ends, strict=True)))
    return words, states


def look(network: Seq2Seq, s: Tensor, keys: list[Tensor], broken: str) -> Tensor:
    """The context of one query."""
    attention = network.attention
    if network.reads == "mean":
        return torch.stack(keys).mean(0)
    scores = []
    for k in keys:
        if network.reads == "additive":
            hidden = torch.tanh(attention.query.weight @ s + attention.key.weight @ k)  # type: ignore[union-attr, operator]  # what it is
            scores.append(attention.score.weight[0] @ hidden)  # type: ignore[union-attr, index]
        elif network.reads == "general":
            scores.append(s @ attention.key.weight @ k)  # type: ignore[union-attr, operator]
        else:
            scaled = network.reads == "scaled" and broken != "unscaled"
            scores.append((s @ k) / (H**0.5 if scaled else 1))
    weights = torch.stack(scores).softmax(0)
    if broken == "sum":
        weights = torch.ones_like(weights)
    return (weights[:, None] * torch.stack(keys)).sum(0)


def twin(
    network: Seq2Seq, cell: str, source: Tensor, inputs: Tensor, lengths: Tensor, broken: str = ""
) -> Tensor:
    """The logits, sequence by sequence and word by word."""
    rows = []
    for b in range(len(source)):
        words = [network.source.weight[x] for x in source[b, : int(lengths[b])].tolist()]
        keys, states = read(network, cell, words[::-1] if broken == "backwards" else words)
        if broken == "padding counts":
            keys = keys + [torch.zeros(H)] * (source.shape[1] - len(keys))
        if broken == "start from zeros":
            states = [tuple(torch.zeros_like(one) for one in state) for state in states]
        final, q = states[-1][0], torch.zeros(H)
        for y in inputs[b].tolist():
            x, s = network.target.weight[y], states[-1][0]
            c = torch.zeros(H)
            early = network.reads in ("mean", "additive") or broken == "too early"
            if broken != "no context":
                if network.reads == "always":
                    c = final
                elif early:
                    c = look(network, s, keys, broken)
            reading = network.reads in ("always", "mean", "additive")
            x = torch.cat((x, c)) if reading else x
            if network.feeding:
                x = torch.cat((x, torch.zeros(H) if broken == "not fed" else q))
            for layer, state in enumerate(states):
                states[layer] = turn(network.decoder, cell, f"l{layer}", x, state)
                x = states[layer][0]
            s = states[-1][0]
            late = network.reads in AFTER and broken != "too early"
            if late or broken == "too late":
                c = look(network, s, keys, broken)
            q = s
            if network.reads != "start":
                q = network.join.weight @ torch.cat((c, s))
                q = q if broken == "no tanh" else torch.tanh(q)
            rows.append(network.output.weight @ q + network.output.bias)
    return torch.stack(rows).view(*inputs.shape, V)


def same(ours: Tensor, theirs: Tensor, network: Seq2Seq) -> bool:
    """Whether two results and their gradients agree to rounding."""
    weights = torch.linspace(0, 5, ours.numel()).view(ours.shape).sin()
    leaves = list(network.parameters())
    a, b = (
        torch.autograd.grad(
            (one * weights).sum(),
            leaves,
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        for one in (ours, theirs)
    )
    return torch.allclose(ours, theirs, rtol=1e-10, atol=1e-11) and all(
        torch.allclose(p, q, rtol=1e-9, atol=1e-10) for p, q in zip(a, b, strict=True)
    )


@pytest.mark.parametrize(("reads", "feeding"), KINDS)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_it_equals_the_twin_in_value_and_gradient_and_not_broken_ones(
    cell: str, reads: str, feeding: bool
) -> None:
    network = made(reads, cell, feeding=feeding)
    source, inputs = pairs()
    ours = network(source, inputs, LENGTHS)
    assert same(ours, twin(network, cell, source, inputs, LENGTHS), network)
    for broken in BROKEN[reads]:
        if broken == "not fed" and not feeding:
            continue
        assert not same(ours, twin(network, cell, source, inputs, LENGTHS, broken), network), broken


@pytest.mark.parametrize("reads", ["start", "always", "additive", "general"])
def test_layers_and_directions_equal_the_twin(reads: str) -> None:
    for cell in ("rnn", "gru"):
        network = made(reads, cell, layers=2, bidirectional=True)
        source, inputs = pairs()
        right = twin(network, cell, source, inputs, LENGTHS)
        assert same(network(source, inputs, LENGTHS), right, network)
        assert not same(network(source, inputs, LENGTHS.flip(0)), right, network)


@pytest.mark.parametrize(("reads", "feeding"), KINDS)
def test_what_lies_beyond_the_end_changes_nothing(reads: str, feeding: bool) -> None:
    network = made(reads, feeding=feeding, bidirectional=True)
    source, inputs = pairs()
    other = torch.where(torch.arange(S) < LENGTHS[:, None], source, PAD)
    a, b = network(source, inputs, LENGTHS), network(other, inputs, LENGTHS)
    assert torch.equal(a, b)
    assert not torch.allclose(a, network(other, inputs), rtol=1e-3)  # without lengths it counts
    b.sin().sum().backward()
    assert network.source.weight.grad is not None
    assert (network.source.weight.grad[PAD] == 0).all()
    for lengths in (LENGTHS, None):
        words, weights = network.greedy(source, 3, lengths)
        again, _ = network.greedy(other if lengths is not None else source, 3, lengths)
        assert torch.equal(words, again)
        if reads in (*AFTER, "additive"):
            assert torch.allclose(weights.sum(-1), torch.ones(B, 3))
    _, weights = network.greedy(source, 3, LENGTHS)
    assert (weights[1, :, 2:] == 0).all()


@pytest.mark.parametrize(("reads", "feeding"), KINDS)
def test_all_at_once_equals_step_by_step(reads: str, feeding: bool) -> None:
    network = made(reads, "gru", feeding=feeding, layers=2)
    source, inputs = pairs()
    at_once = network(source, inputs, LENGTHS)
    stepped = network(source, inputs, LENGTHS, torch.ones_like(inputs, dtype=torch.bool))
    assert same(at_once, stepped, network)


@pytest.mark.parametrize(("reads", "feeding"), KINDS)
def test_running_freely_is_greedy_decoding(reads: str, feeding: bool) -> None:
    network = made(reads, feeding=feeding)
    source, inputs = pairs()
    never = torch.zeros_like(inputs, dtype=torch.bool)
    logits = network(source, inputs, LENGTHS, never)
    words, _ = network.greedy(source, T, LENGTHS)
    for b in range(B):
        said = logits[b].argmax(-1).tolist()
        end = said.index(END) + 1 if END in said else T
        assert words[b].tolist() == [*said[:end], *[PAD] * (T - end)]
    # Where one word is forced, only what follows it changes.
    forced = never.clone()
    forced[:, 2] = True
    inputs[:, 2] = (logits.argmax(-1)[:, 1] + 1) % V
    other = network(source, inputs, LENGTHS, forced)
    assert torch.equal(other[:, :2], logits[:, :2])
    assert (other[:, 2] != logits[:, 2]).any(-1).all()


def test_decoding_stops_at_the_end() -> None:
    network = made("dot")
    with torch.no_grad():
        network.output.weight.zero_()
        network.output.bias.copy_(torch.tensor([0.0, 0, 9, 0, 0, 0]))
    words, _ = network.greedy(pairs()[0], 3)
    assert words.tolist() == [[END, PAD, PAD]] * B


@pytest.mark.parametrize(("reads", "feeding"), KINDS)
def test_one_beam_is_greedy_and_a_wide_one_is_exact(reads: str, feeding: bool) -> None:
    network = made(reads, feeding=feeding)
    source, _ = pairs()
    words, _ = network.greedy(source, T, LENGTHS)
    one = network.beam(source, T, LENGTHS, size=1, alpha=0.6)
    assert torch.equal(one.words[:, 0], words)

    others = [w for w in range(V) if w != END]
    every = [(END, PAD), *((w, END) for w in others), *itertools.product(others, repeat=2)]
    found = network.beam(source, 2, LENGTHS, size=len(every), alpha=0.6)
    targets = torch.tensor(every)
    inputs = torch.stack((torch.full((len(every),), BEGIN), targets[:, 0]), 1)
    for b in range(B):
        log_p = network(
            source[b : b + 1].expand(len(every), -1), inputs, LENGTHS[b : b + 1].expand(len(every))
        ).log_softmax(-1)
        each = log_p.gather(2, targets[..., None])[..., 0]
        each[0, 1] = 0.0  # after END
        total = each.sum(1) / torch.where(targets[:, 0] == END, 1.0, (7 / 6) ** 0.6)
        order = total.argsort(descending=True)
        assert torch.equal(found.words[b], targets[order])
        assert torch.allclose(found.scores[b], total[order], rtol=1e-11)


@pytest.mark.parametrize(("reads", "feeding"), [("start", False), ("mean", False),
                                               ("additive", False), ("general", True)])  # fmt: skip
def test_training_in_lanes_equals_the_loop(reads: str, feeding: bool) -> None:
    torch.set_default_dtype(torch.float32)
    g = torch.Generator().manual_seed(0)
    data = (
        torch.randint(3, U, (14, 3), generator=g),
        torch.randint(1, V, (14, 3), generator=g),
        torch.randint(1, 4, (14,), generator=g),
        torch.rand(14, 3, generator=g) < 0.5,
    )

    def loss(network: Any, batch: tuple[Tensor, ...]) -> Tensor:
        source, target, lengths, forced = batch
        logits = network(source, target, lengths, forced)
        return nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())

    lanes_equal_the_loop(
        lambda: Seq2Seq(U, V, width=E, hidden=H, reads=reads, feeding=feeding, bidirectional=True),
        loss,
        data,
        batch_size=6,
        steps=3,
    )


def test_settings_that_make_no_sense_are_refused() -> None:
    for more, match in (
        ({"reads": "dots"}, "no reading named"),
        ({"cell": "ltsm"}, "no cell named"),
        ({"reads": "additive", "feeding": True}, "input feeding goes with"),
        ({"hidden": 5, "bidirectional": True}, "5 is odd"),
    ):
        with pytest.raises(PracticumError, match=match):
            Seq2Seq(U, V, **{"width": E, "hidden": H, **more})  # type: ignore[arg-type]
    with pytest.raises(PracticumError, match="alone are 3"):
        Seq2Seq(2, V, width=E, hidden=H)
