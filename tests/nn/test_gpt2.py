"""GPT-2 against a twin with loops, against files in the published layout, and against transformers.

Would catch: matrices read transposed, queries, keys and values exchanged, heads cut in another
order, a norm at the wrong place or missing at the end, the other GELU, a missing scale, a mask
moved by one, an output that is not tied, positions that start again with a cache, a file of another
network that is read as if it were one. Not here: training of a whole one (its lab).
"""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from practicum.errors import PracticumError
from practicum.nn.gpt2 import GPT2, GPT2Config
from tests.nn.checks import dropped, lanes_equal_the_loop

B, T, E, N, V = 2, 4, 6, 2, 11
SMALL = GPT2Config(vocabulary=V, positions=16, width=E, layers=2, heads=N, hidden=9, dropout=0.0)


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(3)
    yield
    torch.set_default_dtype(torch.float32)


def network(config: GPT2Config = SMALL) -> GPT2:
    made = GPT2(config)
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.7)
    return made


def norm(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    centred = x - x.mean()
    scaled = centred / torch.sqrt((centred**2).mean() + 1e-5)
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]


def affine(x: Tensor, w: dict[str, Tensor], name: str, *, turned: bool = False) -> Tensor:
    matrix = w[f"{name}.weight"]
    if turned and matrix.shape[0] == matrix.shape[1]:
        matrix = matrix.T
    return torch.stack(
        [(x * matrix[:, j]).sum() + w[f"{name}.bias"][j] for j in range(matrix.shape[1])]
    )


def gelu(a: Tensor) -> Tensor:
    return a / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a**3)))


def twin(w: dict[str, Tensor], tokens: Tensor, broken: str = "") -> Tensor:
    """The equations (1) to (5), a position at a time, from weights by their published names."""
    d, out = E // N, []
    for row in tokens:
        xs = [w["wte.weight"][int(t)] + w["wpe.weight"][i] for i, t in enumerate(row)]
        for layer in range(2):
            h = f"h.{layer}"
            made = [affine(norm(x, w, f"{h}.ln_1"), w, f"{h}.attn.c_attn") for x in xs]
            order = (1, 0, 2) if broken == "order" else (0, 1, 2)
            q, k, v = ([one[n * E : (n + 1) * E] for one in made] for n in order)
            for i in range(len(xs)):
                heads = []
                for n in range(N):
                    cut = slice(n, None, N) if broken == "heads" else slice(n * d, (n + 1) * d)
                    seen = range(len(xs)) if broken == "mask" else range(i + 1)
                    scale = 1.0 if broken == "scale" else math.sqrt(d)
                    e = [torch.exp((q[i][cut] * k[j][cut]).sum() / scale) for j in seen]
                    heads.append(sum(a / sum(e) * v[j][cut] for a, j in zip(e, seen, strict=True)))
                y = affine(torch.cat(heads), w, f"{h}.attn.c_proj", turned=broken == "transposed")
                xs[i] = xs[i] + y
            for i, x in enumerate(xs):
                hidden = affine(norm(x, w, f"{h}.ln_2"), w, f"{h}.mlp.c_fc")
                hidden = F.gelu(hidden) if broken == "gelu" else gelu(hidden)
                xs[i] = x + affine(hidden, w, f"{h}.mlp.c_proj")
        if broken != "norm":
            xs = [norm(x, w, "ln_f") for x in xs]
        out.append(torch.stack([w["wte.weight"] @ x for x in xs]))
    return torch.stack(out)


