"""DCGAN: a convolutional generator and discriminator, built by rules that keep their game stable.

Papers: A. Radford, L. Metz and S. Chintala, "Unsupervised representation learning with deep
convolutional generative adversarial networks", ICLR 2016, arXiv:1511.06434, section 3. The game:
I. Goodfellow et al., "Generative adversarial nets", NIPS 2014, arXiv:1406.2661.

The rules of section 3, and what switches each off here:
    1. Strided convolutions that learn to resample, no pooling.                    strided=False
    2. Batch normalisation in both, but not at the generator's output nor at the
       discriminator's input.                                                      normalize=False
    3. No hidden layer that connects everything with everything.
    4. Generator: ReLU, and tanh at the output.
    5. Discriminator: leaky ReLU of slope 0.2 everywhere.
    and section 4: weights start from normal(0, 0.02^2).

Layers for a side of 4 * 2**n, from `width` maps w (the discriminator is the mirror image):
    project   code as 1 x 1 image -> 2**(n-1) w maps of 4 x 4
    up 1..n-1 half the maps, twice the side
    up n      channels of the image

Shapes: B batch, Z numbers of the code, C channels, S side of the image.

Deviations:
    1. Kernels are 4 x 4 with stride 2, so that every output sees equally many inputs (no
       checkerboard); the paper's are 5 x 5.
    2. Width, side and channels are settings; the paper's 64 x 64 pictures have width 128.
    3. Without strides the generator repeats every pixel in both directions before a 3 x 3
       convolution, and the discriminator takes the maximum of 2 x 2 squares after one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from practicum.errors import PracticumError
from practicum.nn.batchnorm import BatchNorm

SLOPE, DEVIATION = 0.2, 0.02


def maps_of(side: int, width: int) -> tuple[int, ...]:
    """Return the maps of the discriminator's layers, from the image inwards.

    Raises:
        PracticumError: the side is not 8, 16, 32, ..., or there are no maps.
    """
    levels = (side // 4).bit_length() - 1
    if levels < 1 or side != 4 * 2**levels or width < 1:
        raise PracticumError(
            f"images of side {side} from {width} maps; the side is 8, 16, 32, 64 or a further "
            "power of two, and the width at least 1"
        )
    return tuple(width * 2**i for i in range(levels))


def _norm(maps: int, normalize: bool) -> nn.Module:
    return BatchNorm(maps) if normalize else nn.Identity()


def _small_weights(network: nn.Module) -> None:
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, std=DEVIATION)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


class Generator(nn.Module):
    """Codes to images.

    Args:
        code: Z.
        side: S.
        channels: C.
        width: maps before the output.
        normalize: batch normalisation, rule 2.
        strided: strided convolutions, rule 1.

    Raises:
        PracticumError: a side that is not 8, 16, 32, ..., or no maps.
    """

    def __init__(
        self,
        code: int,
        side: int,
        channels: int,
        *,
        width: int = 32,
        normalize: bool = True,
        strided: bool = True,
    ) -> None:
        super().__init__()
        inward = maps_of(side, width)
        into = (*inward[::-1], channels)
        layers: list[nn.Module] = [nn.ConvTranspose2d(code, into[0], 4, bias=not normalize)]
        for i in range(len(inward)):
            bias = not normalize or i == len(inward) - 1
            if strided:
                up: nn.Module = nn.ConvTranspose2d(into[i], into[i + 1], 4, 2, 1, bias=bias)
            else:
                up = nn.Conv2d(into[i], into[i + 1], 3, 1, 1, bias=bias)
            layers.append(up)
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList(_norm(maps, normalize) for maps in into[:-1])
        self.strided = strided
        _small_weights(self)

    def forward(self, z: Float[Tensor, "B Z"]) -> Float[Tensor, "B C S S"]:
        """Return images with values between -1 and 1."""
        y: Tensor = self.layers[0](z[:, :, None, None])
        for norm, up in zip(self.norms, self.layers[1:], strict=True):
            y = torch.relu(norm(y))
            y = up(y if self.strided else F.interpolate(y, scale_factor=2.0, mode="nearest"))
        return torch.tanh(y)


class Discriminator(nn.Module):
    """Images to the logit of their being real.

    Args:
        side: S.
        channels: C.
        width: maps after the input.
        normalize: batch normalisation, rule 2.
        strided: strided convolutions, rule 1.

    Raises:
        PracticumError: a side that is not 8, 16, 32, ..., or no maps.
    """

    def __init__(
        self,
        side: int,
        channels: int,
        *,
        width: int = 32,
        normalize: bool = True,
        strided: bool = True,
    ) -> None:
        super().__init__()
        inward = maps_of(side, width)
        into = (channels, *inward)
        kernel, stride = (4, 2) if strided else (3, 1)
        self.layers = nn.ModuleList(
            nn.Conv2d(into[i], into[i + 1], kernel, stride, 1, bias=not normalize or i == 0)
            for i in range(len(inward))
        )
        self.norms = nn.ModuleList(
            _norm(maps, normalize and i > 0) for i, maps in enumerate(inward)
        )
        self.head = nn.Conv2d(inward[-1], 1, 4)
        self.strided = strided
        _small_weights(self)

    def features(self, x: Float[Tensor, "B C S S"]) -> list[Tensor]:
        """Return the maps after every layer, which the paper takes for features."""
        found = []
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.leaky_relu(norm(layer(x)), SLOPE)
            x = x if self.strided else F.max_pool2d(x, 2)
            found.append(x)
        return found

    def forward(self, x: Float[Tensor, "B C S S"]) -> Float[Tensor, "B"]:
        """Return one logit an image."""
        logits: Tensor = self.head(self.features(x)[-1]).flatten()
        return logits
