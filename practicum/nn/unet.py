"""U-Net: a network from images to images that works at several sizes, told how noisy its input is.

Papers: O. Ronneberger, P. Fischer and T. Brox, "U-Net: convolutional networks for biomedical image
segmentation", MICCAI 2015, arXiv:1505.04597 (the shape). J. Ho, A. Jain and P. Abbeel, "Denoising
diffusion probabilistic models", NeurIPS 2020, arXiv:2006.11239, appendix B (residual blocks, group
normalisation, time embedding, attention).

Idea: going down, images shrink and channels grow, so that far pixels meet; going up, they grow
again. What each block on the way down left is handed to its counterpart on the way up, so that no
detail has to pass through the narrow middle.

Equations (numbered for this file; conv is a 3 x 3 convolution with a border of zeros, GN a group
normalisation, f(x) = x sigmoid(x)):
    (1)  e_t = (sin(t w_i), cos(t w_i)),  w_i = 10000^(-2i/E),  i = 0 .. E/2 - 1
    (2)  k = W2 f(W1 e_t)                                         time, as every block hears it
    (3)  h = conv1(f(GN1(x))) + U f(k),
         y = R x + conv2(drop(f(GN2(h))))                         residual block
    (4)  y = x + P softmax(q k' / sqrt C) v,  (q, k, v) = Q GN(x)  attention over the pixels
    (5)  down: a convolution of stride 2;  up: every pixel twice each way, then conv
    (6)  output = conv(f(GN(x)))

The way: conv; on every level down, `blocks` times (3), then (5); in the middle (3), (4), (3); on
every level up, `blocks` + 1 times (3) on x beside what the way down left there, then (5); (6).

Shapes: B batch, C channels, H height, W width, E time features, K numbers of the time.

Deviations from Ho et al.:
    1. Attention is in the middle only; the paper also has it at 16 x 16.
    2. R is left out where the channels do not change, else a 1 x 1 convolution.
    3. Only the last convolution begins at zero, so that the first prediction is 0.
    4. The channels of a group are a setting; sines and cosines alternate.

Cost: as the convolutions; at 8 x 8 with width 16, multipliers (1, 2) and one block, about 3.8
million multiplications an image.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from practicum.errors import PracticumError

BASE = 10000.0


def time_features(t: Int[Tensor, "B"], width: int) -> Float[Tensor, "B E"]:
    """Return e_t, in float64: late times need its digits.

    Raises:
        PracticumError: an odd width has no pairs.
    """
    if width < 2 or width % 2:
        raise PracticumError(f"{width} time features cannot be cut into pairs; give an even number")
    w = BASE ** (-torch.arange(0, width, 2, dtype=torch.float64, device=t.device) / width)
    turned = t[:, None] * w
    return torch.stack((turned.sin(), turned.cos()), dim=2).flatten(1)  # Eq. (1)


class TimeEmbedding(nn.Module):
    """From a time to the numbers that every block hears.

    Args:
        features: E, even.
        outputs: K.
    """

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.features = features
        self.first, self.second = nn.Linear(features, outputs), nn.Linear(outputs, outputs)

    def forward(self, t: Int[Tensor, "B"]) -> Float[Tensor, "B K"]:
        """Return k."""
        e_BE = time_features(t, self.features).to(self.first.weight.dtype)
        k: Tensor = self.second(F.silu(self.first(e_BE)))  # Eq. (2)
        return k


class ResidualBlock(nn.Module):
    """Two convolutions beside a short cut, shifted by the time.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        time: K.
        groups: groups of a normalisation; they divide both numbers of channels.
        dropout: probability of dropping a number before the second convolution.
    """

    def __init__(
        self, inputs: int, outputs: int, time: int, *, groups: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(groups, inputs), nn.GroupNorm(groups, outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shift = nn.Linear(time, outputs)
        self.short = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        self.dropout = dropout

    def forward(
        self, x: Float[Tensor, "B C H W"], k: Float[Tensor, "B K"]
    ) -> Float[Tensor, "B C2 H W"]:
        """Return y of Eq. (3)."""
        h = self.conv1(F.silu(self.norm1(x))) + self.shift(F.silu(k))[..., None, None]
        h = self.conv2(F.dropout(F.silu(self.norm2(h)), self.dropout, self.training))
        y: Tensor = self.short(x) + h  # Eq. (3)
        return y


class PixelAttention(nn.Module):
    """Every pixel looks at all others; one head.

    Args:
        channels: C.
        groups: groups of the normalisation.
    """

    def __init__(self, channels: int, *, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.into = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return y of Eq. (4)."""
        q_BCP, k_BCP, v_BCP = self.into(self.norm(x)).flatten(2).chunk(3, dim=1)
        scores_BPP = q_BCP.transpose(1, 2) @ k_BCP / math.sqrt(x.shape[1])
        seen_BCP = v_BCP @ scores_BPP.softmax(2).transpose(1, 2)
        y: Tensor = x + self.out(seen_BCP.reshape(x.shape))  # Eq. (4)
        return y


