"""Encoding on the CPU with FFmpeg's libavcodec (PyAV)."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any, NamedTuple

import av
import av.error
import numpy as np
from av.codec.context import Flags
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from ..core.caps import PACKETS, Caps
from ..media import CodecParameters, Frame, Image, Packet
from ..media.nal import SEI_HEADERS, sei_unregistered, with_unit

SECOND = 1_000_000_000
MPEG_TICKS = Fraction(1, 90000)
COARSEST, FINEST = Fraction(1, 1000), Fraction(1, 1_000_000)  # time bases of the input that are kept
MATRIX_CODE = {"bt601": 6, "bt709": 1, "bt2020": 9}  # ITU-T H.273
LIMITED, FULL = 1, 2
LONGEST_DELAY = 60  # seconds; x265 gives streams shorter than its reordering a dts from memory that nobody wrote
X26X_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")


class Codec(NamedTuple):
    """How one format is encoded here. `quality` is the encoder's own scale, where less is better."""

    encoder: str
    quality: int
    best: int
    worst: int
    preset: str | None = None
    presets: tuple[str, ...] = ()


CODECS = {
    "h264": Codec("libx264", 23, 0, 51, "veryfast", X26X_PRESETS),
    "hevc": Codec("libx265", 28, 0, 51, "superfast", X26X_PRESETS),
    "av1": Codec("libsvtav1", 35, 1, 63, "9", tuple(str(n) for n in range(14))),
    "mpeg4": Codec("mpeg4", 4, 2, 31),
    "mjpeg": Codec("mjpeg", 4, 2, 31),
}
ALIASES = {"h265": "hevc"}


def open_encoder(
    caps: Caps,
    device: str = "cpu",
    *,
    codec: str = "h264",
    bitrate: int | None = None,
    quality: int | None = None,
    preset: str | int | None = None,
    gop: int | None = None,
    threads: int = 1,
    low_latency: bool = False,
) -> LibavEncoder:
    """An encoder for one stream of frames that `caps` describes.

    `bitrate` in bits per second, or `quality` on the codec's own scale (less is better; h264, hevc: CRF 0..51,
    av1: CRF 1..63, mpeg4, mjpeg: quantiser 2..31). `gop`: most pictures from key to key, default two seconds.
    `threads`: 0 lets the encoder choose. `low_latency`: each picture comes out as it goes in, none are reordered.
    Odd sizes are made even by repeating the last column or row.
    Raises ValueError naming what is allowed.
    """
    name = ALIASES.get(codec.lower(), codec.lower())
    if name not in CODECS:
        raise ValueError(f"codec {codec!r} cannot be encoded; there are: {', '.join(CODECS)}")
    if bitrate is not None and quality is not None:
        raise ValueError("give bitrate or quality, not both")
    kind, fps = CODECS[name], caps.get("fps")
    if quality is not None and not kind.best <= quality <= kind.worst:
        raise ValueError(f"quality {quality} is not allowed for {name}: {kind.best} (best) to {kind.worst}")
    if preset is not None and str(preset) not in kind.presets:
        raise ValueError(f"preset {preset!r} is not allowed for {name}: {', '.join(kind.presets) or 'it has none'}")
    width, height = caps["width"] + caps["width"] % 2, caps["height"] + caps["height"] % 2
    if name == "av1":
        os.environ.setdefault("SVT_LOG", "1")  # errors only: the library prints its configuration otherwise
    context = av.CodecContext.create(kind.encoder, "w")
    context.width, context.height = width, height
    context.time_base = _time_base(name, caps.get("time_base"))
    context.framerate = _frame_rate(fps)
    if caps.get("sample_aspect"):
        context.sample_aspect_ratio = caps["sample_aspect"]
    context.gop_size = gop if gop is not None else max(1, round(2 * (fps or 25)))
    full = bool(caps.get("full_range"))
    context.pix_fmt = "yuvj420p" if name == "mjpeg" else "yuv420p"
    context.colorspace = MATRIX_CODE[caps.get("matrix") or "bt601"]
    context.color_range = FULL if full or name == "mjpeg" else LIMITED
    context.thread_count = threads
    context.flags |= int(Flags.global_header)
    _set_rate(context, name, kind, bitrate, quality)
    context.options = _options(name, kind, str(preset or kind.preset), bitrate, quality, threads)
    if low_latency:
        _hurry(context, name)
    try:
        context.open()
    except av.error.FFmpegError as error:
        raise ValueError(f"the encoder {kind.encoder} cannot be opened at {width}x{height}: {error.strerror}") from None
    return LibavEncoder(context, name, caps)


