"""Fragmented MP4 (ISO/IEC 14496-12): the header that players need once, and fragments of any number of pictures.

FFmpeg writes the header, for it knows every codec's sample entry. Fragments are written here, so that each can leave
as soon as its pictures are there.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.error

from ..media import CodecParameters
from ..media.nal import read_header, split

CLOCK = 90_000  # ticks a second of our tracks
CODECS = ("h264", "hevc", "av1")
_SYNC, _OTHER = 0x02000000, 0x01010000  # sample flags: depends on no other; depends on others and is no key picture
_HEADERS = {"h264": b"avcC", "hevc": b"hvcC", "av1": b"av1C"}


@dataclass(frozen=True, slots=True)
class Sample:
    """A coded picture as an MP4 holds it. Times and duration in ticks of CLOCK."""

    data: bytes
    dts: int
    pts: int
    duration: int
    key: bool


class Track:
    """One stream's header, and how its packets become samples."""

    def __init__(self, codec: CodecParameters) -> None:
        """Raises ValueError for a codec that has no place here, or whose header is not there or cut off."""
        if codec.codec not in CODECS:
            raise ValueError(f"browsers are served {', '.join(CODECS)}, not {codec.codec}: encode with one of them")
        if not codec.extradata:
            raise ValueError(f"the {codec.codec} stream comes without its header: encode it anew")
        self._nal = codec.codec != "av1"
        self._length_size, _ = read_header(codec.codec, codec.extradata)
        try:
            self.header = _header(codec)
            self.codec = _codec_string(codec.codec, self.header)
        except (av.error.FFmpegError, OSError, IndexError, struct.error) as error:
            raise ValueError(f"the header of the {codec.codec} stream cannot be used: {error}") from error

    def data(self, packet: Any) -> bytes:
        """A packet (anything with the buffer protocol) as an MP4 holds it. Raises ValueError for one that is cut."""
        if not self._nal:
            return bytes(packet)
        if self._length_size == 4:
            return bytes(packet)
        return b"".join(len(unit).to_bytes(4, "big") + unit for unit in split(packet, self._length_size))


def ticks(ns: int) -> int:
    """ns as ticks of CLOCK."""
    return (ns * 9 + 50_000) // 100_000


def fragment(number: int, samples: Sequence[Sample]) -> bytes:
    """A `moof` and its `mdat`; `number` grows from fragment to fragment, times begin at 0 or later."""
    rows = b"".join(
        struct.pack(">IIIi", s.duration, len(s.data), _SYNC if s.key else _OTHER, s.pts - s.dts) for s in samples
    )
    head = _box(b"mfhd", struct.pack(">II", 0, number))
    track = _box(b"tfhd", struct.pack(">II", 0x020000, 1))  # offsets count from the fragment's own start
    time = _box(b"tfdt", struct.pack(">IQ", 0x01000000, max(0, samples[0].dts)))
    size = 8 + len(head) + 8 + len(track) + len(time) + 20 + len(rows)  # of the moof; the pictures stand 8 bytes behind
    run = _box(b"trun", struct.pack(">III", 0x01000F01, len(samples), size + 8) + rows)
    moof = _box(b"moof", head + _box(b"traf", track + time + run))
    return moof + _box(b"mdat", b"".join(s.data for s in samples))


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _header(codec: CodecParameters) -> bytes:
    """`ftyp` and `moov` without samples."""
    target, nowhere = io.BytesIO(), av.open(io.BytesIO(), "w", format="null")
    options = {"movflags": "empty_moov+default_base_moof", "video_track_timescale": str(CLOCK)}
    with av.open(target, "w", format="mp4", options=options) as out:
        stream = out.add_stream_from_template(nowhere.add_stream(codec.codec))  # see outputs.container
        context = stream.codec_context
        context.width, context.height = codec.width, codec.height
        context.extradata, context.pix_fmt = codec.extradata, codec.pixel_format or "yuv420p"
        if codec.sample_aspect:
            context.sample_aspect_ratio = codec.sample_aspect
        if codec.codec == "hevc":
            context.codec_tag = "hvc1"
        stream.time_base = Fraction(1, CLOCK)
        out.start_encoding()
        header = target.getvalue()
    if _HEADERS[codec.codec] not in header:
        raise IndexError("it is missing")
    return header


def _codec_string(codec: str, header: bytes) -> str:
    """The name that browsers and playlists know the codec by (RFC 6381; ISO/IEC 14496-15, annex E; AV1 in ISOBMFF)."""
    at = header.index(_HEADERS[codec]) + 4
    if codec == "h264":
        return f"avc1.{header[at + 1 : at + 4].hex()}"
    if codec == "av1":
        profile, level = header[at + 1] >> 5, header[at + 1] & 31
        tier, depth = "H" if header[at + 2] & 0x80 else "M", 10 if header[at + 2] & 0x40 else 8
        return f"av01.{profile}.{level:02}{tier}.{depth:02}"
    space, high, profile = header[at + 1] >> 6, header[at + 1] >> 5 & 1, header[at + 1] & 31
    compatible = int(f"{int.from_bytes(header[at + 2 : at + 6], 'big'):032b}"[::-1], 2)
    limits = header[at + 6 : at + 12].rstrip(b"\0")
    parts = [f"hvc1.{['', 'A', 'B', 'C'][space]}{profile}", f"{compatible:X}", f"{'LH'[high]}{header[at + 12]}"]
    return ".".join([*parts, *(f"{byte:X}" for byte in limits)])
