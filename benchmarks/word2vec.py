"""Skip-gram with negative sampling: words a second, ours against gensim's, and what was learnt.

Both read the same text of the lab `word2vec` (WikiText-2 with 500 words split in two; the text at
hand where that is not there), as often, with the same dimension, window, noise words and thinning.
The clock runs while they learn; counting the vocabulary is not in it. A word read is a word of the
text, before thinning. What was learnt is measured by the lab's twins, by the same code.

gensim is `gensim.models.Word2Vec`, each thread one worker, at its own rate and ours at ours (the
lab's, tuned with other seeds). gensim takes pairs one by one; ours takes them in passages.
"""

from __future__ import annotations

import importlib
import os
import time
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Floor, Result, cores, fresh, interleaved, median, spread

if TYPE_CHECKING:
    from practicum.labs.sequences.word2vec.text import Corpus

FLOOR, MARGIN = 0.2, -2.0
DIMENSION, WINDOW, NEGATIVES, SHARED, POSITIONS, THRESHOLD = 100, 5, 5, 128, 128, 1e-3
PASSES, RATE, THEIR_RATE = 3, 0.05, 0.025
QUICK = 60_000  # words
LINE = 1000  # words that gensim gets at a time


def data(seed: int, quick: bool) -> tuple[Corpus, str]:
    """Return a seed's text, the same for both, and what it is."""
    from practicum.data import where
    from practicum.engine.seeds import streams
    from practicum.labs.sequences.word2vec.text import corpus, with_twins

    large = where("wikitext-2") is not None
    name = "wikitext-2" if large else "pydoc"
    whole = corpus(name, QUICK if quick else None, 5)
    many, least = (500, 100) if large and not quick else (100, 40)
    order = streams(seed).order()
    return with_twins(whole, many, least, frozenset(), order), name


def ours(*, seed: int, quick: bool) -> dict[str, float]:
    """Learn with the lab's code."""
    import torch

    from practicum.engine.seeds import streams
    from practicum.engine.services import Services
    from practicum.labs.sequences.word2vec.learning import learn
    from practicum.labs.sequences.word2vec.measuring import twins_found

    torch.set_num_threads(int(os.environ["BENCHMARK_THREADS"]))
    whole, _ = data(seed, quick)
    began = time.perf_counter()
    learnt = learn(
        "skip-gram",
        whole,
        seed,
        Services(),
        order=streams(seed).generator("order"),
        dimension=DIMENSION,
        window=WINDOW,
        negatives=NEGATIVES,
        shared=SHARED,
        positions=POSITIONS,
        threshold=THRESHOLD,
        rate=RATE,
        passes=PASSES,
        points=1,
    )
    seconds = time.perf_counter() - began
    return {
        "rate": PASSES * len(whole.text) / seconds,
        "twins": 0.0 if learnt.diverged else twins_found(learnt.vectors, whole.twins),
    }


def gensims(*, seed: int, quick: bool) -> dict[str, float]:
    """Learn with gensim."""
    import torch

    from practicum.labs.sequences.word2vec.measuring import twins_found

    models: Any = importlib.import_module("gensim.models")
    whole, _ = data(seed, quick)
    words = [str(one) for one in whole.text.tolist()]
    lines = [words[at : at + LINE] for at in range(0, len(words), LINE)]
    model = models.Word2Vec(
        vector_size=DIMENSION,
        window=WINDOW,
        negative=NEGATIVES,
        sample=THRESHOLD,
        sg=1,
        min_count=1,
        alpha=THEIR_RATE,
        epochs=PASSES,
        seed=seed,
        workers=int(os.environ["BENCHMARK_THREADS"]),
    )
    model.build_vocab(lines)
    began = time.perf_counter()
    model.train(lines, total_examples=len(lines), epochs=PASSES)
    seconds = time.perf_counter() - began
    vectors = torch.zeros(len(whole.words), DIMENSION)
    for number, word in enumerate(model.wv.index_to_key):
        vectors[int(word)] = torch.from_numpy(model.wv.vectors[number].copy())
    return {
        "rate": PASSES * len(words) / seconds,
        "twins": twins_found(vectors, whole.twins),
    }


def run(*, repeats: int | None = None, quick: bool = False) -> Result:
    """Measure; every round is another seed."""
    repeats = repeats or (1 if quick else 3)
    whole, name = data(0, quick)

    def contender(function: str, threads: int) -> Any:
        seeds = iter(range(repeats))
        return lambda: fresh(
            f"benchmarks.word2vec:{function}",
            {"seed": next(seeds), "quick": quick},
            threads=threads,
        )

    counts = range(1, cores() + 1)
    us = [f"practicum, {n} threads" for n in counts]
    them = [f"gensim, {n} workers" for n in counts]
    contenders = {one: contender("ours", n) for one, n in zip(us, counts, strict=True)}
    contenders |= {one: contender("gensims", n) for one, n in zip(them, counts, strict=True)}
    runs = interleaved(contenders, repeats=repeats, say=print)
    rates = {one: [each.answer["rate"] for each in found] for one, found in runs.items()}
    twins = {one: [each.answer["twins"] for each in found] for one, found in runs.items()}
    mine, theirs = (max(names, key=lambda one: median(rates[one])) for names in (us, them))
    pace = [a / b for a, b in zip(rates[mine], rates[theirs], strict=True)]
    ahead = [a - b for a, b in zip(twins[mine], twins[theirs], strict=True)]
    return Result(
        name="word2vec",
        title="word2vec, skip-gram with negative sampling" + (" (quick)" if quick else ""),
        what=(
            f"{name}, {len(whole.text):,} words of {len(whole.words):,} kinds, read {PASSES} "
            f"times; {DIMENSION} dimensions, window {WINDOW}, {NEGATIVES} noise words, thinning "
            f"from {THRESHOLD:g}; {repeats} seeds. Twins: the lab's measure, the percentage of "
            "halves of split words whose nearest word is their other half."
        ),
        columns=["contender", "words a second", "twins found, %", "ours / words a second"],
        rows=[
            [
                one,
                round(median(rates[one])),
                spread(twins[one]),
                spread([a / b for a, b in zip(rates[mine], rates[one], strict=True)]),
            ]
            for one in contenders
        ],
        floors=[
            Floor(text=f"times the words a second of {theirs}", bound=FLOOR, measured=median(pace)),
            Floor(
                text="points of twins ahead of it", bound=MARGIN, measured=median(ahead), unit=""
            ),
        ],
        settings={"passes": PASSES, "repeats": repeats, "rate": RATE, "their_rate": THEIR_RATE},
        runs={one: [each.answer for each in found] for one, found in runs.items()},
    )
