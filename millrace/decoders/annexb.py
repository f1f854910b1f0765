"""H.264 and HEVC packets as MP4 and Matroska hold them → the byte stream that hardware decoders read.

ISO/IEC 14496-15: containers write each NAL unit after its length and keep the parameter sets in a header (avcC,
hvcC). ITU-T H.264 and H.265, Annex B: in a byte stream each NAL unit stands after a start code and the parameter
sets stand among the others.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

_START = b"\x00\x00\x00\x01"
_SPARE = 1 << 16


class Annexb:
    """Rewrites the packets of one stream into a buffer of its own: `size = annexb.write(packet.data, packet.key)`.

    `address` is where the bytes then lie, until the next `write`. Streams of other codecs, and those in Annex B
    form already, are copied as they are. Raises ValueError for a header that is cut.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self.length_size = 0  # bytes of a NAL unit's length; 0: start codes already, or another codec
        self.header = b""  # the parameter sets, written before every key picture
        if codec in ("h264", "hevc") and extradata and extradata[0] == 1:
            read = _read_avcc if codec == "h264" else _read_hvcc
            try:
                self.length_size, units = read(bytes(extradata))
            except (IndexError, struct.error):
                raise ValueError(f"the header of the {codec} stream is cut off") from None
            self.header = b"".join(_START + unit for unit in units)
        self._grow(1 << 20)

    def _grow(self, size: int) -> None:
        memory = np.empty(size, np.uint8)
        self._view = memory.data
        self.address = int(memory.ctypes.data)

    def write(self, data: Any, key: bool) -> int:
        """Write one packet (anything with the buffer protocol); returns the bytes, 0 when its lengths are wrong."""
        source = memoryview(data).cast("B")
        header = self.header if key else b""
        need = len(header) + len(source) * (1 if self.length_size in (0, 4) else 3)
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


def _read_avcc(header: bytes) -> tuple[int, list[bytes]]:
    """AVCDecoderConfigurationRecord, 14496-15 section 5.3.3.1."""
    units: list[bytes] = []
    at = 5
    for mask in (0x1F, 0xFF):  # how many SPS (in the low 5 bits), how many PPS
        count = header[at] & mask
        at = _units(header, at + 1, count, units)
    return (header[4] & 3) + 1, units


def _read_hvcc(header: bytes) -> tuple[int, list[bytes]]:
    """HEVCDecoderConfigurationRecord, 14496-15 section 8.3.3.1."""
    units: list[bytes] = []
    at = 23
    for _ in range(header[22]):
        (count,) = struct.unpack_from(">H", header, at + 1)
        at = _units(header, at + 3, count, units)
    return (header[21] & 3) + 1, units


def _units(header: bytes, at: int, count: int, units: list[bytes]) -> int:
    """Append `count` NAL units, each after a length of two bytes; returns where the next thing stands."""
    for _ in range(count):
        (length,) = struct.unpack_from(">H", header, at)
        if at + 2 + length > len(header):
            raise IndexError("a parameter set is cut off")
        units.append(header[at + 2 : at + 2 + length])
        at += 2 + length
    return at
