"""Pictures from files."""

from __future__ import annotations

import os

import cv2
import numpy as np

from ..media import Image


def read_picture(path: str | os.PathLike[str]) -> Image:
    """A still picture as BGR, turned upright where its EXIF says how. Raises ValueError for what is none."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ValueError(f"cannot read {os.fspath(path)}: {error.strerror}") from error
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if pixels is None:
        raise ValueError(f"{os.fspath(path)} is not a picture, or it is damaged")
    return Image("BGR", [pixels], pixels.shape[1], pixels.shape[0])
