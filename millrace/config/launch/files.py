"""What local files hold, told by their first bytes, or by opening them."""

from __future__ import annotations

import os
from functools import lru_cache

from ...core.errors import MillraceError
from ...core.item import StreamStart

_MAGIC = (  # how files begin: (offset, bytes, container or codec)
    (4, b"ftyp", "mp4"), (4, b"moov", "mp4"), (4, b"mdat", "mp4"), (4, b"free", "mp4"), (4, b"wide", "mp4"),
    (0, b"\x1aE\xdf\xa3", "matroska"), (0, b"FLV", "flv"), (0, b"RIFF", "avi"), (0, b"G", "mpegts"),
    (0, b"OggS", "ogg"), (0, b"\xff\xd8\xff", "mjpeg"), (0, b"\x89PNG", "png"), (0, b"\0\0\0\1", "annexb"),
    (0, b"\0\0\1", "annexb"),
)  # fmt: skip


def container_of(path: str) -> str:
    """The container or codec of a local file by how it begins; "" where it is not known."""
    try:
        with open(path, "rb") as handle:
            head = handle.read(16)
    except OSError:
        return ""
    return next((kind for at, magic, kind in _MAGIC if head[at:].startswith(magic)), "")


def codec_of(uri: object) -> str:
    """The codec of the video in a local file, "" where there is none or it cannot be told."""
    if not isinstance(uri, str) or "://" in uri or not container_of(uri):
        return ""
    return _codec(uri, os.stat(uri).st_mtime_ns)


@lru_cache(maxsize=64)
def _codec(path: str, changed: int) -> str:
    from ...sources.file import FileSource

    reading = FileSource(stream="file", uri=path).read()
    try:
        start = next(item for item in reading if isinstance(item, StreamStart))
    except (MillraceError, StopIteration):
        return ""  # what is wrong with it is told when it is read
    finally:
        reading.close()  # type: ignore[attr-defined]  # it is a generator
    return str(start.caps.get("codec") or "")
