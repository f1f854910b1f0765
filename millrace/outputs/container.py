"""Video files: packets of one stream into the container that the file's name asks for (PyAV)."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import av.error

from ..core.caps import Caps
from ..core.errors import ConfigError, OutputError
from ..media import CodecParameters, Packet, SoundParameters
from .sound import SoundTrack, holds, to_ticks
from .torn import cut_torn_box

FORMATS = {
    ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".ts": "mpegts",
    ".avi": "avi", ".h264": "h264", ".264": "h264", ".h265": "hevc", ".265": "hevc", ".hevc": "hevc",
    ".mjpeg": "mjpeg",
}  # fmt: skip
RAW = ("h264", "hevc", "mjpeg")
INDEXED = ("mp4", "mov")
# Fragments while it grows, so that a file without an end plays up to its last whole fragment; an ordinary index over
# all of it when it is closed. The first header waits for the first fragment: only then are its times exact.
CRASH_SAFE = {
    "mp4": {"movflags": "hybrid_fragmented+delay_moov"},
    "mov": {"movflags": "hybrid_fragmented+delay_moov"},
    "matroska": {"cluster_time_limit": "1000"},  # ms that may be lost
    "webm": {"cluster_time_limit": "1000"},
}


INTERLEAVE = "2000000"  # us that packets of one track wait for those of the other


def open_container(path: str, caps: Caps, sound: bool = True, format: str | None = None) -> Container:
    """Begin a file for the packets that `caps` describes. The ending of `path` names the container, or `format` does.

    Where the caps name a `sound` track that the container can hold, its packets (kind "audio") are written too;
    `sound=False` leaves it out.

    An MP4 or MOV that is not closed (kill -9, power) plays up to the last key frame that was reached. AVI holds a
    constant frame rate: times are rounded to it. Raw streams (.h264, .h265) hold no times.
    Raises ConfigError when the ending is not known or the container cannot hold the codec, OutputError when the file
    cannot be written.
    """
    return Container(path, caps, caps.get("sound") if sound else None, format=format)


def format_of(path: str) -> str:
    """FFmpeg's name of the container that the ending of a path asks for; ConfigError when it is not known."""
    ending = os.path.splitext(path)[1].lower()
    if ending not in FORMATS:
        raise ConfigError(f"{path}: files that end in {ending or 'nothing'!r} are not known: {', '.join(FORMATS)}")
    return FORMATS[ending]


@dataclass(frozen=True, slots=True)
class Server:
    """Where packets go instead of into a file: FFmpeg's names of its address and format, and what it is told."""

    url: str
    format: str
    options: Mapping[str, str] = field(default_factory=dict)


