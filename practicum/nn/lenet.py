"""LeNet-5: convolutions with shared weights, subsampling between them, and a small perceptron.

Paper: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition",
Proceedings of the IEEE 86 (1998) 2278-2324, section II.B and figure 2.

Equations (the paper's (5) and (6); the others are its text in symbols):
    a_i = sum_j w_ij x_j + b_i                               (5) in C1, C3 shared and local
    x_i = A tanh(S a_i),  A = 1.7159, S = 2/3                (6) after every layer up to F6
    a   = w (x_1 + x_2 + x_3 + x_4) + b                      S2, S4: one w and one b a map

Layers for 32 x 32 inputs, with the paper's counts of trainable numbers:
    C1  6 maps 28 x 28, kernels 5 x 5                        156
    S2  6 maps 14 x 14                                       12
    C3  16 maps 10 x 10, kernels 5 x 5, connected by TABLE   1,516
    S4  16 maps 5 x 5                                        32
    C5  120 units, each sees all of S4                       48,120
    F6  84 units                                             10,164
                                                             60,000 in all

Shapes: B batch, M maps, H height, W width, K classes.

Deviations:
    1. The paper's output units compare F6 with fixed 7 x 12 drawings of the characters (its (7)).
       Here they are weighted sums, K logits: 84 K + K more numbers.
    2. Weights start as torch.nn's layers do: uniform, bound 1/sqrt(fan-in). The paper's bound is
       2.4/fan-in. A subsampling coefficient starts at 1/4, so that S2 and S4 begin as averages.
    3. For smaller images than the paper's, the input's side, `kernel` and `padding` are settings,
       and `enlarge` repeats every pixel in both directions first.
    4. `modern=True` is what the network has become: the maximum in place of the subsampling,
       without w and b; max(0, a) in place of (6); every map of C3 sees all of S2.

Cost at 32 x 32: about 0.34 million multiplications an example (0.42 with `modern`).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from practicum.errors import PracticumError

AMPLITUDE, SLOPE = 1.7159, 2 / 3

# The paper's table I: the maps of S2 that each map of C3 sees.
TABLE: tuple[tuple[int, ...], ...] = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip


def squash(a: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return A tanh(S a), which maps 1 to 1 and -1 to -1."""
    return AMPLITUDE * torch.tanh(SLOPE * a)  # Eq. (6)


class Subsampling(nn.Module):
    """The sum of each 2 x 2 square times a coefficient plus a bias, both one for each map."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.full((maps,), 0.25))
        self.bias = nn.Parameter(torch.zeros(maps))

    def forward(self, x_BMHW: Float[Tensor, "B M H W"]) -> Float[Tensor, "B M h w"]:
        """Return maps of half the side."""
        pairs = x_BMHW[..., ::2, :] + x_BMHW[..., 1::2, :]  # twice as fast as avg_pool2d
        sums = pairs[..., ::2] + pairs[..., 1::2]
        return torch.addcmul(self.bias.view(-1, 1, 1), sums, self.coefficient.view(-1, 1, 1))


class PartialConvolution(nn.Module):
    """A convolution in which each output map sees only some of the input maps.

    Args:
        inputs: input maps.
        table: for each output map, the input maps that it sees.
        kernel: side of the kernels.
    """

    spread: Tensor

    def __init__(self, inputs: int, table: tuple[tuple[int, ...], ...], kernel: int) -> None:
        super().__init__()
        links = [(o, i) for o, seen in enumerate(table) for i in seen]
        bounds = torch.cat(
            [torch.full((len(seen),), 1 / (kernel * math.sqrt(len(seen)))) for seen in table]
        )
        self.kernels = nn.Parameter(
            (2 * torch.rand(len(links), kernel, kernel) - 1) * bounds.view(-1, 1, 1)
        )
        self.bias = nn.Parameter(
            torch.cat([(2 * torch.rand(1) - 1) / (kernel * math.sqrt(len(s))) for s in table])
        )
        # Puts each kernel into its place of a full weight, [output, input, link] of 0 and 1.
        spread = torch.zeros(len(table), inputs, len(links))
        for link, (o, i) in enumerate(links):
            spread[o, i, link] = 1
        self.register_buffer("spread", spread, persistent=False)

    def forward(self, x: Float[Tensor, "B M H W"]) -> Float[Tensor, "B N h w"]:
        """Return one map for each row of the table."""
        weight = torch.einsum("oil,lhw->oihw", self.spread, self.kernels)
        return F.conv2d(x, weight, self.bias)  # Eq. (5)


class LeNet5(nn.Module):
    """LeNet-5, as in the paper or in its modern form, for square images.

    Args:
        side: height and width of the images.
        classes: K.
        kernel: side of the kernels of C1 and C3.
        padding: rows and columns of `background` added at each border (the paper's 28 x 28
            digits lie in 32 x 32).
        enlarge: how often each pixel is repeated in each direction, before the padding.
        background: value of the added pixels.
        modern: maximum, rectified units and a fully connected C3 (deviation 4).

    Raises:
        PracticumError: the maps do not have an even side where they are halved.
    """

    def __init__(
        self,
        side: int = 28,
        classes: int = 10,
        *,
        kernel: int = 5,
        padding: int = 2,
        enlarge: int = 1,
        background: float = 0.0,
        modern: bool = False,
    ) -> None:
        super().__init__()
        self.padding, self.background, self.modern = padding, background, modern
        self.enlarge = enlarge
        size = side * enlarge + 2 * padding
        for _ in range(2):
            size -= kernel - 1
            if size < 2 or size % 2:
                raise PracticumError(
                    f"images of {side} x {side}, enlarged {enlarge} times, padding {padding} and "
                    f"kernels {kernel} give maps of side {size}, which cannot be halved; change "
                    "enlarge, padding or kernel"
                )
            size //= 2
        self.c1 = nn.Conv2d(1, 6, kernel)
        self.s2 = nn.MaxPool2d(2) if modern else Subsampling(6)
        self.c3 = nn.Conv2d(6, 16, kernel) if modern else PartialConvolution(6, TABLE, kernel)
        self.s4 = nn.MaxPool2d(2) if modern else Subsampling(16)
        self.c5 = nn.Linear(16 * size * size, 120)
        self.f6 = nn.Linear(120, 84)
        self.output = nn.Linear(84, classes)
        if modern:  # maps side by side in memory: a step takes a quarter less time so
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it

    def forward(self, x: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B K"]:
        """Return the outputs before any softmax (logits)."""
        f = torch.relu if self.modern else squash
        # max(0, a) commutes with the maximum: taken after it, it meets a quarter of the values.
        before_pool = nn.Identity() if self.modern else squash
        u = x if self.enlarge == 1 else F.interpolate(x, scale_factor=self.enlarge)
        u = F.pad(u, [self.padding] * 4, value=self.background)
        u = before_pool(self.c1(u))
        u = f(self.s2(u))
        u = before_pool(self.c3(u))
        u = f(self.s4(u))
        u = f(self.c5(u.flatten(1)))
        u = f(self.f6(u))
        logits: Tensor = self.output(u)
        return logits
