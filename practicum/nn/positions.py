"""Positions: what tells attention, which sees a set, in which order its inputs stand.

Papers: sinusoidal: Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser, Polosukhin,
"Attention is all you need", NeurIPS 2017, arXiv:1706.03762, section 3.5. Learned: Gehring, Auli,
Grangier, Yarats, Dauphin, "Convolutional sequence to sequence learning", ICML 2017,
arXiv:1705.03122. Rotary: Su, Lu, Pan, Murtadha, Wen, Liu, "RoFormer: enhanced transformer with
rotary position embedding", arXiv:2104.09864.

Equations (numbered here), for position t and i = 0 .. E/2 - 1, w_i = base^(-2i/E), base = 10000:
    P[t, 2i] = sin(t w_i),  P[t, 2i + 1] = cos(t w_i)        (1) sinusoidal, added to the input
    y_t = x_t + P[t]                                         (2) P fixed by (1) or learned
    (x'_a, x'_b) = (x_a cos(t w_i) - x_b sin(t w_i),         (3) rotary: the pair (a, b) of a query
                    x_a sin(t w_i) + x_b cos(t w_i))             or key turns by the angle t w_i

Of two vectors turned by (3) the dot product depends on the distance of their positions only.

Shapes: B batch, T time steps, E width, N heads.

Deviations:
    1. The pairs of (3) are neighbours (2i, 2i + 1) as in the paper, or with `pairs="halves"`
       (i, i + E/2) as in many later networks: the same up to the order of the numbers.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from practicum.errors import PracticumError, unknown

PAIRS = ("neighbours", "halves")


def angles(length: int, width: int, base: float = 10000.0) -> Float[Tensor, "T half"]:
    """Return t w_i for every position and pair, in float64.

    Raises:
        PracticumError: an odd width has no pairs.
    """
    if width % 2 or width < 2:
        raise PracticumError(f"width {width} cannot be cut into pairs; give an even one")
    w = base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    return torch.outer(torch.arange(length, dtype=torch.float64), w)


def sinusoidal(length: int, width: int, base: float = 10000.0) -> Float[Tensor, "T E"]:
    """Return the table (1), in torch's default type.

    Raises:
        PracticumError: an odd width.
    """
    turned = angles(length, width, base)
    table = torch.stack((turned.sin(), turned.cos()), dim=-1).flatten(1)  # Eq. (1)
    return table.to(torch.get_default_dtype())


class Positions(nn.Module):
    """Adds a vector for each position to the input.

    Args:
        length: positions in all.
        width: E.
        learned: whether the vectors are learned, or the sinusoids (1).
        spread: standard deviation of the learned ones at the start, normal around 0.

    Raises:
        PracticumError: an odd width of sinusoids.
    """

    weight: Tensor

    def __init__(
        self, length: int, width: int, *, learned: bool = False, spread: float = 0.02
    ) -> None:
        super().__init__()
        if learned:
            self.weight = nn.Parameter(torch.randn(length, width) * spread)
        else:
            self.register_buffer("weight", sinusoidal(length, width), persistent=False)

    def forward(self, x: Float[Tensor, "B T E"], start: int = 0) -> Float[Tensor, "B T E"]:
        """Return the inputs with their positions, of which the first is `start`.

        Raises:
            PracticumError: more positions than there are.
        """
        end = start + x.shape[1]
        check_length(end, len(self.weight))
        return x + self.weight[start:end]  # Eq. (2)


def check_length(end: int, length: int) -> None:
    """Check that a sequence does not go on beyond the last position.

    Raises:
        PracticumError: it does.
    """
    if end > length:
        raise PracticumError(
            f"the sequence has {end} positions, but there are {length}; cut it, or build the "
            "network with more"
        )


class Rotary(nn.Module):
    """Turns queries and keys by their position.

    Args:
        length: positions in all.
        width: numbers of one head.
        base: the base of w_i.
        pairs: "neighbours" or "halves" (deviation 1).

    Raises:
        PracticumError: an odd width, or no such pairs.
    """

    cos: Tensor
    sin: Tensor

    def __init__(
        self, length: int, width: int, *, base: float = 10000.0, pairs: str = "neighbours"
    ) -> None:
        super().__init__()
        if pairs not in PAIRS:
            raise unknown("kind of pairs", pairs, PAIRS)
        turned, dtype = angles(length, width, base), torch.get_default_dtype()
        self.register_buffer("cos", turned.cos().to(dtype), persistent=False)
        self.register_buffer("sin", turned.sin().to(dtype), persistent=False)
        self.length, self.width, self.pairs = length, width, pairs

    def forward(self, x: Float[Tensor, "B N T E"], start: int = 0) -> Float[Tensor, "B N T E"]:
        """Return the vectors turned; the first has the position `start`.

        Raises:
            PracticumError: more positions than there are, or another width.
        """
        end = start + x.shape[-2]
        check_length(end, self.length)
        if x.shape[-1] != self.width:
            raise PracticumError(
                f"heads of width {x.shape[-1]} met a rotary embedding of width {self.width}; "
                "build it with the width of one head"
            )
        cos, sin = self.cos[start:end], self.sin[start:end]
        if self.pairs == "neighbours":
            a, b = x[..., ::2], x[..., 1::2]
        else:
            a, b = x.chunk(2, dim=-1)
        turned = (a * cos - b * sin, a * sin + b * cos)  # Eq. (3)
        if self.pairs == "neighbours":
            return torch.stack(turned, dim=-1).flatten(-2)
        return torch.cat(turned, dim=-1)