def same(ours: Tensor, theirs: Tensor, leaves: list[Tensor]) -> bool:
    """Whether two results and their gradients agree to rounding."""
    weights = torch.linspace(0, 5, ours.numel()).view(ours.shape).sin()
    a = torch.autograd.grad((ours * weights).sum(), leaves, retain_graph=True)
    b = torch.autograd.grad((theirs * weights).sum(), leaves, retain_graph=True)
    return torch.allclose(ours, theirs, rtol=1e-9, atol=1e-10) and all(
        torch.allclose(p, q, rtol=1e-8, atol=1e-9) for p, q in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("fused", [True, False])
def test_it_equals_its_equations_in_value_and_gradient_and_no_broken_ones(fused: bool) -> None:
    ours = network(replace(SMALL, fused=fused))
    w = dict(ours.named_parameters())
    tokens = torch.randint(V, (B, T))
    logits, leaves = ours(tokens), list(w.values())
    assert logits.shape == (B, T, V)
    assert same(logits, twin(w, tokens), leaves)
    with torch.no_grad():
        for broken in ("order", "heads", "mask", "scale", "transposed", "gelu", "norm"):
            wrong = twin(w, tokens, broken)
            assert not torch.allclose(logits, wrong, rtol=1e-4, atol=1e-5), broken


def count(config: GPT2Config) -> int:
    e, layers = config.width, config.layers
    return (config.vocabulary + config.positions) * e + layers * (12 * e * e + 13 * e) + 2 * e


def test_it_has_as_many_parameters_as_are_told_of_the_smallest_published_one() -> None:
    for change in ({}, {"width": 10}, {"layers": 3}, {"positions": 7}, {"vocabulary": 5}):
        config = replace(SMALL, hidden=None, **change)
        assert sum(p.numel() for p in GPT2(config).parameters()) == count(config)
    assert count(GPT2Config()) == 124_439_808


def test_the_weights_start_as_they_should() -> None:
    made = GPT2(replace(SMALL, width=64, layers=8, hidden=None, vocabulary=300))
    w = dict(made.named_parameters())
    assert w["wte.weight"].std().item() == pytest.approx(0.02, rel=0.05)
    assert w["h.3.attn.c_attn.weight"].std().item() == pytest.approx(0.02, rel=0.05)
    for name in ("attn", "mlp"):
        assert w[f"h.3.{name}.c_proj.weight"].std().item() == pytest.approx(0.005, rel=0.05)
        assert (w[f"h.3.{name}.c_proj.bias"] == 0).all()
    loss = F.cross_entropy(
        made(torch.randint(300, (4, 16))).flatten(0, 1), torch.randint(300, (64,))
    )
    assert loss.item() == pytest.approx(math.log(300), rel=0.02)


def test_later_tokens_do_not_matter_and_every_parameter_gets_a_gradient() -> None:
    ours = network(replace(SMALL, positions=T))
    tokens = torch.randint(V, (B, T))
    changed = tokens.clone()
    changed[:, 2:] = (changed[:, 2:] + 1) % V
    assert torch.allclose(ours(tokens)[:, :2], ours(changed)[:, :2])
    assert not torch.allclose(ours(tokens)[:, 2:], ours(changed)[:, 2:])
    F.cross_entropy(ours(tokens).flatten(0, 1), changed.flatten()).backward()
    for name, one in ours.named_parameters():
        assert one.grad is not None, name
        assert one.grad.abs().sum() > 0, name


def test_dropout_acts_where_it_should_and_while_training_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, tokens = network(replace(SMALL, dropout=0.2)), torch.randint(V, (B, T))
    layer = [(B, N, T, T), (B, T, E), (B, T, E)]
    assert dropped(lambda: ours(tokens), monkeypatch) == [(B, T, E), *layer, *layer]
    assert dropped(lambda: ours.eval()(tokens), monkeypatch) == []


# --- generation


def test_generation_with_a_cache_equals_generation_without() -> None:
    ours = network().eval()
    tokens = torch.randint(V, (B, 3))
    plain = ours.generate(tokens, 12, cached=False)
    assert plain.shape == (B, 15)
    assert torch.equal(plain[:, :3], tokens)
    assert len(plain.unique()) > 2
    assert torch.equal(plain, ours.generate(tokens, 12))
    assert torch.equal(ours(plain)[:, 2:-1].argmax(-1), plain[:, 3:])
    caches = ours.caches()
    steps = [ours(one, caches) for one in plain.split([2, 1, 5, 7], dim=1)]
    assert torch.allclose(torch.cat(steps, 1), ours(plain), rtol=1e-10, atol=1e-11)
    # Broken: caches that are not handed on.
    fresh = [ours(one, ours.caches()) for one in plain.split(1, dim=1)]
    assert not torch.allclose(torch.cat(fresh, 1), ours(plain), rtol=1e-3)


def test_draws_follow_the_logits_and_the_generator() -> None:
    ours = network().eval()
    tokens = torch.randint(V, (1, 3))
    drawn = [
        ours.generate(
            tokens.expand(4000, -1), 1, temperature=2.0, generator=torch.Generator().manual_seed(s)
        )[:, -1]
        for s in (1, 1, 2)
    ]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    chances = (ours(tokens)[0, -1] / 2).softmax(-1)
    found = torch.bincount(drawn[0], minlength=V) / 4000
    assert torch.allclose(found, chances, atol=5 * 0.5 / math.sqrt(4000))
    cold = ours.generate(tokens, 5, temperature=1e-6, generator=torch.Generator())
    assert torch.equal(cold, ours.generate(tokens, 5))


# --- files in the published layout


def published(folder: Path, weights: dict[str, Tensor], **changes: object) -> Path:
    """Write a checkpoint by hand."""
    config = {
        "model_type": "gpt2", "vocab_size": V, "n_positions": 16, "n_embd": E, "n_layer": 2,
        "n_head": N, "n_inner": 9, "activation_function": "gelu_new", "resid_pdrop": 0.0,
        "layer_norm_epsilon": 1e-5,
    } | changes  # fmt: skip
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({name: one.detach().clone() for name, one in weights.items()},
              folder / "model.safetensors")  # fmt: skip
    return folder


@pytest.mark.parametrize("prefix", ["transformer.", ""])
def test_a_published_checkpoint_gives_the_logits_of_the_equations(
    tmp_path: Path, prefix: str
) -> None:
    w = dict(network().named_parameters())
    file = {prefix + name: one for name, one in w.items()}
    file |= {
        f"{prefix}h.0.attn.bias": torch.ones(1, 1, 16, 16).tril(),
        f"{prefix}h.0.attn.masked_bias": torch.tensor(-1e4),
        "lm_head.weight": w["wte.weight"],
    }
    loaded = GPT2.load(published(tmp_path / "a", file))
    assert not loaded.training
    tokens = torch.randint(V, (B, T))
    assert torch.allclose(loaded(tokens), twin(w, tokens), rtol=1e-9, atol=1e-10)
    loaded.save(tmp_path / "b")
    assert set(load_file(tmp_path / "b" / "model.safetensors")) == {f"transformer.{k}" for k in w}
    assert torch.equal(GPT2.load(tmp_path / "b")(tokens), loaded(tokens))


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    w = dict(network().named_parameters())
    with pytest.raises(PracticumError, match="cannot read"):
        GPT2.load(tmp_path / "nowhere")
    for changes, said in (
        ({"model_type": "bert"}, "describes a 'bert' network"),
        ({"activation_function": "relu"}, "activation_function = 'relu'"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx = True"),
        ({"n_layer": 3}, r"h\.2\.ln_1\.weight is missing.* and 9 more"),
        ({"n_layer": 1}, "is left over"),
        ({"n_inner": 8}, r"is \(6, 9\), not \(6, 8\)"),
    ):
        with pytest.raises(PracticumError, match=said):
            GPT2.load(published(tmp_path / "c", w, **changes))
    untied = w | {"lm_head.weight": w["wte.weight"] + 1}
    with pytest.raises(PracticumError, match=r"differs from wte\.weight"):
        GPT2.load(published(tmp_path / "d", untied))
    (tmp_path / "d" / "model.safetensors").unlink()
    with pytest.raises(PracticumError, match="save_pretrained"):
        GPT2.load(tmp_path / "d")


@pytest.mark.parametrize("value", [None, "2", 2.5, True, 0])
def test_settings_that_are_missing_or_no_number_are_refused(tmp_path: Path, value: object) -> None:
    folder = published(tmp_path / "a", dict(network().named_parameters()), n_layer=value)
    with pytest.raises(
        PracticumError, match=f"n_layer = {value!r}; a whole number above 0 is needed"
    ):
        GPT2.load(folder)
    config = json.loads((folder / "config.json").read_text())
    del config["n_layer"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(PracticumError, match=r"config\.json has no n_layer"):
        GPT2.load(folder)


@pytest.mark.parametrize("left", [0, 5, 100, -1])
def test_a_damaged_file_of_weights_is_refused(tmp_path: Path, left: int) -> None:
    path = published(tmp_path / "a", dict(network().named_parameters())) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(PracticumError, match=r"no whole safetensors file .* again"):
        GPT2.load(tmp_path / "a")


LACKING = importlib.util.find_spec("transformers") is None


@pytest.mark.skipif(
    LACKING,
    reason='needs transformers; lifted by `pip install -c constraints.txt -e ".[parity]"`',
)
def test_transformers_checkpoints_give_the_same_logits_gradients_and_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_default_dtype(torch.float32)
    peer = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=V, n_positions=32, n_embd=E, n_layer=2, n_head=N, resid_pdrop=0.0,
            embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=None,
        )
    )  # fmt: skip
    for p in peer.parameters():
        torch.nn.init.normal_(p, std=0.7)
    peer.transformer.ln_f.bias.data.zero_()  # it would say the same word again and again
    peer.save_pretrained(tmp_path / "theirs")
    ours, peer = GPT2.load(tmp_path / "theirs").double(), peer.double().eval()
    tokens = torch.randint(V, (B, 7))
    a, b = ours(tokens), peer(tokens).logits
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)
    for logits in (a, b):
        F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).backward()
    theirs = dict(peer.named_parameters())
    for name, one in ours.named_parameters():
        torch.testing.assert_close(one.grad, theirs[f"transformer.{name}"].grad)
    words = peer.generate(
        tokens, max_new_tokens=20, do_sample=False, attention_mask=torch.ones_like(tokens)
    )
    assert torch.equal(ours.generate(tokens, 20), words)
    assert len(words[:, 7:].unique()) > 2
    # The other way round.
    ours.float().save(tmp_path / "ours")
    back = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "ours").double().eval()
    torch.testing.assert_close(back(tokens).logits, b, rtol=1e-9, atol=1e-10)


