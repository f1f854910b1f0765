"""The one fact of an MP4 that PyAV does not show before decoding: how a player turns the picture."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import BinaryIO


def rotation(path: str, track_id: int) -> int:
    """Degrees clockwise (0..359) from the matrix in the track's header; 0 where there is none.

    ISO/IEC 14496-12, 8.3.2 (tkhd) and 6.2.2 (the matrix: a, b, u, c, d, v, x, y, w; a and b in 16.16 fixed point).
    """
    with open(path, "rb") as file:
        for movie in _boxes(file, b"moov", 0, file.seek(0, 2)):
            for track in _boxes(file, b"trak", *movie):
                for header in _boxes(file, b"tkhd", *track):
                    file.seek(header[0])
                    content = file.read(header[1] - header[0])
                    id_at, matrix_at = (20, 52) if content[:1] == b"\1" else (12, 40)  # version 1 has 64-bit times
                    if len(content) < matrix_at + 36 or struct.unpack_from(">I", content, id_at)[0] != track_id:
                        continue
                    a, b = struct.unpack_from(">ii", content, matrix_at)
                    return round(math.degrees(math.atan2(b, a))) % 360
    return 0


def _boxes(file: BinaryIO, name: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the content of each box called `name` begins and ends, among the boxes of file[start:end]."""
    while start + 8 <= end:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        header = 8
        if size == 1:
            size, header = struct.unpack(">Q", file.read(8))[0], 16
        elif size == 0:
            size = end - start
        if size < header or start + size > end:
            return
        if kind == name:
            yield start + header, start + size
        start += size
