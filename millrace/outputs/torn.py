"""The end of an MP4 or MOV file whose writing failed in the middle (boxes: ISO/IEC 14496-12, 4.2)."""

from __future__ import annotations

import os
import struct

_HEADER = 8  # bytes: the box's size, its name
_LARGE = 16  # with a size of 64 bits


def cut_torn_box(path: str) -> None:
    """Take away the last box of a file if it is not whole, unless it is media data: what is there of those plays.

    FFmpeg opens no file that ends within the header of a fragment. Raises OSError.
    """
    with open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        at = 0
        while at < end:
            file.seek(at)
            head = file.read(_LARGE)
            size, name = struct.unpack(">I4s", head[:_HEADER]) if len(head) >= _HEADER else (0, b"")
            if size == 1 and len(head) == _LARGE:
                size = struct.unpack(">Q", head[_HEADER:])[0]
            if name == b"mdat" and (size == 0 or at + size > end):
                return
            if size < _HEADER or at + size > end:
                file.truncate(at)
                return
            at += size