class LibavEncoder:
    """See encoders.base.Encoder. User data of a frame, `extras["sei"]` [(name of 16 bytes, payload)], goes into its
    packet where the codec is h264 or hevc. I420 of the right size is encoded where it lies, without a copy of our own.

    NV12, RGB and BGR are converted; GRAY8 gets grey chroma. A picture of another size than the stream began with
    is scaled (bilinear) to that size.
    """

    def __init__(self, context: Any, codec: str, frames: Caps) -> None:
        self._context = context
        self._base: Fraction = context.time_base
        self._reformatter = VideoReformatter()  # ours alone: one that two threads use crashes
        self._last = -(1 << 62)
        self._first: int | None = None  # ticks of the first packet
        self._sent = 0
        self._times: dict[int, tuple[str, int, int | None, int, Any]] = {}  # ticks → stream, pts, duration, epoch, SEI
        fps = frames.get("fps")
        self._period: int | None = round(SECOND / fps) if fps else None
        self.caps = Caps(
            PACKETS,
            codec=codec,
            width=context.width,
            height=context.height,
            time_base=self._base,
            fps=fps,
            frames=frames.get("frames"),
            duration=frames.get("duration"),
            extradata=context.extradata,
            rotation=0,
            parameters=CodecParameters(
                codec=codec,
                width=context.width,
                height=context.height,
                extradata=context.extradata,
                pixel_format=context.pix_fmt,
                reorder=context.reorder_depth,
                sample_aspect=frames.get("sample_aspect"),
                colour_range=int(context.color_range),
                colour_matrix=int(context.colorspace),
            ),
        )

    def encode(self, frame: Frame, key: bool = False) -> list[Packet]:
        picture = self._picture(frame.image)
        if key:
            picture.pict_type = PictureType.I
        ticks = max(self._ticks(frame.pts), self._last + 1)
        self._last = ticks
        duration = frame.duration or self._period
        self._times[ticks] = (frame.stream, frame.pts, duration, frame.epoch, frame.extras.get("sei"))
        picture.pts, picture.time_base = ticks, self._base
        picture.duration = self._ticks(duration) if duration else 0
        return [self._packet(data) for data in self._context.encode(picture)]

    def flush(self) -> list[Packet]:
        return [self._packet(data) for data in self._context.encode(None)]

    def close(self) -> None:
        self._times.clear()

    def _ticks(self, ns: int) -> int:
        den = self._base.numerator * SECOND
        return (ns * self._base.denominator + den // 2) // den

    def _ns(self, ticks: int) -> int:
        den = self._base.denominator
        return (ticks * self._base.numerator * SECOND + den // 2) // den

    def _packet(self, data: Any) -> Packet:
        stream, pts, duration, epoch, said = self._times.pop(data.pts)
        if self._first is None:
            self._first = data.pts
        if data.dts is not None and data.dts < self._first - round(LONGEST_DELAY / self._base):
            data.dts = self._first - self._context.reorder_depth + self._sent  # at most its pts, and growing
        self._sent += 1
        data.duration = self._ticks(duration) if duration else 0
        if said and self.caps["codec"] in SEI_HEADERS:
            data = _saying(data, self.caps["codec"], said)
        dts = pts if data.dts is None else min(self._ns(data.dts), pts)  # rounding may not put it after the pts
        return Packet(stream, data, pts, dts, duration, data.is_keyframe, epoch)

    def _picture(self, image: Image) -> Any:
        if image.memory != "cpu":
            image = _to_cpu(image)
        picture = _wrap(image)
        matrix, colour_range = self._context.colorspace, self._context.color_range
        if image.format in ("RGB", "BGR"):
            source = FULL
        else:
            picture.colorspace, source = MATRIX_CODE[image.matrix], FULL if image.full_range else LIMITED
        picture.color_range = source
        size = (self._context.width, self._context.height)
        if (picture.width, picture.height) == size and picture.format.name == "yuv420p" and source == colour_range:
            return picture
        return self._reformatter.reformat(
            picture, *size, format="yuv420p", src_color_range=source, dst_color_range=colour_range,
            dst_colorspace={6: 5}.get(matrix, matrix), threads=1,
        )  # fmt: skip


def _saying(data: Any, codec: str, said: list[tuple[bytes, bytes]]) -> Any:
    """The packet with user data in it: (name of 16 bytes, payload)."""
    content = bytes(data)
    for name, payload in said:
        content = with_unit(codec, content, sei_unregistered(codec, name, payload))
    out = av.Packet(content)
    out.pts, out.dts, out.duration, out.time_base = data.pts, data.dts, data.duration, data.time_base
    out.is_keyframe = data.is_keyframe
    return out


def _wrap(image: Image) -> Any:
    """An av.VideoFrame over the image's own memory where that is possible, else over a copy; even in size."""
    if image.format == "I420" and image.width % 2 == 0 and image.height % 2 == 0:
        own = isinstance(image.owner, av.VideoFrame) and image.read_only  # NumPy gives no read-only memory away
        planes = image.owner.planes if own else image.planes  # type: ignore[attr-defined]
        try:
            return av.VideoFrame.from_dlpack(planes, "yuv420p")
        except (BufferError, ValueError, NotImplementedError):  # read-only, or rows that lie in another order
            return _copied(image)
    if image.format in ("I420", "GRAY8"):
        return _copied(image)
    if image.format == "NV12":
        picture = av.VideoFrame(image.width, image.height, "nv12")
        _fill(picture.planes[0], image.planes[0], image.width, image.height)
        chroma = image.planes[1]
        _fill(picture.planes[1], chroma.reshape(chroma.shape[0], -1), chroma.shape[1] * 2, chroma.shape[0])
        return picture
    if image.format in ("RGB", "BGR"):
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(image.planes[0]), f"{image.format.lower()}24")
    raise ValueError(f"pictures in {image.format} cannot be encoded; there are: I420, NV12, RGB, BGR, GRAY8")


def _copied(image: Image) -> Any:
    width, height = image.width + image.width % 2, image.height + image.height % 2
    picture = av.VideoFrame(width, height, "yuv420p")
    _fill(picture.planes[0], image.planes[0], width, height)
    for number in (1, 2):
        target = picture.planes[number]
        if image.format == "GRAY8":
            np.frombuffer(target, np.uint8)[:] = 128
        else:
            _fill(target, image.planes[number], width // 2, height // 2)
    return picture


def _fill(target: Any, pixels: Any, width: int, height: int) -> None:
    """Copies the pixels into a plane of at least that size and repeats the last column and row."""
    rows = np.frombuffer(target, np.uint8).reshape(-1, target.line_size)
    high, wide = pixels.shape
    rows[:high, :wide] = pixels
    if wide < width:
        rows[:high, wide:width] = pixels[:, -1:]
    if high < height:
        rows[high:height, :width] = rows[high - 1, :width]


def _to_cpu(image: Image) -> Image:
    """The picture in memory of the CPU; device planes have `numpy()`, which waits for the device."""
    try:
        planes = [plane.numpy() for plane in image.planes]
    except AttributeError:
        raise ValueError(f"pictures in {image.memory} cannot be encoded here: move them to the cpu first") from None
    return Image(
        image.format, planes, image.width, image.height, matrix=image.matrix, full_range=image.full_range
    )  # fmt: skip


def _time_base(codec: str, given: Fraction | None) -> Fraction:
    """The input's own where it is fine enough to hold any frame's time, else 1/90000 s."""
    kept = given is not None and FINEST <= given <= COARSEST
    base = given if kept and given is not None else MPEG_TICKS
    if codec == "mpeg4" and base.denominator > 65535:  # its header has 16 bits for it
        return Fraction(1, 60000)
    return base


def _frame_rate(fps: Fraction | None) -> Fraction:
    rate = Fraction(fps or 25).limit_denominator(1001)
    return rate if 1 <= rate <= 1000 else Fraction(25)


def _set_rate(context: Any, codec: str, kind: Codec, bitrate: int | None, quality: int | None) -> None:
    if bitrate is not None:
        context.bit_rate = bitrate
    elif codec in ("mpeg4", "mjpeg"):
        context.flags |= int(Flags.qscale)
        context.global_quality = quality if quality is not None else kind.quality


def _options(
    codec: str, kind: Codec, preset: str, bitrate: int | None, quality: int | None, threads: int
) -> dict[str, str]:
    options = {"preset": preset} if kind.presets else {}
    if bitrate is None and kind.presets:
        options["crf"] = str(quality if quality is not None else kind.quality)
    if codec == "hevc":
        pools = f":pools={threads}:frame-threads={min(threads, 4)}" if threads else ""
        options["x265-params"] = f"log-level=none:open-gop=0{pools}"  # a file may be cut at each key picture
    if codec == "av1" and threads:
        options["svtav1-params"] = f"lp={threads}"
    return options


def _hurry(context: Any, codec: str) -> None:
    """Hold back no picture. (mpeg4 and mjpeg never do, as they are opened here.)"""
    if codec in ("h264", "hevc"):
        context.options = {**context.options, "tune": "zerolatency"}
    elif codec == "av1":
        more = context.options.get("svtav1-params")
        context.options = {**context.options, "svtav1-params": ":".join(filter(None, (more, "pred-struct=1")))}
