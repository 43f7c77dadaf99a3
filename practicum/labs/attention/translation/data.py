"""Examples of the translation lab: one, two or three sentences put one after the other.

Both languages are cut into words in the same way, whatever they are. The commonest words of the
training sentences are known; all others are UNKNOWN. Sentences with more words than a limit are
left out, in every part.

What is drawn here is the same for every seed and arm of a run: which sentences make up an example.
Validation and test examples come from the published validation and test sentences. The first
sentence of a test example is the same in the sets of one, two and three sentences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import torch
from jaxtyping import Int
from torch import Tensor

from practicum.data.pairs import Pairs, Part, load_pairs
from practicum.engine.seeds import streams
from practicum.errors import PracticumError
from practicum.labs.attention.translation.language import captions
from practicum.nn.seq2seq import END, PAD

UNKNOWN = END + 1
SPECIAL = ("<pad>", "<begin>", "<end>", "<unk>")
TRAINED = 2  # sentences of the longest training example
TESTED = 3  # sentences of the longest test example
POOL = 1_000_003  # the seed of what all trials share, far from their own

_MADE = {"train": 4000, "validation": 400, "test": 400}  # sentences of the made language


@dataclass(frozen=True)
class Examples:
    """Sources and targets as numbers of words.

    Attributes:
        source: [n, S], PAD beyond the end.
        target: [n, T], END after each, then PAD.
        lengths: [n] words of each source.
    """

    source: Int[Tensor, "n S"]
    target: Int[Tensor, "n T"]
    lengths: Int[Tensor, "n"]


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """What all arms read.

    Attributes:
        source_words: the word of each number; the special ones first.
        target_words: likewise.
        train: the pool from which each seed draws.
        validation: examples that choose.
        tests: by number of sentences, test examples.
        texts: the same as words, none of them unknown: sources and references.
        unknown: percent of the words of test references that are not known.
    """

    source_words: tuple[str, ...]
    target_words: tuple[str, ...]
    train: Examples
    validation: Examples
    tests: Mapping[int, Examples]
    texts: Mapping[int, Part]
    unknown: float


@lru_cache(2)
def corpus(name: str, known: int, longest: int, sizes: tuple[int, int, int]) -> Corpus:
    """Return the examples of a data set.

    Args:
        name: the data set; "" for the made language.
        known: words of each language that are known, special ones among them.
        longest: words of the longest sentence, in either language.
        sizes: training, validation and test examples.

    Raises:
        PracticumError: no room for a word, or fewer test sentences than examples.
    """
    if known <= len(SPECIAL):
        raise PracticumError(f"known is {known}; the special words alone are {len(SPECIAL)}")
    found = sentences(name)
    train, validation, test = (
        short(part, longest) for part in (found.train, found.validation, found.test)
    )
    if not (train.source and validation.source) or len(test.source) < sizes[2]:
        raise PracticumError(
            f"{len(train.source)}, {len(validation.source)} and {len(test.source)} sentences have "
            f"{longest} words or fewer, and test_size is {sizes[2]}; raise longest or lower it"
        )
    vocabularies = commonest(train.source, known), commonest(train.target, known)
    g = streams(POOL).generator("order")

    def some(part: Part, size: int) -> Examples:
        counts = torch.randint(1, TRAINED + 1, (size,), generator=g).tolist()
        rows = torch.randint(len(part.source), (size, TRAINED), generator=g).tolist()
        return numbered(
            joined(part, [r[:k] for r, k in zip(rows, counts, strict=True)]), *vocabularies
        )

    drawn = some(train, sizes[0]), some(validation, sizes[1])
    columns = [torch.randperm(len(test.source), generator=g)[: sizes[2]] for _ in range(TESTED)]
    rows = torch.stack(columns, 1).tolist()
    texts = {k: joined(test, [r[:k] for r in rows]) for k in range(1, TESTED + 1)}
    words = list(chain.from_iterable(one.split() for one in texts[1].target))
    return Corpus(
        source_words=vocabularies[0],
        target_words=vocabularies[1],
        train=drawn[0],
        validation=drawn[1],
        tests={k: numbered(text, *vocabularies) for k, text in texts.items()},
        texts=texts,
        unknown=100 * sum(word not in vocabularies[1] for word in words) / len(words),
    )


def sentences(name: str) -> Pairs:
    """Return the pairs of a data set, or of the made language."""
    if name:
        return load_pairs(name)
    g = streams(POOL).generator("noise")
    return Pairs(**{part: captions(size, g) for part, size in _MADE.items()})


def short(part: Part, longest: int) -> Part:
    """Return the pairs of which neither sentence has more words than this."""
    kept = [
        (a, b)
        for a, b in zip(part.source, part.target, strict=True)
        if max(len(a.split()), len(b.split())) <= longest
    ]
    return Part(tuple(a for a, _ in kept), tuple(b for _, b in kept))


def commonest(texts: Sequence[str], known: int) -> tuple[str, ...]:
    """Return the special words and the commonest others, `known` in all at most."""
    counts = Counter(chain.from_iterable(one.split() for one in texts))
    by_count = sorted(counts, key=lambda word: (-counts[word], word))
    return (*SPECIAL, *by_count[: known - len(SPECIAL)])


def joined(part: Part, rows: Sequence[Sequence[int]]) -> Part:
    """Return examples, each the pairs of its rows one after the other."""
    return Part(
        tuple(" ".join(part.source[i] for i in row) for row in rows),
        tuple(" ".join(part.target[i] for i in row) for row in rows),
    )


def numbered(part: Part, source_words: Sequence[str], target_words: Sequence[str]) -> Examples:
    """Return texts as numbers of words."""
    source, lengths = _padded(part.source, source_words, ())
    target, _ = _padded(part.target, target_words, (END,))
    return Examples(source, target, lengths)


def _padded(
    texts: Sequence[str], words: Sequence[str], end: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    number = {word: i for i, word in enumerate(words)}
    rows = [[*(number.get(w, UNKNOWN) for w in one.split()), *end] for one in texts]
    lengths = torch.tensor([len(row) for row in rows])
    width = int(lengths.max())
    return torch.tensor([row + [PAD] * (width - len(row)) for row in rows]), lengths


def turned(examples: Examples) -> Examples:
    """Return the examples with every source turned round, its padding where it was."""
    at = torch.arange(examples.source.shape[1])
    lengths = examples.lengths.unsqueeze(1)
    place = torch.where(at < lengths, lengths - 1 - at, at)
    return Examples(examples.source.gather(1, place), examples.target, examples.lengths)


def blinded(examples: Examples) -> Examples:
    """Return the examples with each target beside the source of the one before it."""
    return Examples(examples.source.roll(1, 0), examples.target, examples.lengths.roll(1, 0))


def spoken(numbers: Sequence[int], words: Sequence[str]) -> list[str]:
    """Return the words up to END."""
    ends = numbers.index(END) if END in numbers else len(numbers)
    return [words[one] for one in numbers[:ends] if one != PAD]