class UNet(nn.Module):
    """A small U-Net that predicts an image of its input's size, 8 to 32 pixels a side.

    Args:
        channels: of the images, in and out.
        width: channels of the first level; also E, the time features.
        multipliers: channels of each level, as multiples of the width; sides halve between levels.
        blocks: residual blocks on each level down.
        groups: groups of every normalisation.
        attention: whether the pixels of the middle look at each other.
        dropout: probability of dropping a number inside a block.

    Raises:
        PracticumError: no level, no block, groups that do not divide the width, an odd width, or a
            dropout that is no probability below one.
    """

    def __init__(
        self,
        channels: int = 1,
        *,
        width: int = 16,
        multipliers: tuple[int, ...] = (1, 2),
        blocks: int = 1,
        groups: int = 8,
        attention: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not multipliers or min(multipliers) < 1 or blocks < 1 or not 0 <= dropout < 1:
            raise PracticumError(
                f"multipliers {multipliers}, {blocks} blocks and dropout {dropout}: a U-Net needs "
                "a level, a block on each, and a dropout of at least 0 and below 1"
            )
        if groups < 1 or width % groups or width % 2:
            raise PracticumError(
                f"width {width} is odd or cannot be cut into {groups} groups; give an even "
                "multiple of the groups"
            )
        self.halvings, k = len(multipliers) - 1, 4 * width
        sizes = [width * m for m in multipliers]

        def block(inputs: int, outputs: int) -> ResidualBlock:
            return ResidualBlock(inputs, outputs, k, groups=groups, dropout=dropout)

        self.time = TimeEmbedding(width, k)
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        left = [width]  # the channels of everything that the way down leaves
        self.down = nn.ModuleList()
        for before, size in itertools.pairwise([width, *sizes]):
            if len(left) > 1:
                self.down.append(nn.Conv2d(before, before, 3, stride=2, padding=1))  # Eq. (5)
                left.append(before)
            for i in range(blocks):
                self.down.append(block(size if i else before, size))
                left.append(size)
        now = sizes[-1]
        self.middle = nn.ModuleList(
            [
                block(now, now),
                PixelAttention(now, groups=groups) if attention else nn.Identity(),
                block(now, now),
            ]
        )
        self.up = nn.ModuleList()
        for level, size in reversed(list(enumerate(sizes))):
            for _ in range(blocks + 1):
                self.up.append(block(now + left.pop(), size))
                now = size
            if level:
                self.up.append(nn.Conv2d(now, now, 3, padding=1))
        self.norm = nn.GroupNorm(groups, now)
        self.last = nn.Conv2d(now, channels, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        self.last.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "B C H W"], t: Int[Tensor, "B"]) -> Float[Tensor, "B C H W"]:
        """Return the prediction for images at their times.

        Raises:
            PracticumError: sides that cannot be halved as often as there are levels.
        """
        least = 2**self.halvings
        if x.shape[-1] % least or x.shape[-2] % least:
            raise PracticumError(
                f"images of {x.shape[-2]} x {x.shape[-1]} cannot be halved {self.halvings} times; "
                "give fewer multipliers, or sides that are multiples of " + str(least)
            )
        k_BK = self.time(t)
        x = self.first(x)
        left = [x]
        for part in self.down:
            x = part(x, k_BK) if isinstance(part, ResidualBlock) else part(x)
            left.append(x)
        before, look, after = self.middle
        x = after(look(before(x, k_BK)), k_BK)
        for part in self.up:
            if isinstance(part, ResidualBlock):
                x = part(torch.cat((x, left.pop()), dim=1), k_BK)
            else:
                x = part(F.interpolate(x, scale_factor=2.0, mode="nearest"))  # Eq. (5)
        y: Tensor = self.last(F.silu(self.norm(x)))  # Eq. (6)
        return y
