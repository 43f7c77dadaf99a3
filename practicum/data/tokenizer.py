"""Byte-pair encoding through the library `tokenizers`, which is optional (extra `text`).

Every text can be encoded, and decodes to itself: the smallest pieces are the 256 bytes. The same
text and size give the same pieces, in the same order.

Source: R. Sennrich, B. Haddow, A. Birch, "Neural machine translation of rare words with subword
units", arXiv:1508.07909v5, 2016: begin with single characters (here bytes), merge the most
frequent pair again and again.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from practicum.errors import PracticumError

BYTES = 256
INSTALL = 'pip install -e ".[text]" -c constraints.txt'


class BytePairs:
    """A byte-pair encoding; made by `train` or `load`."""

    def __init__(self, inner: Any, special: Sequence[str]) -> None:
        self._inner = inner
        self.special = {word: int(inner.token_to_id(word)) for word in special}
        """The special tokens and their numbers, the first of all."""

    @classmethod
    def train(
        cls, texts: Iterable[str], size: int, *, special: Sequence[str] = (), least: int = 2
    ) -> BytePairs:
        """Learn pieces from texts.

        Args:
            texts: what to learn from.
            size: number of tokens in all: special ones, bytes and merged pieces. There are fewer
                if the texts have no more pairs that occur often enough.
            special: tokens that no ordinary text yields, such as "<end>".
            least: how often a pair must occur to be merged.

        Raises:
            PracticumError: the library is missing; a size without room for special tokens and
                bytes; a special token twice, or empty.
        """
        library = _library()
        if size < BYTES + len(special):
            raise PracticumError(
                f"{size} tokens have no room for {BYTES} bytes and {len(special)} special tokens"
            )
        if len(set(special)) != len(special) or "" in special:
            raise PracticumError(f"special tokens must differ and not be empty: {list(special)}")
        inner = library.Tokenizer(library.models.BPE())
        inner.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = library.decoders.ByteLevel()
        trainer = library.trainers.BpeTrainer(
            vocab_size=size,
            min_frequency=least,
            special_tokens=list(special),
            initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        inner.train_from_iterator(texts, trainer)
        return cls(inner, special)

    @classmethod
    def load(cls, path: Path) -> BytePairs:
        """Read what `save` wrote.

        Raises:
            PracticumError: the library is missing; no such file, or it is something else.
        """
        library = _library()
        try:
            inner = library.Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # the library raises plain Exception
            raise PracticumError(f"{path} is no saved tokenizer: {error}") from None
        special = {
            number: one.content
            for number, one in inner.get_added_tokens_decoder().items()
            if one.special
        }
        return cls(inner, [special[number] for number in sorted(special)])

    def save(self, path: Path) -> None:
        """Write the encoding to a file of JSON."""
        path.write_text(self._inner.to_str(), encoding="utf-8")

    @property
    def size(self) -> int:
        """The number of tokens."""
        return int(self._inner.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """Return the numbers of the tokens of a text; the name of a special token is one token."""
        return list(self._inner.encode(text, add_special_tokens=False).ids)

    def decode(self, numbers: Sequence[int]) -> str:
        """Return the text of tokens, special ones included.

        Raises:
            PracticumError: a number that no token has.
        """
        for one in numbers:
            if not 0 <= one < self.size:
                raise PracticumError(f"no token {one}; there are {self.size}")
        return str(self._inner.decode(list(numbers), skip_special_tokens=False))

    def piece(self, number: int) -> str:
        """Return a token as its bytes are written in the file, to be looked at.

        Raises:
            PracticumError: a number that no token has.
        """
        found = self._inner.id_to_token(number) if number >= 0 else None
        if found is None:
            raise PracticumError(f"no token {number}; there are {self.size}")
        return str(found)


def _library() -> Any:
    try:
        return importlib.import_module("tokenizers")
    except ImportError:
        raise PracticumError(
            f"byte-pair encoding needs the library tokenizers; install it: {INSTALL}"
        ) from None
