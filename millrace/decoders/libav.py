"""Decoding on the CPU with FFmpeg's libavcodec (PyAV)."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.error
import numpy as np
from av.codec.context import Flags
from av.sidedata.sidedata import Type
from av.video.reformatter import VideoReformatter

from ..core.caps import Caps
from ..media import CodecParameters, Decoding, Image, Packet
from ..media.buffers import empty
from ..media.image import Format, Matrix
from .base import Decoded
from .turn import turned

NS = Fraction(1, 1_000_000_000)
DEFAULT = Decoding()
FORMATS: dict[str, Format] = {"yuv420p": "I420", "yuvj420p": "I420", "nv12": "NV12", "gray": "GRAY8"}
GREY16 = {  # FFmpeg's name → bytes' order, and by how much the value must be moved up
    "gray9le": ("<u2", 7), "gray10le": ("<u2", 6), "gray12le": ("<u2", 4), "gray14le": ("<u2", 2),
    "gray9be": (">u2", 7), "gray10be": (">u2", 6), "gray12be": (">u2", 4), "gray14be": (">u2", 2),
    "gray16le": ("<u2", 0), "gray16be": (">u2", 0),
}  # fmt: skip
SKIP = {"none": "DEFAULT", "non_reference": "NONREF", "non_key": "NONKEY"}  # FFmpeg's AVDiscard
MATRICES: dict[int, Matrix] = {1: "bt709", 9: "bt2020", 10: "bt2020"}  # ITU-T H.273; all else as BT.601
FULL_RANGE = 2
ENCODERS = (  # the names under which x264 and x265 write their own settings
    bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef"), bytes.fromhex("2ca2de09b51747dbbb55a4fe7fc2fc4e"),
)  # fmt: skip
SOFTWARE = {"av1": "libdav1d"}  # FFmpeg's decoder of the format's own name works on hardware only


def open_decoder(caps: Caps, device: str = "cpu", *, threads: int = 1, **options: Any) -> LibavDecoder:
    """A decoder for one stream of packets, with a codec context of its own.

    `threads`: 1 decodes in the caller's thread; more hold back as many pictures; 0 lets FFmpeg choose.
    `options` are FFmpeg's codec options. Raises ValueError when the codec is not known or cannot be opened.
    """
    parameters = caps.get("parameters") or CodecParameters(
        caps["codec"], caps.get("width") or 0, caps.get("height") or 0, caps.get("extradata")
    )
    wanted = caps.get("decoding") or Decoding()
    return LibavDecoder(parameters, threads, {name: str(value) for name, value in options.items()}, wanted)


class LibavDecoder:
    """See decoders.base.Decoder. Pictures are views of the decoder's memory: nothing is copied.

    I420, NV12, GRAY8 and GRAY16 come out as they are, grey of 9 to 14 bit as GRAY16; other formats (4:2:2, 4:4:4,
    10 bit, RGB, …) become I420 of the same matrix and range (RGB: BT.601 limited).
    """

    def __init__(
        self, parameters: CodecParameters, threads: int, options: dict[str, str], wanted: Decoding = DEFAULT
    ) -> None:
        self.damaged = 0
        self._turn = wanted.turn
        self._says = parameters.codec in ("h264", "hevc")
        self._context = _context(parameters, threads, options, wanted)
        self._reformatter = VideoReformatter()  # ours alone: one that two threads use crashes
        self._base: Fraction | None = None  # of the ticks; read at the first packet, for it is the same for all
        self._unit, self._den, self._half = 1, 1, 0
        self._offset = 0  # of the packets' ns against their own ticks
        self._faulty_pts = self._faulty_dts = 0
        self._last_pts: int | None = None
        self._last_dts: int | None = None

    def decode(self, packet: Packet) -> list[Decoded]:
        data = packet.data
        if isinstance(data, av.Packet):
            if self._base is None:
                self._count_in(data.time_base)
            if packet.pts is not None and data.pts is not None:
                self._offset = packet.pts - self._ns(data.pts)
            elif packet.dts is not None and data.dts is not None:
                self._offset = packet.dts - self._ns(data.dts)
        else:
            data = av.Packet(data)
            data.time_base = NS
            if self._base is not NS:
                self._count_in(NS)
            data.pts, data.dts, data.duration = packet.pts, packet.dts, packet.duration or 0
            data.is_keyframe = packet.key
        return self._pictures(data)

    def flush(self) -> list[Decoded]:
        pictures = self._pictures(None)
        self._context.flush_buffers()
        self._base = None
        self._faulty_pts = self._faulty_dts = 0
        self._last_pts = self._last_dts = None
        return pictures

    def close(self) -> None:
        self._context.flush_buffers()

    def _pictures(self, data: Any) -> list[Decoded]:
        try:
            frames = self._context.decode(data)
        except av.error.FFmpegError:
            if data is not None:
                self.damaged += 1
            return []
        return [self._picture(frame) for frame in frames]

    def _picture(self, frame: Any) -> Decoded:
        ticks = self._time(frame.pts, frame.dts)
        image = image_of(frame, self._reformatter)
        return Decoded(
            turned(image, self._turn) if self._turn else image,
            None if ticks is None else self._ns(ticks) + self._offset,
            self._ns(frame.duration) if frame.duration else None,
            frame.is_corrupt,
            _user_data(frame) if self._says else None,
        )

    def _count_in(self, base: Fraction) -> None:
        self._base = base
        self._unit, self._den, self._half = base.numerator * 1_000_000_000, base.denominator, base.denominator // 2

    def _ns(self, ticks: int) -> int:
        return (ticks * self._unit + self._half) // self._den

    def _time(self, pts: int | None, dts: int | None) -> int | None:
        """The pts, or the dts where the file's pts have gone wrong more often (AVI knows no pts).

        Pictures leave in presentation order, so both must grow: the rule of libavcodec's own best-effort times.
        """
        if dts is not None:
            self._faulty_dts += self._last_dts is not None and dts <= self._last_dts
            self._last_dts = dts
        if pts is not None:
            self._faulty_pts += self._last_pts is not None and pts <= self._last_pts
            self._last_pts = pts
        if pts is not None and (dts is None or self._faulty_pts <= self._faulty_dts):
            return pts
        return dts


def _user_data(frame: Any) -> list[tuple[bytes, bytes]] | None:
    """What stands in the picture's SEI messages of user data, but what encoders write about themselves."""
    found = [bytes(each) for each in _all(frame.side_data) if each.type == Type.SEI_UNREGISTERED]
    said = [(each[:16], each[16:]) for each in found if len(each) >= 16 and each[:16] not in ENCODERS]
    return said or None


