"""NAL units of H.264 and HEVC: out of packets as containers hold them, and out of byte streams.

ISO/IEC 14496-15: containers write each NAL unit after its length and keep the parameter sets in a header (avcC,
hvcC). ITU-T H.264 and H.265, Annex B: in a byte stream each NAL unit stands after a start code and the parameter
sets stand among the others.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

_START = re.compile(rb"\x00\x00\x01")
_ESCAPED = re.compile(rb"(\x00\x00)(?=[\x00-\x03])")  # what would look like a start code
_SETS = 4096  # bytes at the beginning of an access unit in which its parameter sets are looked for
SEI_HEADERS = {"h264": b"\x06", "hevc": b"\x4e\x01"}  # of a unit of SEI; in hevc of one before the picture


def read_header(codec: str, extradata: bytes | None) -> tuple[int, list[bytes]]:
    """Bytes of a NAL unit's length in packets (0: start codes instead), and the parameter sets of the header.

    Raises ValueError for a header that is cut off.
    """
    if not extradata or codec not in ("h264", "hevc"):
        return 0, []
    data = bytes(extradata)
    if data[0] != 1:
        return 0, split(data, 0)
    try:
        return _read_avcc(data) if codec == "h264" else _read_hvcc(data)
    except (IndexError, struct.error):
        raise ValueError(f"the header of the {codec} stream is cut off") from None


def split(data: Any, length_size: int) -> list[bytes]:
    """The NAL units of a packet (anything with the buffer protocol), without lengths or start codes.

    Raises ValueError when lengths do not add up.
    """
    source = bytes(data)
    units: list[bytes] = []
    if not length_size:
        starts = [match.end() for match in _START.finditer(source)]
        for at, end in zip(starts, [*(start - 3 for start in starts[1:]), len(source)], strict=False):
            unit = source[at:end].rstrip(b"\x00")  # trailing zeros, and the longer start code's first byte
            if unit:
                units.append(unit)
        return units
    return list(_by_length(source, length_size))


def _by_length(source: bytes, length_size: int) -> Iterator[bytes]:
    at = 0
    while at + length_size <= len(source):
        length = int.from_bytes(source[at : at + length_size], "big")
        at += length_size
        if at + length > len(source):
            break
        if length:
            yield source[at : at + length]
        at += length
    if at != len(source):
        raise ValueError("the lengths of a packet's NAL units do not add up")


def sequences(codec: str, data: Any, length_size: int = 0) -> list[bytes]:
    """The sequence parameter sets that stand before the first picture of an access unit (see `split`)."""
    found: list[bytes] = []
    if codec not in ("h264", "hevc"):
        return found
    wanted, source = 7 if codec == "h264" else 33, bytes(memoryview(data)[:_SETS])
    with suppress(ValueError):  # the picture behind them is cut off there
        for unit in _by_length(source, length_size) if length_size else split(source, 0):
            kind = unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63
            if (1 <= kind <= 5) if codec == "h264" else kind < 32:
                break
            if kind == wanted:
                found.append(unit)
    return found


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


def sei_unregistered(codec: str, name: bytes, payload: bytes) -> bytes:
    """A NAL unit (without start code) of user data: H.264 section 7.3.2.3, H.265 section 7.3.2.4, payload type 5.

    `name` is the 16 bytes that say whose data it is. Raises ValueError for another codec or a name that is too short.
    """
    if codec not in SEI_HEADERS or len(name) != 16:
        raise ValueError(f"user data of {codec} with a name of {len(name)} bytes; it goes with h264 and hevc, and 16")
    data = name + payload
    sizes = b"\xff" * (len(data) // 255) + bytes([len(data) % 255])
    raw = b"\x05" + sizes + data + b"\x80"
    return SEI_HEADERS[codec] + _ESCAPED.sub(b"\\1\x03", raw)


def with_unit(codec: str, data: Any, unit: bytes) -> bytes:
    """An access unit of a byte stream (start codes) with one more NAL unit, which stands before its first picture."""
    source = bytes(data)
    for match in _START.finditer(source):
        kind = source[match.end()] & 31 if codec == "h264" else source[match.end()] >> 1 & 63
        if (1 <= kind <= 5) if codec == "h264" else kind < 32:
            at = match.start() - (match.start() > 0 and source[match.start() - 1] == 0)
            return source[:at] + b"\0\0\0\1" + unit + source[at:]
    return source


def avcc(sets: Sequence[bytes]) -> bytes | None:
    """The header that containers hold (avcC, lengths of four bytes) for parameter sets of H.264; None without an SPS.

    ISO/IEC 14496-15, 5.3.3.1.2, without the fields that profiles above High may add.
    """
    sps = [each for each in sets if each and each[0] & 31 == 7 and len(each) >= 4]
    pps = [each for each in sets if each and each[0] & 31 == 8]
    if not sps:
        return None
    sized = [b"".join(struct.pack(">H", len(each)) + each for each in kind) for kind in (sps, pps)]
    return bytes([1, *sps[0][1:4], 0xFF, 0xE0 | len(sps)]) + sized[0] + bytes([len(pps)]) + sized[1]
