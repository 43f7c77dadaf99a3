"""The Transformer against torch's layers, and its generation with a cache against that without.

Would catch: pre- and post-norm exchanged, a sublayer that is not added, norms in another order than
torch's, a mask that reaches the wrong attention, padding that is seen, a decoder that sees what
comes later, positions that start again with every cached token, embeddings without their factor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from practicum.errors import PracticumError
from practicum.nn.attention import causal_mask, padding_mask
from practicum.nn.positions import Positions, sinusoidal
from practicum.nn.transformer import DecoderLayer, EncoderLayer, Transformer
from tests.nn.checks import dropped, lanes_equal_the_loop

B, S, T, E, N, HIDDEN = 2, 5, 4, 12, 3, 10
WORDS, V = 7, 9
LENGTHS = torch.tensor([5, 3])


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
    return torch.allclose(ours, theirs, rtol=1e-11, atol=1e-11) and all(
        torch.allclose(p, q, rtol=1e-9, atol=1e-11) for p, q in zip(a, b, strict=True)
    )


def scatter(network: nn.Module) -> None:
    for p in network.parameters():
        nn.init.normal_(p, std=0.5)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("pre_norm", [False, True])
def test_the_encoder_layer_equals_torch_in_value_and_gradient(
    pre_norm: bool, activation: str
) -> None:
    ours = EncoderLayer(E, N, HIDDEN, dropout=0, activation=activation, pre_norm=pre_norm)
    theirs = nn.TransformerEncoderLayer(
        E, N, HIDDEN, 0.0, activation, batch_first=True, norm_first=pre_norm
    )
    scatter(ours)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(B, S, E, requires_grad=True)
    mine, others = [x, *ours.parameters()], [x, *theirs.parameters()]
    names = dict(ours.named_parameters())
    others = [x, *(theirs.get_parameter(name) for name in names)]
    mask = padding_mask(LENGTHS, S)
    peer = theirs(x, src_key_padding_mask=~mask.flatten(1))
    assert same(ours(x, mask), peer, mine, others)
    assert not same(ours(x), peer, mine, others)
    for changed in (
        {"pre_norm": not pre_norm},
        {"activation": "gelu" if activation == "relu" else "relu"},
    ):
        settings = {"activation": activation, "pre_norm": pre_norm} | changed
        wrong = EncoderLayer(E, N, HIDDEN, dropout=0, **settings)
        wrong.load_state_dict(ours.state_dict())
        assert not torch.allclose(wrong(x, mask), peer, rtol=1e-3)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("pre_norm", [False, True])
def test_the_decoder_layer_equals_torch_in_value_and_gradient(
    pre_norm: bool, activation: str
) -> None:
    ours = DecoderLayer(E, N, HIDDEN, dropout=0, activation=activation, pre_norm=pre_norm)
    theirs = nn.TransformerDecoderLayer(
        E, N, HIDDEN, 0.0, activation, batch_first=True, norm_first=pre_norm
    )
    scatter(ours)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(B, T, E, requires_grad=True)
    memory = torch.randn(B, S, E, requires_grad=True)
    mine = [x, memory, *ours.parameters()]
    names = [name for name, _ in ours.named_parameters()]
    others = [x, memory, *(theirs.get_parameter(name) for name in names)]
    mask = padding_mask(LENGTHS, S)
    hidden = {"memory_key_padding_mask": ~mask.flatten(1)}
    peer = theirs(x, memory, tgt_mask=~causal_mask(T), **hidden)
    assert same(ours(x, memory, mask), peer, mine, others)
    assert not same(ours(x, memory), peer, mine, others)
    assert not same(ours(x, memory, mask), theirs(x, memory, **hidden), mine, others)
    wrong = DecoderLayer(E, N, HIDDEN, dropout=0, activation=activation, pre_norm=not pre_norm)
    wrong.load_state_dict(ours.state_dict())
    assert not torch.allclose(wrong(x, memory, mask), peer, rtol=1e-3)


def network(pre_norm: bool = False, **more: object) -> Transformer:
    settings = {
        "width": E, "heads": N, "hidden": HIDDEN, "layers": 2, "length": 20, "dropout": 0.0,
        "pre_norm": pre_norm,
    } | more  # fmt: skip
    made = Transformer(WORDS, V, **settings)  # type: ignore[arg-type]  # any setting
    for one in (*made.encoder, *made.decoder):
        scatter(one)
    return made


@pytest.mark.parametrize("pre_norm", [False, True])
def test_the_whole_equals_torch_s_stacks_between_embedding_and_output(pre_norm: bool) -> None:
    ours = network(pre_norm)
    norms = (nn.LayerNorm(E), nn.LayerNorm(E)) if pre_norm else (None, None)
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(E, N, HIDDEN, 0.0, batch_first=True, norm_first=pre_norm),
        2, norms[0], enable_nested_tensor=False,
    )  # fmt: skip
    decoder = nn.TransformerDecoder(
        nn.TransformerDecoderLayer(E, N, HIDDEN, 0.0, batch_first=True, norm_first=pre_norm),
        2, norms[1],
    )  # fmt: skip
    encoder.layers.load_state_dict(ours.encoder.state_dict())
    decoder.layers.load_state_dict(ours.decoder.state_dict())
    source, target = torch.randint(WORDS, (B, S)), torch.randint(V, (B, T))
    hidden = ~padding_mask(LENGTHS, S).flatten(1)
    x = math.sqrt(E) * ours.source.weight[source] + sinusoidal(20, E)[:S]
    y = math.sqrt(E) * ours.target.weight[target] + sinusoidal(20, E)[:T]
    memory = encoder(x, src_key_padding_mask=hidden)
    out = decoder(y, memory, tgt_mask=~causal_mask(T), memory_key_padding_mask=hidden)
    theirs = out @ ours.target.weight.T
    logits = ours(source, target, LENGTHS)
    tables = [ours.source.weight, ours.target.weight]
    names = [name for name, _ in ours.encoder.named_parameters()]
    mine = [*tables, *(ours.encoder.get_parameter(name) for name in names)]
    others = [*tables, *(encoder.layers.get_parameter(name) for name in names)]
    assert same(logits, theirs, mine, others)
    assert not same(ours(source, target), theirs, mine, others)
    assert not same(ours(source.flip(1), target, LENGTHS), theirs, mine, others)


def test_padding_and_later_tokens_do_not_matter() -> None:
    ours = network(True)
    source, target = torch.randint(WORDS, (B, S)), torch.randint(V, (B, T))
    logits = ours(source, target, LENGTHS)
    padded = source.clone()
    padded[1, 3:] = (padded[1, 3:] + 1) % WORDS
    assert torch.equal(ours(padded, target, LENGTHS), logits)
    assert not torch.allclose(ours(padded, target)[1], ours(source, target)[1])
    later = target.clone()
    later[:, 2:] = (later[:, 2:] + 1) % V
    changed = ours(source, later, LENGTHS)
    assert torch.allclose(changed[:, :2], logits[:, :2])
    assert not torch.allclose(changed[:, 2:], logits[:, 2:])


@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("learned", [False, True])
def test_generation_with_a_cache_equals_generation_without(
    pre_norm: bool, learned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = network(pre_norm, learned=learned, tied=False).eval()
    for p in ours.decoder.parameters():  # small: the words read decide what follows
        p.data.mul_(0.3)
    for one in ours.decoder.modules():
        if isinstance(one, nn.LayerNorm):
            one.reset_parameters()
    nn.init.normal_(ours.target.weight)
    ours.output.weight.data.copy_(ours.target.weight.roll(1, 0))  # likely the next in the list
    if learned:
        nn.init.normal_(ours.positions.weight)
    source = torch.randint(WORDS, (B, S))
    plain = ours.generate(source, 1, 12, LENGTHS, cached=False)
    assert plain.shape == (B, 12)
    assert len(plain.unique()) > 2
    assert torch.equal(plain, ours.generate(source, 1, 12, LENGTHS))
    # Not only the words: the logits, too.
    begin = torch.ones(B, 1, dtype=torch.int64)
    target = torch.cat((begin, plain[:, :-1]), 1)
    memory, caches = ours.encode(source, LENGTHS), ours.caches()
    steps = [ours.decode(one, memory, LENGTHS, caches) for one in target.split(1, 1)]
    whole = ours(source, target, LENGTHS)
    assert torch.allclose(torch.cat(steps, 1), whole, rtol=1e-10, atol=1e-12)
    assert torch.equal(whole.argmax(-1), plain)
    # Rows of the caches can be exchanged, as beams do.
    for one in caches:
        one.select(torch.tensor([1, 0]))
    after = ours.decode(begin, memory.flip(0), LENGTHS.flip(0), caches)
    longer = ours(source, torch.cat((target.flip(0), begin), 1).flip(0), LENGTHS)[:, -1]
    assert torch.allclose(after[:, 0].flip(0), longer)
    # Broken: positions that start again with every token.
    forward = Positions.forward
    monkeypatch.setattr(Positions, "forward", lambda self, x, start=0: forward(self, x))
    caches = ours.caches()
    steps = [ours.decode(one, memory, LENGTHS, caches) for one in target.split(1, 1)]
    assert not torch.allclose(torch.cat(steps, 1), whole, rtol=1e-3)


def test_every_parameter_gets_a_gradient_and_the_output_is_tied_on_wish() -> None:
    source, target = torch.randint(WORDS, (6, S)), torch.randint(V, (6, T))
    for tied in (True, False):
        ours = network(True, tied=tied, learned=True, length=S, dropout=0.1)
        assert (ours.output.weight is ours.target.weight) == tied
        F.cross_entropy(ours(source, target).transpose(1, 2), target).backward()
        for name, one in ours.named_parameters():
            assert one.grad is not None, name
            assert one.grad.abs().sum() > 0, name


def test_dropout_acts_where_it_should_and_while_training_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = network(dropout=0.3, layers=1)
    source, target = torch.randint(WORDS, (B, S)), torch.randint(V, (B, T))
    read = [(B, S, E), (B, N, S, S), (B, S, E), (B, S, HIDDEN), (B, S, E)]
    wrote = [(B, T, E), (B, N, T, T), (B, T, E), (B, N, T, S), (B, T, E), (B, T, HIDDEN), (B, T, E)]
    assert dropped(lambda: ours(source, target), monkeypatch) == [*read, *wrote]
    assert dropped(lambda: ours.eval()(source, target), monkeypatch) == []
    assert not torch.allclose(ours.train()(source, target), ours(source, target))
    bare = network(layers=1)
    bare.load_state_dict(ours.state_dict())
    assert torch.equal(ours.eval()(source, target), bare(source, target))


def test_training_in_lanes_equals_the_loop() -> None:
    torch.set_default_dtype(torch.float32)
    g = torch.Generator().manual_seed(0)
    data = (torch.randint(WORDS, (10, 3), generator=g), torch.randint(V, (10, 3), generator=g))
    lanes_equal_the_loop(
        lambda: Transformer(
            WORDS, V, width=6, heads=2, hidden=5, layers=1, length=4, dropout=0.2, pre_norm=True
        ),
        lambda network, batch: F.cross_entropy(
            network(batch[0], batch[1][:, :-1]).flatten(0, 1), batch[1][:, 1:].flatten()
        ),
        data,
        batch_size=4,
        steps=3,
    )


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(PracticumError, match="did you mean 'gelu'"):
        EncoderLayer(E, N, HIDDEN, activation="gel")
    with pytest.raises(PracticumError, match="did you mean 'relu'"):
        DecoderLayer(E, N, HIDDEN, activation="rel")
    with pytest.raises(PracticumError, match="layers is 0"):
        network(layers=0)
    with pytest.raises(PracticumError, match="there are 20"):
        network()(torch.zeros(1, 21, dtype=torch.int64), torch.zeros(1, 2, dtype=torch.int64))
