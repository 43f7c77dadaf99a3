"""Capital letters rendered from the typefaces that matplotlib brings: many fonts, no download.

Every letter is drawn large, cut to its ink, scaled to fit 14x14 pixels with its proportions kept
and centred in 16x16; 0 is paper, 255 ink. Typefaces are split, not pictures: training has DejaVu
and Computer Modern in 16 styles, the test has STIX in 4, so it asks whether the letter was learnt,
not the typeface. Fonts of symbols are left out.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from practicum.data.cards import card
from practicum.data.dataset import Dataset, from_arrays
from practicum.errors import PracticumError

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

SIDE = 16
_INK = SIDE - 2  # a margin of one pixel all around
_LARGE = 96  # points at which a letter is drawn before it is scaled down

_TRAIN = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *("cmr10", "cmb10", "cmss10", "cmtt10"),
)
_TEST = tuple(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta"))


def load_letters() -> Dataset:
    """Return 26 letters in 16 styles for training and in 4 of another family for the test."""
    from matplotlib import get_data_path

    folder = Path(get_data_path()) / "fonts" / "ttf"
    parts = [
        (np.concatenate([alphabet(folder / f"{font}.ttf") for font in fonts])[:, None], labels)
        for fonts in (_TRAIN, _TEST)
        for labels in [np.tile(np.arange(26), len(fonts))]
    ]
    return from_arrays(card("letters"), *parts, scale=255.0, classes=tuple(string.ascii_uppercase))


def alphabet(font: Path) -> NDArray[np.uint8]:
    """Render A to Z from a font file; [26, 16, 16].

    Raises:
        PracticumError: the file is missing or no font.
    """
    from PIL import ImageFont

    try:
        # the basic layout needs no further library, so that pixels depend on fewer versions
        face = ImageFont.truetype(font, _LARGE, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        raise PracticumError(
            f"cannot read the font {font}: {error}; it belongs to matplotlib: reinstall that"
        ) from error
    return np.stack([_render(letter, face) for letter in string.ascii_uppercase])


def _render(letter: str, face: FreeTypeFont) -> NDArray[np.uint8]:
    """Draw one letter, cut to its ink, scaled and centred; [16, 16]."""
    from PIL import Image, ImageDraw

    large = Image.new("L", (4 * _LARGE, 4 * _LARGE))
    ImageDraw.Draw(large).text((_LARGE, _LARGE), letter, fill=255, font=face)
    ink = large.crop(large.getbbox())
    scale = _INK / max(ink.size)
    width, height = (max(1, round(side * scale)) for side in ink.size)
    small = ink.resize((width, height), Image.Resampling.BOX)
    picture = Image.new("L", (SIDE, SIDE))
    picture.paste(small, ((SIDE - width) // 2, (SIDE - height) // 2))
    return np.asarray(picture, np.uint8)
