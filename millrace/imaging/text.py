"""Unicode text as masks of coverage, with the fonts inside OpenCV 5 (no font file needed).

The built-in "sans" covers Latin, Greek, Cyrillic, Chinese, Japanese kana and Arabic letters; it has no Devanagari and
no emoji. Whatever a font lacks shows as a question mark. OpenCV places one glyph after the other, left to right:
Arabic is neither joined nor reversed. A path to a .ttf or .otf file brings any other letters.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]

SANS = "sans"
WEIGHT = 600  # semibold: thin strokes drown in a picture
SMALLEST, LARGEST = 6, 256  # pixels of a line's height
LONGEST = 200  # letters of a text; the rest is cut off
EM, BASELINE = 0.78, 0.79  # of the line's height: the letters' size, and how far down they stand
_SIGNATURES = (b"\x00\x01\x00\x00", b"OTTO", b"true", b"ttcf")  # of TrueType and OpenType files

_one_at_a_time = threading.Lock()  # OpenCV does not say that a FontFace may be used from two threads


def text_mask(text: str, size: int = 16, font: str = SANS) -> Mask:
    """How far each pixel is covered, (size, width) uint8, of one line of text whose height is `size` pixels.

    Characters that cannot be printed become spaces. `font` is `sans`, `italic`, `uni` or a path; raises ValueError
    for a file that is no TrueType or OpenType font. Not to be written: it may be kept for the next time.
    """
    words, width = placed_words(text, size, font)
    if len(words) == 1:
        return words[0].mask
    mask = np.zeros((clamped(size), width), np.uint8)
    for word in words:
        mask[:, word.x : word.x + word.mask.shape[1]] = word.mask
    return mask


class Placed(NamedTuple):
    """A word of a line of text: what it is, how far right it begins, and its mask (the same object each time)."""

    word: str
    x: int
    mask: Mask


@lru_cache(maxsize=1024)
def placed_words(text: str, size: int = 16, font: str = SANS) -> tuple[tuple[Placed, ...], int]:
    """The words of a line of text, and its width; see `text_mask`."""
    size = clamped(size)
    clean = "".join(letter if letter.isprintable() else " " for letter in text[:LONGEST])
    gap, at, words = max(2, round(size * EM * 0.25)), 0, []
    for word in clean.split(" "):
        mask = _word(word, size, font)
        words.append(Placed(word, at, mask))
        at += mask.shape[1] + gap
    return tuple(words), at - gap


def clamped(size: int) -> int:
    """The height of a line of text, within what can be drawn."""
    return min(LARGEST, max(SMALLEST, int(size)))


def check_font(font: str) -> None:
    """Raises ValueError when text cannot be drawn with this font."""
    with _one_at_a_time:
        _face(font)


@lru_cache(maxsize=1024)
def _word(word: str, size: int, font: str) -> Mask:
    """One word; labels are made of few words though they are seldom the same as a whole."""
    if not word:
        return np.zeros((size, 0), np.uint8)
    letters = max(4, round(size * EM))
    with _one_at_a_time:
        face = _face(font)
        left, _, width, _ = cv2.getTextSize((0, 0), word, (0, 0), face, letters, WEIGHT)
        room = np.zeros((size, width + 2 * letters), np.uint8)
        cv2.putText(room, word, (1 - left, round(size * BASELINE)), (255,), face, letters, WEIGHT)
    mask = np.ascontiguousarray(room[:, : width + 2])
    mask.flags.writeable = False
    return mask


@lru_cache(maxsize=16)
def _face(font: str) -> Any:
    if font in (SANS, "italic", "uni"):
        return cv2.FontFace(font)
    path = Path(font)
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise ValueError(
            f"font {font!r} cannot be read ({error.strerror}); give sans, italic, uni or a .ttf"
        ) from error
    face = cv2.FontFace()
    if start not in _SIGNATURES or not face.set(str(path)):
        raise ValueError(f"font {font!r} is no TrueType or OpenType file; give sans, italic, uni or a .ttf")
    return face
