"""H.264 and HEVC packets as MP4 and Matroska hold them → the byte stream that hardware decoders read (media.nal)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..media.nal import read_header, sequences

try:
    from . import _annexb as native
except ImportError:  # no compiler when the package was installed
    native = None  # type: ignore[assignment]

_START = b"\x00\x00\x00\x01"
_SPARE = 1 << 16


class Annexb:
    """Rewrites the packets of one stream into a buffer of its own: `size = annexb.write(packet.data, packet.key)`.

    `address` is where the bytes then lie, until the next `write`. Streams of other codecs, and those in Annex B
    form already, are copied as they are, but for key pictures without parameter sets: they get those that stand beside
    the stream (a camera may send them in its SDP alone). Raises ValueError for a header that is cut.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self.length_size = 0  # bytes of a NAL unit's length; 0: start codes already, or another codec
        self.header = b""  # the parameter sets, written before every key picture
        self._codec = codec
        self.length_size, units = read_header(codec, extradata)
        self.header = b"".join(_START + unit for unit in units)
        self._grow(1 << 20)

    def _grow(self, size: int) -> None:
        memory = np.empty(size, np.uint8)
        self._view = memory.data
        self.address = int(memory.ctypes.data)

    def write(self, data: Any, key: bool) -> int:
        """Write one packet (anything with the buffer protocol); returns the bytes, 0 when its lengths are wrong."""
        header = self.header if key else b""
        if header and not self.length_size and sequences(self._codec, memoryview(data)):
            header = b""
        if native is None:
            return self._write(memoryview(data).cast("B"), header)
        size: int = native.write(self._view, header, data, self.length_size)
        if size < 0:
            self._grow(_SPARE - size)
            size = native.write(self._view, header, data, self.length_size)
        return size

    def _write(self, source: memoryview, header: bytes) -> int:
        """The same without the C part."""
        need = len(header) + len(source) * (1 if self.length_size in (0, 4) else 4)
        if need > len(self._view):
            self._grow(need + _SPARE)
        start, end = len(header), len(header) + len(source)
        self._view[:start] = header
        if self.length_size in (0, 4):
            self._view[start:end] = source
            return end if not self.length_size or self._mark(start, end) else 0
        return self._rebuild(source, start)

    def _mark(self, at: int, end: int) -> bool:
        """Turn lengths of four bytes into start codes, in place."""
        view = self._view
        while at + 4 <= end:
            length = int.from_bytes(view[at : at + 4], "big")
            view[at : at + 4] = _START
            at += 4 + length
        return at == end

    def _rebuild(self, source: memoryview, out: int) -> int:
        at, size = 0, self.length_size
        while at + size <= len(source):
            length = int.from_bytes(source[at : at + size], "big")
            at += size
            if at + length > len(source):
                return 0
            self._view[out : out + 4] = _START
            self._view[out + 4 : out + 4 + length] = source[at : at + length]
            out, at = out + 4 + length, at + length
        return out if at == len(source) else 0
