"""Encoder and decoder: one recurrent network reads a sequence, another writes the answer.

Papers: Cho, van Merrienboer, Gulcehre, Bahdanau, Bougares, Schwenk, Bengio, "Learning phrase
representations using RNN encoder-decoder for statistical machine translation", EMNLP 2014,
arXiv:1406.1078. Sutskever, Vinyals, Le, "Sequence to sequence learning with neural networks", NIPS
2014, arXiv:1409.3215. Bahdanau, Cho, Bengio, "Neural machine translation by jointly learning to
align and translate", ICLR 2015, arXiv:1409.0473. Luong, Pham, Manning, "Effective approaches to
attention-based neural machine translation", EMNLP 2015, arXiv:1508.04025.

Equations (numbered here), for a source x_1 .. x_S, a target y_1 .. y_T, and y_0 = BEGIN:
    k_j = encoder(E x_1 .. E x_S) at j, 0 beyond the end     (1) keys, from the last layer
    s_0 = the encoder's state after its last token           (2) start of every decoder
    s_i = f(s_{i-1}, [F y_{i-1}, r_i])                       (3) f: the decoder's layers
    p(y_i | y_<i, x) = softmax(W_o q_i)                      (4)
    q_i = tanh(W_c [c_i, s_i])                               (5) with a context; without: q_i = s_i
What is read, r_i, and the context c_i:
    "start"     r_i nothing, no c_i: only s_0 is known of the source       (6) Sutskever
    "always"    r_i = c_i = s_0 of the last layer                          (7) Cho
    "mean"      r_i = c_i = mean of the k_j                                (8) a control
    "additive"  r_i = c_i = attention of s_{i-1} to the k_j                (9) Bahdanau
    "dot", "scaled", "general"
                c_i = attention of s_i to the k_j; r_i nothing             (10) Luong
                or, with input feeding, r_i = q_{i-1} and q_0 = 0          (11)
The scores of the attentions are (1) to (4) of attention.py.

Shapes: B batch, S source tokens, T target tokens, Q queries, H hidden units, V target words,
L layers.

Deviations:
    1. Bahdanau's and Cho's outputs have a maxout layer that sees y_{i-1}, too; here all contexts
       share (5), which is Luong's, so that the kinds differ in what they read and nothing else.
    2. A two-way encoder has H/2 units in each direction, and its two last states side by side are
       s_0; Bahdanau maps the backward one through tanh(W_s .).
    3. Any unit of recurrent.py, of any kind: Sutskever and Luong have LSTMs, the others GRUs.
    4. Starting values are torch's.
    5. "mean" is in none of the papers: it has attention's short way back to every source token,
       and no choice.

Source tokens beyond a sequence's length change nothing. The token numbers 0, 1, 2 are PAD, BEGIN
and END.

Cost: (4) is H V multiplications a target token, attention 2 S H ("additive": 3 S H) and more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from practicum.errors import PracticumError, unknown
from practicum.nn.attention import AdditiveAttention, GeneralAttention, attend
from practicum.nn.beam_search import Beams, beam_search
from practicum.nn.gru import GRU
from practicum.nn.lstm import LSTM
from practicum.nn.recurrent import Recurrent
from practicum.nn.rnn import RNN

PAD, BEGIN, END = 0, 1, 2
CELLS: dict[str, Callable[..., Recurrent]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
BEFORE = ("always", "mean", "additive")  # the context is there before the state
AFTER = ("dot", "scaled", "general")  # the state asks for the context
READS = ("start", *BEFORE, *AFTER)


class Reading(NamedTuple):
    """Where a decoder stands; every tensor has the sequences as its first axis.

    Attributes:
        keys: [B, S, H] k_j.
        projected: [B, S, H] what the attention makes of the keys once; the keys where nothing.
        mask: [B, 1, S] True where there is a source token.
        carried: [B, H] s_0 for "always", q_{i-1} for input feeding; else without effect.
        state: [B, L, H] each, s_{i-1}.
    """

    keys: Tensor
    projected: Tensor
    mask: Tensor
    carried: Tensor
    state: tuple[Tensor, ...]

    def select(self, rows: Int[Tensor, "N"]) -> Reading:
        """Return these rows, in this order (beams that go on)."""
        k, p, m, c, state = self
        return Reading(k[rows], p[rows], m[rows], c[rows], tuple(one[rows] for one in state))


class Seq2Seq(nn.Module):
    """An encoder and a decoder.

    Args:
        source: words of the source.
        target: V, words of the target.
        width: numbers of an embedding.
        hidden: H, of the decoder, and of the encoder with all its directions.
        cell: "rnn", "lstm" or "gru".
        layers: L, of the encoder and of the decoder.
        reads: what the decoder knows of the source, (6) to (10).
        feeding: whether it also reads what it said last, (11).
        bidirectional: whether the encoder reads in both directions.

    Raises:
        PracticumError: no such cell or reading, sizes that do not fit, or input feeding where the
            context is read already.
    """

    def __init__(
        self,
        source: int,
        target: int,
        *,
        width: int,
        hidden: int,
        cell: str = "lstm",
        layers: int = 1,
        reads: str = "start",
        feeding: bool = False,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        if cell not in CELLS:
            raise unknown("cell", cell, CELLS)
        if reads not in READS:
            raise unknown("reading", reads, READS)
        if feeding and reads not in AFTER:
            raise PracticumError(f"input feeding goes with {', '.join(AFTER)}; not with {reads!r}")
        if bidirectional and hidden % 2:
            raise PracticumError(f"hidden {hidden} is odd; two directions need halves of it")
        if min(source, target) <= END:
            raise PracticumError(
                f"{source} source and {target} target words; PAD, BEGIN and END alone are {END + 1}"
            )
        self.reads, self.feeding = reads, feeding
        self.source, self.target = nn.Embedding(source, width), nn.Embedding(target, width)
        each = hidden // 2 if bidirectional else hidden
        self.encoder = CELLS[cell](width, each, layers=layers, bidirectional=bidirectional)
        extra = hidden if reads in BEFORE or feeding else 0
        self.decoder = CELLS[cell](width + extra, hidden, layers=layers)
        self.attention: nn.Module = nn.Identity()
        if reads == "additive":
            self.attention = AdditiveAttention(hidden, hidden, hidden)
        elif reads == "general":
            self.attention = GeneralAttention(hidden, hidden)
        if reads != "start":
            self.join = nn.Linear(2 * hidden, hidden, bias=False)
        self.output = nn.Linear(hidden, target)

    def forward(
        self,
        source: Int[Tensor, "B S"],
        inputs: Int[Tensor, "B T"],
        lengths: Int[Tensor, "B"] | None = None,
        forced: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Return the logits of y_1 .. y_T.

        Args:
            source: x.
            inputs: y_0 .. y_{T-1}.
            lengths: source tokens of each sequence; None: all are.
            forced: where the decoder is fed the input; elsewhere its own most likely last word.
                The first is always fed. None: everywhere.
        """
        reading = self.start(source, lengths)
        if forced is None and self.reads != "additive" and not self.feeding:
            return self._at_once(inputs, reading)
        logits: list[Tensor] = []
        for t in range(inputs.shape[1]):
            token = inputs[:, t]
            if forced is not None and t > 0:
                token = torch.where(forced[:, t], token, logits[-1].argmax(-1))
            one, reading, _ = self.step(token, reading)
            logits.append(one)
        return torch.stack(logits, 1)

    def start(self, source: Int[Tensor, "B S"], lengths: Int[Tensor, "B"] | None = None) -> Reading:
        """Read the source; return where the decoder begins."""
        keys, ends = self.encoder(self.source(source), None, lengths)  # Eq. (1)
        at = torch.arange(source.shape[1], device=source.device)
        mask = torch.ones_like(source, dtype=torch.bool)
        if lengths is not None:
            mask = at < lengths.unsqueeze(1)
        # Directions side by side: [L directions, B, each] -> [B, L, H].
        b, layers = len(source), self.decoder.layers
        state = tuple(one.transpose(0, 1).reshape(b, layers, -1) for one in ends)  # Eq. (2)
        carried = state[0][:, -1] if self.reads == "always" else torch.zeros_like(state[0][:, -1])
        projected = keys
        if isinstance(self.attention, AdditiveAttention):
            projected = self.attention.project(keys)
        return Reading(keys, projected, mask.unsqueeze(1), carried, state)

    def step(
        self, token: Int[Tensor, "B"], reading: Reading
    ) -> tuple[Float[Tensor, "B V"], Reading, Float[Tensor, "B S"]]:
        """Return the logits of the next word, where the decoder stands then, and its attention.

        The attention is 0 for a decoder that has none.
        """
        x_B1E = self.target(token).unsqueeze(1)
        query = reading.state[0][:, -1:]  # s_{i-1} of the last layer
        context, weights = self._context(query, reading)
        if self.reads in BEFORE:
            x_B1E = torch.cat((x_B1E, context), -1)
        elif self.feeding:
            x_B1E = torch.cat((x_B1E, reading.carried.unsqueeze(1)), -1)  # Eq. (11)
        s_B1H, state = self._decode(x_B1E, reading.state)  # Eq. (3)
        if self.reads in AFTER:
            context, weights = self._context(s_B1H, reading)  # Eq. (10)
        q_B1H = self._joined(context, s_B1H)
        carried = q_B1H[:, 0] if self.feeding else reading.carried
        after = reading._replace(state=state, carried=carried)
        return self.output(q_B1H)[:, 0], after, weights[:, 0]  # Eq. (4)

    @torch.no_grad()
    def greedy(
        self, source: Int[Tensor, "B S"], steps: int, lengths: Int[Tensor, "B"] | None = None
    ) -> tuple[Int[Tensor, "B T"], Float[Tensor, "B T S"]]:
        """Write the most likely word, one after another.

        Args:
            source: x.
            steps: T, words at most, END among them.
            lengths: source tokens of each sequence; None: all are.

        Returns:
            The words, PAD after END, and the attention that chose them.
        """
        reading = self.start(source, lengths)
        token = torch.full_like(source[:, 0], BEGIN)
        ended = torch.zeros_like(token, dtype=torch.bool)
        words, seen = [], []
        for _ in range(steps):
            logits, reading, weights = self.step(token, reading)
            token = torch.where(ended, PAD, logits.argmax(-1))
            ended = ended | (token == END)
            words.append(token)
            seen.append(weights)
        return torch.stack(words, 1), torch.stack(seen, 1)

    @torch.no_grad()
    def beam(
        self,
        source: Int[Tensor, "B S"],
        steps: int,
        lengths: Int[Tensor, "B"] | None = None,
        *,
        size: int,
        alpha: float = 0.0,
    ) -> Beams:
        """Search for the best sequences; the arguments are those of `greedy` and `beam_search`."""

        def step(token: Tensor, reading: Reading) -> tuple[Tensor, Reading]:
            logits, after, _ = self.step(token, reading)
            return logits.log_softmax(-1), after

        return beam_search(
            step,
            self.start(source, lengths),
            Reading.select,
            begin=torch.full_like(source[:, 0], BEGIN),
            end=END,
            pad=PAD,
            steps=steps,
            size=size,
            alpha=alpha,
        )

    def _at_once(self, inputs: Tensor, reading: Reading) -> Tensor:
        """Return the logits where no step needs the output of the one before."""
        x_BTE = self.target(inputs)
        context, _ = self._context(reading.state[0][:, -1:], reading)
        if self.reads in BEFORE:
            context = context.expand(-1, inputs.shape[1], -1)
            x_BTE = torch.cat((x_BTE, context), -1)
        s_BTH, _ = self._decode(x_BTE, reading.state)  # Eq. (3)
        if self.reads in AFTER:
            context, _ = self._context(s_BTH, reading)  # Eq. (10)
        logits: Tensor = self.output(self._joined(context, s_BTH))  # Eq. (4)
        return logits

    def _decode(
        self, x_BTE: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        s_BTH, ends = self.decoder(x_BTE, tuple(one.transpose(0, 1) for one in state))
        return s_BTH, tuple(one.transpose(0, 1) for one in ends)

    def _context(self, query_BQH: Tensor, reading: Reading) -> tuple[Tensor, Tensor]:
        """Return c and the weights of the keys, [B, Q, H] and [B, Q, S]."""
        keys, mask = reading.keys, reading.mask
        seen: tuple[Tensor, Tensor]
        if isinstance(self.attention, AdditiveAttention):
            seen = self.attention(query_BQH, keys, keys, mask, reading.projected)  # Eq. (9)
        elif isinstance(self.attention, GeneralAttention):
            seen = self.attention(query_BQH, keys, keys, mask)
        elif self.reads in ("dot", "scaled"):
            seen = attend(query_BQH, keys, keys, mask, scale=1.0 if self.reads == "dot" else None)
        elif self.reads == "mean":
            shares = (mask / mask.sum(-1, keepdim=True)).to(keys.dtype)
            seen = shares @ keys, shares  # Eq. (8)
        else:
            seen = reading.carried.unsqueeze(1), torch.zeros_like(mask, dtype=keys.dtype)  # Eq. (7)
        return seen

    def _joined(self, context: Tensor, s_BTH: Tensor) -> Tensor:
        if self.reads == "start":
            return s_BTH  # Eq. (6)
        return torch.tanh(self.join(torch.cat((context, s_BTH), -1)))  # Eq. (5)
