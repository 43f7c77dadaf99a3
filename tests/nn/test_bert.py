"""BERT against a twin with loops, against files in the published layout, and against transformers.

Would catch: a norm at the wrong place, the approximate GELU, an embedding left out, queries, keys
and values exchanged, heads cut in another order, padding that is seen, an output that is not tied
or has no bias, the wrong token for the next sentence, a file that is read under wrong names.
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
from practicum.nn.bert import BERT, BERTConfig, theirs
from tests.nn.checks import dropped, lanes_equal_the_loop

B, T, E, N, V = 2, 4, 6, 2, 11
SMALL = BERTConfig(
    vocabulary=V, positions=9, segments=3, width=E, layers=2, heads=N, hidden=8, dropout=0.0
)
TOKENS = torch.tensor([[3, 1, 7, 10], [2, 2, 5, 0]])
SEGMENTS = torch.tensor([[0, 0, 1, 2], [0, 1, 1, 1]])
MASK = torch.tensor([[True, True, True, True], [True, True, True, False]])


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(3)
    yield
    torch.set_default_dtype(torch.float32)


def network(config: BERTConfig = SMALL) -> BERT:
    made = BERT(config)
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.7)
    return made


def published_weights(made: BERT) -> dict[str, Tensor]:
    return {theirs(name): one for name, one in made.named_parameters()}


def norm(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    centred = x - x.mean()
    scaled = centred / torch.sqrt((centred**2).mean() + 1e-12)
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]


def dense(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    matrix, bias = w[f"{name}.weight"], w[f"{name}.bias"]
    return torch.stack([(x * matrix[j]).sum() + bias[j] for j in range(len(matrix))])


def gelu(a: Tensor) -> Tensor:
    return a * (1 + torch.erf(a / math.sqrt(2))) / 2


def twin(w: dict[str, Tensor], broken: str = "") -> tuple[Tensor, Tensor]:
    """The equations (1) to (5), a position at a time, from weights by their published names."""
    d, words, follows = E // N, [], []
    act = (lambda a: F.gelu(a, approximate="tanh")) if broken == "gelu" else gelu
    emb = "bert.embeddings"
    for row, kinds, shown in zip(TOKENS, SEGMENTS, MASK, strict=True):
        xs = []
        for i in range(T):
            x = w[f"{emb}.word_embeddings.weight"][row[i]]
            if broken != "positions":
                x = x + w[f"{emb}.position_embeddings.weight"][i]
            if broken != "segments":
                x = x + w[f"{emb}.token_type_embeddings.weight"][kinds[i]]
            xs.append(norm(x, w, f"{emb}.LayerNorm"))
        for layer in range(2):
            at = f"bert.encoder.layer.{layer}"
            names = ["query", "key", "value"]
            if broken == "order":
                names = ["value", "key", "query"]
            q, k, v = ([dense(x, w, f"{at}.attention.self.{one}") for x in xs] for one in names)
            after = []
            for i in range(T):
                heads = []
                for n in range(N):
                    cut = slice(n, None, N) if broken == "heads" else slice(n * d, (n + 1) * d)
                    seen = [j for j in range(T) if broken == "mask" or shown[j]]
                    e = [torch.exp((q[i][cut] * k[j][cut]).sum() / math.sqrt(d)) for j in seen]
                    heads.append(sum(a / sum(e) * v[j][cut] for a, j in zip(e, seen, strict=True)))
                y = dense(torch.cat(heads), w, f"{at}.attention.output.dense")
                if broken == "norm":
                    x = xs[i] + norm(y, w, f"{at}.attention.output.LayerNorm")
                else:
                    x = norm(xs[i] + y, w, f"{at}.attention.output.LayerNorm")
                y = dense(act(dense(x, w, f"{at}.intermediate.dense")), w, f"{at}.output.dense")
                after.append(norm(x + y, w, f"{at}.output.LayerNorm"))
            xs = after
        head = "cls.predictions.transform"
        ys = [norm(act(dense(x, w, f"{head}.dense")), w, f"{head}.LayerNorm") for x in xs]
        bias = 0.0 if broken == "bias" else w["cls.predictions.bias"]
        words.append(torch.stack([w[f"{emb}.word_embeddings.weight"] @ y + bias for y in ys]))
        if "bert.pooler.dense.weight" in w:
            first = xs[-1] if broken == "first" else xs[0]
            pooled = torch.tanh(dense(first, w, "bert.pooler.dense"))
            follows.append(dense(pooled, w, "cls.seq_relationship"))
    return torch.stack(words), torch.stack(follows) if follows else torch.zeros(B, 2)


def same(ours: Tensor, others: Tensor, leaves: list[Tensor]) -> bool:
    """Whether two results and their gradients agree to rounding."""
    weights = torch.linspace(0, 5, ours.numel()).view(ours.shape).sin()
    a, b = (
        torch.autograd.grad((one * weights).sum(), leaves, retain_graph=True, allow_unused=True)
        for one in (ours, others)
    )
    return torch.allclose(ours, others, rtol=1e-9, atol=1e-10) and all(
        (p is None and q is None) or torch.allclose(p, q, rtol=1e-8, atol=1e-9)
        for p, q in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("fused", [True, False])
def test_it_equals_its_equations_in_value_and_gradient_and_no_broken_ones(fused: bool) -> None:
    ours = network(replace(SMALL, fused=fused))
    w, leaves = published_weights(ours), list(ours.parameters())
    logits = ours(TOKENS, SEGMENTS, MASK)
    follows = ours.next_sentence(ours.encode(TOKENS, SEGMENTS, MASK))
    assert logits.shape == (B, T, V)
    words, other = twin(w)
    assert same(logits, words, leaves)
    assert same(follows, other, leaves)
    with torch.no_grad():
        for broken in ("positions", "segments", "order", "heads", "mask", "gelu", "norm", "bias"):
            assert not torch.allclose(logits, twin(w, broken)[0], rtol=1e-4, atol=1e-5), broken
        assert not torch.allclose(follows, twin(w, "first")[1], rtol=1e-4, atol=1e-5)


def test_without_segments_all_are_the_first_and_without_a_mask_all_is_seen() -> None:
    ours = network()
    full = ours(TOKENS, torch.zeros_like(TOKENS), torch.ones_like(MASK))
    assert torch.allclose(ours(TOKENS), full)
    assert not torch.allclose(ours(TOKENS, SEGMENTS), full)


def test_padding_does_not_matter_and_positions_can_be_chosen() -> None:
    ours = network()
    padded = TOKENS.clone()
    padded[1, 3] = 9
    a, b = (ours(one, SEGMENTS, MASK) for one in (TOKENS, padded))
    assert torch.allclose(a[1, :3], b[1, :3])
    assert not torch.allclose(ours(TOKENS)[1, :3], ours(padded)[1, :3])
    some = ours.encode(TOKENS, SEGMENTS, MASK)[torch.tensor([0, 1]), torch.tensor([2, 1])]
    assert torch.allclose(ours.hidden_words(some), torch.stack((a[0, 2], a[1, 1])))
    asked = ours(TOKENS, SEGMENTS, MASK, torch.tensor([2, T + 1]))
    assert torch.allclose(asked, torch.stack((a[0, 2], a[1, 1])))


def count(c: BERTConfig) -> int:
    e, h = c.width, c.hidden
    embeddings = (c.vocabulary + c.positions + c.segments) * e + 2 * e
    layer = 4 * (e * e + e) + 2 * e * h + h + e + 4 * e
    heads = e * e + e + 2 * e + c.vocabulary + (e * e + e + 2 * e + 2) * c.next_sentence
    return embeddings + c.layers * layer + heads


def test_it_has_as_many_parameters_as_its_sizes_say_and_all_get_a_gradient() -> None:
    for change in ({}, {"width": 10}, {"hidden": 3}, {"segments": 2}, {"next_sentence": False}):
        config = replace(SMALL, **change)
        assert sum(p.numel() for p in BERT(config).parameters()) == count(config)
    ours = network(replace(SMALL, positions=T))
    x = ours.encode(TOKENS, SEGMENTS)
    loss = F.cross_entropy(ours.hidden_words(x).flatten(0, 1), TOKENS.flatten())
    loss = loss + F.cross_entropy(ours.next_sentence(x), torch.tensor([0, 1]))
    loss.backward()
    for name, one in ours.named_parameters():
        assert one.grad is not None, name
        if "key.bias" not in name:  # softmax does not see what all keys have in common
            assert one.grad.abs().sum() > 1e-9, name


def test_dropout_acts_where_it_should_and_while_training_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = network(replace(SMALL, dropout=0.2))
    layer = [(B, N, T, T), (B, T, E), (B, T, E)]
    assert dropped(lambda: ours(TOKENS), monkeypatch) == [(B, T, E), *layer, *layer]
    assert dropped(lambda: ours.eval()(TOKENS), monkeypatch) == []


# --- files in the published layout


def published(folder: Path, weights: dict[str, Tensor], **changes: object) -> Path:
    """Write a checkpoint by hand."""
    config = {
        "model_type": "bert", "vocab_size": V, "max_position_embeddings": 9, "type_vocab_size": 3,
        "hidden_size": E, "num_hidden_layers": 2, "num_attention_heads": N,
        "intermediate_size": 8, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
    } | changes  # fmt: skip
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {name: one.detach().clone() for name, one in weights.items()}
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("follows", [True, False])
def test_a_published_checkpoint_gives_the_logits_of_the_equations(
    tmp_path: Path, old: bool, follows: bool
) -> None:
    w = published_weights(network(replace(SMALL, next_sentence=follows)))
    file = dict(w)
    if old:
        file = {
            name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): one
            for name, one in file.items()
        }
        file["bert.embeddings.position_ids"] = torch.arange(9)[None]
        file["cls.predictions.decoder.weight"] = w["bert.embeddings.word_embeddings.weight"]
        file["cls.predictions.decoder.bias"] = w["cls.predictions.bias"]
        if not follows:
            file["bert.pooler.dense.weight"] = torch.zeros(E, E)  # half of an output
    loaded = BERT.load(published(tmp_path / "a", file))
    assert not loaded.training
    assert loaded.config.next_sentence == follows
    words, other = twin(w)
    assert torch.allclose(loaded(TOKENS, SEGMENTS, MASK), words, rtol=1e-9, atol=1e-10)
    if follows:
        found = loaded.next_sentence(loaded.encode(TOKENS, SEGMENTS, MASK))
        assert torch.allclose(found, other, rtol=1e-9, atol=1e-10)
    loaded.save(tmp_path / "b")
    assert set(load_file(tmp_path / "b" / "model.safetensors")) == set(w)
    again = BERT.load(tmp_path / "b")
    assert torch.equal(again(TOKENS, SEGMENTS, MASK), loaded(TOKENS, SEGMENTS, MASK))


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    w = published_weights(network())
    for changes, said in (
        ({"model_type": "gpt2"}, "describes a 'gpt2' network"),
        ({"hidden_act": "relu"}, "hidden_act = 'relu'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"num_hidden_layers": 3}, r"layers\.2\..* is missing"),
        ({"num_hidden_layers": 1}, "is left over"),
        ({"intermediate_size": 7}, "is .*, not "),
    ):
        with pytest.raises(PracticumError, match=said):
            BERT.load(published(tmp_path / "c", w, **changes))
    untied = w | {"cls.predictions.decoder.bias": w["cls.predictions.bias"] + 1}
    with pytest.raises(PracticumError, match="differs from bias"):
        BERT.load(published(tmp_path / "d", untied))
    (tmp_path / "d" / "model.safetensors").unlink()
    with pytest.raises(PracticumError, match="save_pretrained"):
        BERT.load(tmp_path / "d")


@pytest.mark.parametrize("value", [None, "2", 2.5, True, 0])
def test_settings_that_are_missing_or_no_number_are_refused(tmp_path: Path, value: object) -> None:
    folder = published(tmp_path / "a", published_weights(network()), num_hidden_layers=value)
    with pytest.raises(
        PracticumError, match=f"num_hidden_layers = {value!r}; a whole number above 0 is needed"
    ):
        BERT.load(folder)
    config = json.loads((folder / "config.json").read_text())
    del config["num_hidden_layers"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(PracticumError, match=r"config\.json has no num_hidden_layers"):
        BERT.load(folder)


@pytest.mark.parametrize("left", [0, 5, 100, -1])
def test_a_damaged_file_of_weights_is_refused(tmp_path: Path, left: int) -> None:
    path = published(tmp_path / "a", published_weights(network())) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(PracticumError, match=r"no whole safetensors file .* again"):
        BERT.load(tmp_path / "a")


LACKING = importlib.util.find_spec("transformers") is None


@pytest.mark.skipif(
    LACKING,
    reason='needs transformers; lifted by `pip install -c constraints.txt -e ".[parity]"`',
)
@pytest.mark.parametrize("kind", ["BertForPreTraining", "BertForMaskedLM"])
def test_transformers_checkpoints_give_the_same_logits_and_gradients(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_default_dtype(torch.float32)
    peer = getattr(transformers, kind)(
        transformers.BertConfig(
            vocab_size=V, max_position_embeddings=9, type_vocab_size=3, hidden_size=E,
            num_hidden_layers=2, num_attention_heads=N, intermediate_size=8,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, pad_token_id=None,
        )
    )  # fmt: skip
    for p in peer.parameters():
        torch.nn.init.normal_(p, std=0.7)
    peer.save_pretrained(tmp_path / "theirs")
    ours, peer = BERT.load(tmp_path / "theirs").double(), peer.double().eval()
    given = {"attention_mask": MASK.long(), "token_type_ids": SEGMENTS}
    found = peer(TOKENS, **given)
    a = ours(TOKENS, SEGMENTS, MASK)
    b = found.prediction_logits if kind == "BertForPreTraining" else found.logits
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)
    assert ours.config.next_sentence == (kind == "BertForPreTraining")
    if ours.config.next_sentence:
        x = ours.encode(TOKENS, SEGMENTS, MASK)
        torch.testing.assert_close(ours.next_sentence(x), found.seq_relationship_logits)
    for logits in (a, b):
        F.cross_entropy(logits.flatten(0, 1), TOKENS.flatten()).backward()
    named = dict(peer.named_parameters())
    for name, one in ours.named_parameters():
        torch.testing.assert_close(one.grad, named[theirs(name)].grad)
    # The other way round.
    ours.float().save(tmp_path / "ours")
    back = getattr(transformers, kind).from_pretrained(tmp_path / "ours").double().eval()
    again = back(TOKENS, **given)
    again = again.prediction_logits if kind == "BertForPreTraining" else again.logits
    torch.testing.assert_close(again, b, rtol=1e-9, atol=1e-10)


# --- lanes and wrong input


def test_training_in_lanes_equals_the_loop() -> None:
    torch.set_default_dtype(torch.float32)
    data = (torch.randint(V, (10, 3), generator=torch.Generator().manual_seed(0)),)
    lanes_equal_the_loop(
        lambda: BERT(replace(SMALL, dropout=0.2, layers=1, next_sentence=False)),
        lambda network, batch: F.cross_entropy(
            network(batch[0], None, batch[0] > 0).flatten(0, 1), batch[0].flatten()
        ),
        data,
        batch_size=4,
        steps=3,
    )


def test_what_cannot_be_is_refused() -> None:
    for change, said in (
        ({"heads": 4}, "cannot be shared"),
        ({"layers": 0}, "layers is 0"),
        ({"dropout": -0.1}, r"not in \[0, 1\)"),
    ):
        with pytest.raises(PracticumError, match=said):
            BERT(replace(SMALL, **change))  # type: ignore[arg-type]  # any setting
    ours = network(replace(SMALL, next_sentence=False))
    with pytest.raises(PracticumError, match="next_sentence=False"):
        ours.next_sentence(torch.zeros(1, 1, E))
    with pytest.raises(PracticumError, match="10 positions, but there are 9"):
        ours(torch.zeros(1, 10, dtype=torch.int64))