# --- lanes and wrong input


def test_training_in_lanes_equals_the_loop() -> None:
    torch.set_default_dtype(torch.float32)
    data = (torch.randint(V, (10, 4), generator=torch.Generator().manual_seed(0)),)
    lanes_equal_the_loop(
        lambda: GPT2(replace(SMALL, dropout=0.2)),
        lambda network, batch: F.cross_entropy(
            network(batch[0][:, :-1]).flatten(0, 1), batch[0][:, 1:].flatten()
        ),
        data,
        batch_size=4,
        steps=3,
    )


def test_what_cannot_be_is_refused() -> None:
    for change, said in (
        ({"heads": 4}, "cannot be shared"),
        ({"layers": 0}, "layers is 0"),
        ({"dropout": 1.0}, r"not in \[0, 1\)"),
    ):
        with pytest.raises(PracticumError, match=said):
            GPT2(replace(SMALL, **change))  # type: ignore[arg-type]  # any setting
    ours = network()
    with pytest.raises(PracticumError, match="17 positions, but there are 16"):
        ours.generate(torch.zeros(1, 10, dtype=torch.int64), 8)
    for temperature in (-1.0, 1.0, float("nan")):
        with pytest.raises(PracticumError, match="generator to draw from"):
            ours.generate(torch.zeros(1, 1, dtype=torch.int64), 1, temperature=temperature)
