"""A small made language whose captions are translated into English, for runs without a download.

English:   the|a [adjective] noun verb the|a [adjective] noun .
Made:      article noun [adjective] article noun [adjective] verb .

So adjectives stand behind their noun and the verb at the end. The article says whether it is "the"
or "a", and agrees with the noun's gender, which English does not have. Some nouns are two words in
English and one here. The r-th word of its kind is drawn with probability proportional to 1/r, as
words of real texts nearly are; words are independent of each other.
"""

from __future__ import annotations

import torch

from practicum.data.pairs import Part

NOUNS = (
    "man", "dog", "woman", "child", "boy", "ball", "girl", "tennis player", "horse", "bicycle",
    "street sign", "guitar", "fire truck", "tree", "snow board", "sandwich",
)  # fmt: skip
ADJECTIVES = ("young", "small", "black", "old", "red", "happy", "wet", "strange")
VERBS = (
    "watches", "holds", "follows", "paints", "carries", "pushes", "finds", "draws", "lifts", "hides"
)  # fmt: skip
ARTICLES = {("the", 0): "ka", ("the", 1): "ke", ("a", 0): "mo", ("a", 1): "me"}

_DESCRIBED = 0.5  # probability that a noun has an adjective
_SYLLABLES = tuple(c + v for c in "bdfgklmnprst" for v in "aeiou")


def made(kind: str, number: int) -> str:
    """Return the made word for a word's number in its kind: "n", "a" or "v"."""
    first = "nav".index(kind) * 20 + number
    ending = {"n": "", "a": "n", "v": "r"}[kind]
    return _SYLLABLES[first] + _SYLLABLES[(11 * first + 4) % len(_SYLLABLES)] + ending


def captions(n: int, g: torch.Generator) -> Part:
    """Return n sentences of the made language and their translations."""
    nouns, adjectives = (_drawn(len(kind), 2 * n, g) for kind in (NOUNS, ADJECTIVES))
    verbs = _drawn(len(VERBS), n, g)
    described = (torch.rand(2 * n, generator=g) < _DESCRIBED).tolist()
    definite = (torch.rand(2 * n, generator=g) < 0.5).tolist()
    phrases = [
        phrase(nouns[i], adjectives[i] if described[i] else None, definite=definite[i])
        for i in range(2 * n)
    ]
    source, target = [], []
    for first, last, verb in zip(phrases[:n], phrases[n:], verbs, strict=True):
        source.append(f"{first[0]} {last[0]} {made('v', verb)} .")
        target.append(f"{first[1]} {VERBS[verb]} {last[1]} .")
    return Part(tuple(source), tuple(target))


def phrase(noun: int, adjective: int | None, *, definite: bool) -> tuple[str, str]:
    """Return an article, a noun and perhaps an adjective, in the made language and in English."""
    article = "the" if definite else "a"
    ours, theirs = [ARTICLES[article, noun % 2], made("n", noun)], [article]
    if adjective is not None:
        ours.append(made("a", adjective))
        theirs.append(ADJECTIVES[adjective])
    return " ".join(ours), " ".join([*theirs, NOUNS[noun]])


def _drawn(kinds: int, n: int, g: torch.Generator) -> list[int]:
    chances = 1 / torch.arange(1, kinds + 1)
    drawn: list[int] = torch.multinomial(chances, n, replacement=True, generator=g).tolist()
    return drawn