def _all(side_data: Any) -> Iterator[Any]:
    """Every part, also several of one type. Counted by hand: PyAV 19 walks over types, 18 over parts."""
    index = 0
    while True:
        try:
            part = side_data[index]
        except IndexError:
            return
        yield part
        index += 1


def image_of(frame: Any, reformatter: Any) -> Image:
    """The picture of an av.VideoFrame: views of its planes, or of its conversion to I420."""
    matrix, full = MATRICES.get(frame.colorspace, "bt601"), frame.color_range == FULL_RANGE
    name = frame.format.name
    if name in GREY16:
        return _grey16(frame, matrix, full)
    if name not in FORMATS:
        frame, matrix, full = _to_i420(frame, reformatter, matrix, full or name.startswith("yuvj"))
        name = "yuv420p"
    elif name == "yuvj420p":
        full = True
    format = FORMATS[name]
    parts = frame.planes
    if format == "NV12":
        chroma = parts[1]
        planes = [_view(parts[0]), _view(chroma, 2).reshape(chroma.height, chroma.width, 2)]
    else:
        planes = [_view(plane) for plane in parts]
    return Image(
        format, planes, frame.width, frame.height, matrix=matrix, full_range=full, read_only=True, owner=frame
    )  # fmt: skip


def _view(plane: Any, bytes_each: int = 1) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The plane's own bytes as (rows, bytes of a row); read-only, for the decoder predicts from them."""
    stride, rows = plane.line_size, plane.height
    bottom_up = -stride * (rows - 1) if stride < 0 else 0  # then the first row is the last in memory
    wide = plane.width * bytes_each
    return np.ndarray((rows, wide), np.uint8, memoryview(plane).toreadonly(), bottom_up, (stride, 1))


def _grey16(frame: Any, matrix: Matrix, full: bool) -> Image:
    """Grey of 9 to 16 bit with its value in the upper bits: a view where it stands there, else a copy."""
    order, up = GREY16[frame.format.name]
    view = _view(frame.planes[0], 2).view(order)
    ours = up == 0 and view.dtype == np.uint16
    if not ours:
        wide = empty(view.shape, np.uint16)
        np.left_shift(view, up, out=wide)
        view = wide
    return Image(
        "GRAY16", [view], frame.width, frame.height,
        matrix=matrix, full_range=full, read_only=ours, owner=frame if ours else None,
    )  # fmt: skip


def _to_i420(frame: Any, reformatter: Any, matrix: Matrix, full: bool) -> tuple[Any, Matrix, bool]:
    if frame.format.is_rgb:
        out = reformatter.reformat(frame, format="yuv420p", dst_colorspace="ITU601", dst_color_range="MPEG", threads=1)
        return out, "bt601", False
    colour_range = "JPEG" if full else "MPEG"
    out = reformatter.reformat(
        frame, format="yuv420p", src_color_range=colour_range, dst_color_range=colour_range, threads=1
    )  # fmt: skip
    return out, matrix, full


def _context(parameters: CodecParameters, threads: int, options: dict[str, str], wanted: Decoding = DEFAULT) -> Any:
    name = SOFTWARE.get(parameters.codec, parameters.codec)
    try:
        context = av.CodecContext.create(name, "r")
    except ValueError:  # PyAV's UnknownCodecError
        raise ValueError(f"there is no decoder for the codec {parameters.codec!r} here") from None
    context.width, context.height = parameters.width, parameters.height
    context.extradata = parameters.extradata
    if parameters.pixel_format:
        context.pix_fmt = parameters.pixel_format
    if parameters.tag:
        context.codec_tag = parameters.tag
    context.reorder_depth = parameters.reorder
    context.bits_per_coded_sample = parameters.bits_per_coded_sample
    context.color_range, context.colorspace = parameters.colour_range, parameters.colour_matrix
    context.color_primaries, context.color_trc = parameters.colour_primaries, parameters.colour_transfer
    context.thread_count = threads
    context.thread_type = ("SLICE" if wanted.low_latency else "AUTO") if threads != 1 else "NONE"
    if wanted.low_latency:
        context.flags |= Flags.low_delay
    context.skip_frame = SKIP[wanted.skip_frames]
    context.options = options
    try:
        context.open()
    except av.error.FFmpegError as error:
        raise ValueError(f"the decoder for {parameters.codec} cannot be opened: {error.strerror}") from None
    return context
