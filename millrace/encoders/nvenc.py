"""Encoding on an NVIDIA GPU: NVENC through PyNvVideoCodec, from surfaces that stay where they are.

Not all GPUs have it (A100, H100 and H200 have none): then `Unavailable` is raised. Pictures are coded in the order in
which they are shown (no B pictures), so packets leave in order. Never run on an NVENC so far: the tests play one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from ..core.caps import PACKETS, Caps
from ..cuda.context import gpu
from ..cuda.nvc import library, reason_of
from ..media import CodecParameters, Frame, Image, Packet
from .base import Unavailable

CODECS = {"h264": (23, 51), "hevc": (28, 51), "av1": (35, 63)}  # quality: the usual and the worst
ALIASES = {"h265": "hevc"}
PRESETS = {
    "ultrafast": "P1", "superfast": "P1", "veryfast": "P2", "faster": "P3", "fast": "P4", "medium": "P4",
    "slow": "P5", "slower": "P6", "veryslow": "P7",
}  # fmt: skip
MATRIX_CODE = {"bt601": 6, "bt709": 1, "bt2020": 9}  # ITU-T H.273
SECOND = 1_000_000_000
IDR = 3  # NV_ENC_PIC_TYPE_IDR


def engines(device: str, codec: str) -> int:
    """How many NVENC engines the GPU has for a codec: 0 where it has none. Raises ConfigError without a GPU."""
    nvc, opened = library("encoding"), gpu(device)
    try:
        return int(nvc.GetEncoderCaps(gpuid=opened.ordinal, codec=codec)["num_encoder_engines"])
    except Exception:  # noqa: BLE001 it raises what it likes where there is no engine
        return 0
    finally:
        opened.use(again=True)  # it leaves a context of its own behind


def open_encoder(
    caps: Caps,
    device: str = "cuda:0",
    *,
    prepare: Callable[[Image, int, int], Image],
    codec: str = "h264",
    bitrate: int | None = None,
    quality: int | None = None,
    preset: str | int | None = None,
    gop: int | None = None,
    threads: int = 1,
    low_latency: bool = False,
) -> NvencEncoder:
    """An encoder for one stream of frames that `caps` describes; settings as those of encoders.libav.open_encoder.

    `prepare(image, width, height)` gives a picture as NV12 of that size on the GPU. `threads` is passed over.
    Raises Unavailable where there is no NVENC for the codec, ValueError for settings that are not allowed.
    """
    name = ALIASES.get(codec.lower(), codec.lower())
    if name not in CODECS:
        raise Unavailable(f"NVENC does not encode {name}, only {', '.join(CODECS)}")
    if bitrate is not None and quality is not None:
        raise ValueError("give bitrate or quality, not both")
    usual, worst = CODECS[name]
    if quality is not None and not 0 <= quality <= worst:
        raise ValueError(f"quality {quality} is not allowed for {name}: 0 (best) to {worst}")
    try:
        found = engines(device, name)
    except ValueError as error:  # the driver's video part is not there
        raise Unavailable(str(error)) from error
    if not found:
        raise Unavailable(f"{device} has no NVENC for {name}")
    fps = caps.get("fps") or Fraction(25)
    options: dict[str, Any] = {
        "codec": name, "preset": PRESETS.get(str(preset), "P4"), "bf": 0,
        "tuning_info": "low_latency" if low_latency else "high_quality",
        "fps": max(1, round(fps)), "gop": gop if gop is not None else max(1, round(2 * fps)), "repeatspspps": 1,
    }  # fmt: skip
    if bitrate is not None:
        options.update(rc="vbr", bitrate=bitrate)
    else:
        chosen = usual if quality is None else quality
        options.update(rc="constqp", constqp=chosen * 4 if name == "av1" else chosen)
    return NvencEncoder(caps, device, name, options, prepare)


class NvencEncoder:
    """See encoders.base.Encoder."""

    def __init__(
        self, frames: Caps, device: str, codec: str, options: dict[str, Any],
        prepare: Callable[[Image, int, int], Image],
    ) -> None:  # fmt: skip
        self._width, self._height = frames["width"] + frames["width"] % 2, frames["height"] + frames["height"] % 2
        self._prepare = prepare
        self._gpu = gpu(device)
        self._stream = self._gpu.stream("low")
        self._library = library("encoding")
        try:
            self._encoder: Any = self._library.CreateEncoder(
                self._width, self._height, "NV12", False, gpu_id=self._gpu.ordinal,
                cudacontext=int(self._gpu.context), cudastream=self._stream.handle, **options,
            )  # fmt: skip
        except Exception as error:
            raise Unavailable(f"NVENC on {device} cannot be opened: {reason_of(error)}") from error
        finally:
            self._gpu.use(again=True)
        fps = frames.get("fps")
        self._period = round(SECOND / fps) if fps else None
        self._times: deque[tuple[str, int, int | None, int]] = deque()  # stream, pts, duration, epoch, in order
        header = bytes(self._encoder.GetSequenceParams())
        self.caps = Caps(
            PACKETS,
            codec=codec,
            width=self._width,
            height=self._height,
            time_base=Fraction(1, 90000),
            fps=fps,
            frames=frames.get("frames"),
            duration=frames.get("duration"),
            extradata=header,
            rotation=0,
            parameters=CodecParameters(
                codec=codec,
                width=self._width,
                height=self._height,
                extradata=header,
                pixel_format="yuv420p",
                sample_aspect=frames.get("sample_aspect"),
                colour_range=2 if frames.get("full_range") else 1,
                colour_matrix=MATRIX_CODE[frames.get("matrix") or "bt601"],
            ),
        )

    def encode(self, frame: Frame, key: bool = False) -> list[Packet]:
        self._gpu.use()
        image = self._prepare(frame.image, self._width, self._height)
        self._stream.wait(plane.ready for plane in image.planes if plane.ready is not None)
        self._times.append((frame.stream, frame.pts, frame.duration or self._period, frame.epoch))
        flags = (self._library.NV_ENC_PIC_FLAGS.FORCEIDR,) if key else ()
        coded = self._encoder.Encode(_Surface(image), *flags)
        event = self._stream.record()
        for plane in image.planes:
            plane.used(event)
        return self._packets(coded)

    def flush(self) -> list[Packet]:
        return self._packets(self._encoder.EndEncode())

    def close(self) -> None:
        self._encoder = None
        self._times.clear()

    def _packets(self, coded: Any) -> list[Packet]:
        out = []
        for piece in coded:
            stream, pts, duration, epoch = self._times.popleft()
            key = int(piece["picture_type"]) == IDR
            out.append(Packet(stream, bytes(piece["data"]), pts, pts, duration, key, epoch))
        return out


class _Surface:
    """A picture as the encoder reads it: planes with three dimensions and their strides."""

    def __init__(self, image: Image) -> None:
        self._planes = [_Plane(plane) for plane in image.planes]

    def cuda(self) -> list[_Plane]:
        return self._planes


class _Plane:
    def __init__(self, plane: Any) -> None:
        height, width = plane.shape[:2]
        channels = plane.shape[2] if len(plane.shape) > 2 else 1
        self.__cuda_array_interface__ = {
            "shape": (height, width, channels), "strides": (plane.row_bytes, channels, 1), "typestr": "|u1",
            "data": (plane.pointer, False), "version": 3,
        }  # fmt: skip
