"""Still pictures: the names of their files, and writing them (OpenCV)."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..core.errors import OutputError

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
QUALITY = {
    ".jpg": cv2.IMWRITE_JPEG_QUALITY, ".jpeg": cv2.IMWRITE_JPEG_QUALITY, ".webp": cv2.IMWRITE_WEBP_QUALITY,
}  # fmt: skip
FIELDS = {"stream": "gate", "index": 1, "pts": 40, "number": 1, "label": "car", "id": 7}  # examples, to try a name with


class PathError(ValueError):
    """The pattern of a path cannot be used; says what is allowed."""


def check_pattern(pattern: str) -> None:
    """Raises PathError for a field that is not known, or an ending that cannot be written."""
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None]
        unknown = [name for name in names if name not in FIELDS]
        if not unknown:
            pattern.format_map(FIELDS)
    except ValueError as error:
        raise PathError(f"it is not a pattern ({error}); a field is written {{index:06d}}") from None
    if unknown:
        known = ", ".join(f"{{{name}}}" for name in FIELDS)
        raise PathError(f"{{{unknown[0]}}} is not known; there are {known}")
    if not pattern.lower().endswith(ENDINGS):
        raise PathError(f"it must end in {', '.join(ENDINGS)}")


def write_picture(path: str, bgr: NDArray[np.uint8], quality: int) -> None:
    """Pixels [h, w, 3] BGR into a file of the kind that its ending says; `quality` 1..100 for JPEG and WebP.

    Raises OutputError.
    """
    ending = path[path.rindex(".") :].lower()
    options = [QUALITY[ending], quality] if ending in QUALITY else []  # OpenCV speaks up about others
    _, data = cv2.imencode(ending, bgr, options)
    try:
        with open(path, "wb") as file:
            file.write(bytes(data))
    except OSError as error:
        raise OutputError(path, error) from error


def jpeg(bgr: NDArray[np.uint8], quality: int = 80) -> bytes:
    """Pixels [h, w, 3] BGR as a JPEG."""
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data)


def shrunk(bgr: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """The picture with no side longer than that many pixels; smaller ones stay."""
    scale = longest / max(bgr.shape[:2])
    if scale >= 1:
        return bgr
    size = (max(1, round(bgr.shape[1] * scale)), max(1, round(bgr.shape[0] * scale)))
    return np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA), np.uint8)


def fit(bgr: NDArray[np.uint8], width: int, height: int) -> NDArray[Any]:
    """The picture within width x height, its shape kept, on black."""
    h, w = bgr.shape[:2]
    scale = min(width / w, height / h)
    inner = (max(1, round(w * scale)), max(1, round(h * scale)))
    out = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner[1]) // 2, (width - inner[0]) // 2
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    out[top : top + inner[1], left : left + inner[0]] = cv2.resize(bgr, inner, interpolation=way)
    return out


def mosaic(pictures: Sequence[NDArray[np.uint8] | None], width: int, height: int) -> NDArray[Any]:
    """Pictures side by side in a grid that is as square as can be, within width x height; None leaves black."""
    columns = max(1, int(np.ceil(np.sqrt(len(pictures)))))
    rows = max(1, -(-len(pictures) // columns))
    cell = (width // columns, height // rows)
    out = np.zeros((height, width, 3), np.uint8)
    for number, picture in enumerate(pictures):
        if picture is not None:
            y, x = number // columns * cell[1], number % columns * cell[0]
            out[y : y + cell[1], x : x + cell[0]] = fit(picture, *cell)
    return out
