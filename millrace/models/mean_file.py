"""A mean picture: what a network of the Caffe days subtracts from its input, pixel by pixel."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError

_HEADER = re.compile(rb"(P[36])((?:\s+|#[^\n]*\n)+)(\d+)(?:\s+|#[^\n]*\n)+(\d+)(?:\s+|#[^\n]*\n)+(\d+)\s")


def read_mean(path: str | os.PathLike[str], width: int, height: int) -> NDArray[np.float32]:
    """The RGB picture of a PPM file (P3 or P6, 8 bits) as float32 [height, width, 3].

    Raises ConfigError for a file that is none, or of another size than the network's input.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the mean picture {path}: {error.strerror or error}") from error
    head = _HEADER.match(data)
    if head is None or int(head[5]) > 255:
        raise ConfigError(f"{path} is not a PPM picture of 8 bits (P3 or P6)")
    wide, high = int(head[3]), int(head[4])
    if (wide, high) != (width, height):
        raise ConfigError(f"the mean picture {path} is {wide}x{high}, the input {width}x{height}")
    body, size = data[head.end() :], wide * high * 3
    try:
        values = np.array(body.split()[:size], np.uint8) if head[1] == b"P3" else np.frombuffer(body[:size], np.uint8)
        return values.reshape(high, wide, 3).astype(np.float32)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"the mean picture {path} is cut short or damaged: {error}") from error