class Container:
    """See outputs.base.Output. Write packets in decoding order, as an encoder gives them.

    `path` names it in errors. With a `server` nothing is written on the disk. `format`: the container, where the ending
    of the path does not say it.
    """

    def __init__(
        self,
        path: str,
        caps: Caps,
        sound: SoundParameters | None = None,
        server: Server | None = None,
        format: str | None = None,
    ) -> None:
        self.path = path
        self._is_file = server is None
        self._format = server.format if server is not None else format or format_of(path)
        parameters: CodecParameters = caps["parameters"]
        # With the protocol, or FFmpeg takes "a:b.mp4" for one; each packet is on the disk when write returns.
        options = {"flush_packets": "1", "max_interleave_delta": INTERLEAVE, **CRASH_SAFE.get(self._format, {})}
        options |= server.options if server is not None else {}
        where = server.url if server is not None else f"file:{path}"
        self._last_dts: int | None = None
        self._first_dts = self._first_pts = self._end = 0  # the end is of the picture that is shown last
        self._held: Any = None
        self._header = _repeated_header(parameters, self._format)
        self._out: Any = av.open(where, "w", format=self._format, options=options)
        self._closed = False
        try:
            self._stream = self._add_stream(parameters, caps)
            self._sound = SoundTrack(self._out, sound) if sound and holds(self._format, sound) else None
            self.lost_sound = sound.codec if sound and self._sound is None and self._format not in RAW else None
            self._out.start_encoding()
        except (av.error.FFmpegError, OSError) as error:
            self.abandon()
            raise OutputError(path, error) from None
        self._base: Fraction = self._stream.time_base

    def write(self, packet: Packet) -> None:
        """Raises OutputError naming the file, ValueError for a packet without times."""
        if packet.kind == "audio":
            if self._sound is not None and not self._closed and packet.pts is not None:
                self._mux(self._sound.packet(packet))
            return
        if packet.pts is None or packet.dts is None:
            raise ValueError(
                f"{self.path}: a packet of {packet.stream} has no time and cannot be written; encode it anew"
            )
        data = self._header + bytes(packet.data) if self._header and packet.key else packet.data
        out = av.Packet(data)  # a reference of our own: others may hold the same packet
        dts, pts = self._ticks(packet.dts), self._ticks(packet.pts)
        if self._last_dts is None:
            self._first_dts, self._first_pts = dts, pts
        elif dts <= self._last_dts:
            dts = self._last_dts + 1
        self._last_dts = dts
        out.dts, out.pts = dts, max(pts, dts)
        out.duration = self._ticks(packet.duration) if packet.duration else 0
        self._end = max(self._end, out.pts + out.duration)
        out.time_base, out.is_keyframe, out.stream = self._base, packet.key, self._stream
        if self._format in INDEXED:  # the last packet must be known as such: see close
            out, self._held = self._held, out
        if out is not None:
            self._mux(out)

    def close(self) -> None:
        if self._closed:
            return
        if self._held is not None:
            # MP4 counts a track's length in decoding times. The last packet's duration makes up the rest, or the
            # picture that is shown last would be cut short where the times are uneven and pictures reordered.
            last, self._held = self._held, None
            last.duration = max(last.duration, self._end - self._first_pts - (last.dts - self._first_dts))
            self._mux(last)
        self._closed = True
        try:
            self._out.close()
        except (av.error.FFmpegError, OSError) as error:
            raise OutputError(self.path, error) from None

    def _mux(self, packet: Any) -> None:
        try:
            self._out.mux_one(packet)
        except (av.error.FFmpegError, OSError) as error:
            self.abandon()
            raise OutputError(self.path, error) from None

    def _ticks(self, ns: int) -> int:
        return to_ticks(ns, self._base)

    def abandon(self) -> None:
        """After an error, or to end at once: let it go, and what closing it says with it."""
        self._closed, self._held = True, None
        with contextlib.suppress(av.error.FFmpegError, OSError):
            self._out.close()
        if self._format in INDEXED and self._is_file:
            with contextlib.suppress(OSError):
                cut_torn_box(self.path)

    def _add_stream(self, parameters: CodecParameters, caps: Caps) -> Any:
        """A stream for packets that were encoded elsewhere.

        PyAV makes such a stream from another one only, and opens no encoder for it: so we take one of a container
        that writes nowhere, then put the true parameters in.
        """
        nowhere = av.open(io.BytesIO(), "w", format="null")
        try:
            stream = self._out.add_stream_from_template(nowhere.add_stream(parameters.codec))
        except ValueError:
            raise ConfigError(f"{self.path}: a {self._format} file cannot hold {parameters.codec}") from None
        context = stream.codec_context
        context.width, context.height = parameters.width, parameters.height
        context.extradata = parameters.extradata
        context.pix_fmt = parameters.pixel_format or "yuv420p"
        if parameters.sample_aspect:
            context.sample_aspect_ratio = parameters.sample_aspect
        context.color_range, context.colorspace = parameters.colour_range, parameters.colour_matrix
        context.color_primaries, context.color_trc = parameters.colour_primaries, parameters.colour_transfer
        if parameters.codec == "hevc" and self._format in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # the one that Apple's players take; parameter sets stand in the header
        fps = caps.get("fps")
        if fps:
            context.framerate = fps
        stream.time_base = 1 / Fraction(fps or 25) if self._format == "avi" else caps["time_base"]
        if caps.get("rotation"):
            stream.set_display_rotation(-caps["rotation"])  # PyAV counts counter-clockwise
        return stream


def _repeated_header(parameters: CodecParameters, format: str) -> bytes:
    """The codec's header where it must stand before each key picture, for the format has no other place for it.

    (FFmpeg's TS muxer does so itself for H.264 and HEVC.) Only Annex B and MPEG-4 headers, which begin with a start
    code, can stand there; packets with other headers carry or get theirs on the way.
    """
    header = parameters.extradata or b""
    needed = format in RAW or (format == "mpegts" and parameters.codec == "mpeg4")
    return header if needed and header.startswith((b"\0\0\1", b"\0\0\0\1")) else b""
