"""Decoding on an NVIDIA GPU: NVDEC through PyNvVideoCodec's core decoder.

Packets go in, surfaces on the GPU come out: NV12 (P010 for 10 bit), nothing of them on the CPU. A picture that the
decoder gives is overwritten by its next call, so it is copied, on the calling thread's own stream, into a surface
of the pool that all decoders of one picture size share; `Image.ready` is the event of that copy.

PyNvVideoCodec's ThreadedDecoder is not used: any error in it ends the process, and it cannot read live sources.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.caps import Caps
from ..cuda.context import Gpu, gpu, succeed
from ..cuda.limits import decodes, no_memory, why_not
from ..cuda.memory import DeviceArray, surfaces
from ..cuda.nvc import library, reason_of
from ..media import Image, Packet
from ..media.image import Format, Matrix
from .annexb import Annexb
from .base import Decoded

CODECS = {"h264": "H264", "hevc": "HEVC", "av1": "AV1", "vp9": "VP9"}
FORMATS: dict[str, tuple[Format, str, int]] = {"NV12": ("NV12", "uint8", 1), "P016": ("P010", "uint16", 2)}
MATRICES: dict[int, Matrix] = {1: "bt709", 9: "bt2020", 10: "bt2020"}  # ITU-T H.273; all else as BT.601
FULL_RANGE = 2
_MOST_HELD = 128  # pictures under way in a decoder, and more
_MOST_FAILURES = 30  # key pictures in a row that NVDEC refuses before a stream is given up: half a minute, usually


def open_decoder(caps: Caps, device: str = "cuda:0", *, low_latency: bool = False, **options: Any) -> NvdecDecoder:
    """A decoder for one stream of packets. All its methods are called in one thread.

    `low_latency` gives each picture as soon as it is decoded, for live streams; it needs more workers for the same
    rate, because each waits for its picture. `options` that only concern CPU decoders are passed over.
    Raises ValueError for a codec that NVDEC or this file does not know.
    """
    codec = caps["codec"]
    if codec not in CODECS:
        raise ValueError(f"{codec} cannot be decoded on {device}, only {', '.join(CODECS)}; decode it on the cpu")
    chosen, parameters = gpu(device), caps.get("parameters")
    reason = why_not(chosen, codec, caps.get("width"), caps.get("height"), getattr(parameters, "pixel_format", None))
    if reason is not None:
        raise ValueError(reason)
    return NvdecDecoder(caps, chosen, low_latency)


class NvdecDecoder:
    """See decoders.base.Decoder."""

    def __init__(self, caps: Caps, gpu: Gpu, low_latency: bool) -> None:
        self.damaged = 0
        parameters = caps.get("parameters")
        extradata = caps.get("extradata") or getattr(parameters, "extradata", None)
        self._gpu = gpu
        self._stream = gpu.thread_stream()
        self._nvc = library()
        self._codec = caps["codec"]
        self._annexb = Annexb(self._codec, extradata)
        self._packet = self._nvc.PacketData()
        self._low_latency = low_latency
        if low_latency:
            self._packet.decode_flag = self._nvc.VideoPacketFlag.ENDOFPICTURE
        self._matrix = MATRICES.get(getattr(parameters, "colour_matrix", 2), "bt601")
        self._full_range = getattr(parameters, "colour_range", 0) == FULL_RANGE
        self._durations: dict[int, int | None] = {}
        self._timed = True  # the packets say when they are shown
        self._started = False  # it has taken a packet
        self._failures = 0  # since the last picture
        self._waiting = False  # for a key picture, after damage
        self._layout: _Layout | None = None
        self._decoder: Any = self._make()

    def _make(self) -> Any:
        latencies = self._nvc.DisplayDecodeLatencyType
        try:
            return self._nvc.CreateDecoder(
                gpuid=self._gpu.ordinal,
                codec=getattr(self._nvc.cudaVideoCodec, CODECS[self._codec]),
                cudacontext=int(self._gpu.context),
                cudastream=self._stream.handle,
                usedevicememory=True,
                latency=latencies.LOW if self._low_latency else latencies.NATIVE,
            )
        except (self._nvc.PyNvVCException, self._nvc.PyNvVCExceptionUnsupported) as error:
            if reason := no_memory(self._gpu, error):
                raise RuntimeError(reason) from error
            raise ValueError(f"NVDEC cannot decode this {self._codec} stream: {reason_of(error)}") from error

    def decode(self, packet: Packet) -> list[Decoded]:
        """Raises ValueError, before there is a picture, where NVDEC cannot decode this stream.

        RuntimeError where the GPU's memory is used up, and where it fails again and again.
        """
        if self._waiting and not packet.key:
            return []
        size = self._annexb.write(packet.data, packet.key)
        if not size:
            self.damaged += 1
            return []
        feed = self._packet
        feed.bsl_data, feed.bsl = self._annexb.address, size
        pts = packet.pts
        if pts is not None:
            feed.pts = pts
            self._durations[pts] = packet.duration
        else:
            self._timed = False
        while len(self._durations) > _MOST_HELD:  # damaged packets give no picture
            del self._durations[next(iter(self._durations))]
        try:
            frames = self._decoder.Decode(feed)
        except (self._nvc.PyNvVCException, self._nvc.PyNvVCExceptionUnsupported) as error:
            self._failed(error)
            return []
        self._started = True
        self._waiting = False
        if frames:
            self._failures = 0
        return list(map(self._keep, frames))

    def _failed(self, error: Exception) -> None:
        """Damage: the stream goes on at its next key picture. Raises for all else."""
        if self._layout is None and (reason := no_memory(self._gpu, error)):  # nor is there for the CPU's pictures
            raise RuntimeError(reason) from error
        # Its engine is made when a picture's parameters are known: in HEVC that may be in a later call than the first.
        unmade = self._layout is None and "HandleVideoSequence" in str(error)
        if unmade or not self._started:
            raise ValueError(
                f"NVDEC cannot decode this {self._codec} stream: {reason_of(error)} ({decodes(self._gpu, self._codec)})"
            ) from error
        self.damaged += 1
        self._waiting = True
        self._failures += 1
        if self._failures >= _MOST_FAILURES:  # others wait for its pictures
            reason = no_memory(self._gpu, error) or reason_of(error)
            raise RuntimeError(f"NVDEC failed {self._failures} times without a picture: {reason}") from error

    def flush(self) -> list[Decoded]:
        try:
            frames = self._decoder.Decode(self._nvc.PacketData())
        except (self._nvc.PyNvVCException, self._nvc.PyNvVCExceptionUnsupported):
            frames = []
        pictures = list(map(self._keep, frames))
        self._durations.clear()
        return pictures

    def close(self) -> None:
        """Destroying the decoder frees its surfaces on the GPU; pictures that left it are not touched."""
        self._decoder = None

    def _keep(self, frame: Any) -> Decoded:
        """Copy the decoder's picture into a surface of ours, before the decoder's next call overwrites it."""
        layout = self._layout
        if layout is None:
            layout = self._layout = _Layout(self._gpu, self._decoder)
        surface = layout.pool.take(self._stream)
        gpu, stream = self._gpu, self._stream
        succeed(gpu.calls.cuMemcpyDtoDAsync(surface.pointer, frame.GetPtrToPlane(0), layout.size, stream.handle))
        ready = stream.record()
        surface.written(ready)
        address, dtype = surface.pointer, layout.dtype
        planes = (
            DeviceArray(gpu, address, layout.luma, dtype, None, surface, ready),
            DeviceArray(gpu, address + layout.luma_size, layout.chroma, dtype, None, surface, ready),
        )
        image = Image(
            layout.format, planes, layout.width, layout.height,
            matrix=self._matrix, full_range=self._full_range, memory=gpu.name, read_only=True, ready=ready,
        )  # fmt: skip
        pts = frame.timestamp if self._timed else None
        return Decoded(image, pts, self._durations.pop(pts, None) if pts is not None else None)


class _Layout:
    """How the pictures of one decoder lie in memory: rows without gaps, the chroma plane right after the luma."""

    def __init__(self, gpu: Gpu, decoder: Any) -> None:
        self.width, self.height = decoder.GetWidth(), decoder.GetHeight()
        name = decoder.GetPixelFormat().name
        if name not in FORMATS or self.width % 2 or self.height % 2:
            raise ValueError(
                f"pictures of {self.width}x{self.height} {name} cannot be kept on the GPU yet, only even sizes of "
                f"4:2:0; decode this stream on the cpu"
            )
        self.format, dtype, item = FORMATS[name]
        self.dtype = np.dtype(dtype)
        self.luma = (self.height, self.width)
        self.chroma = (self.height // 2, self.width // 2, 2)
        self.luma_size = self.width * self.height * item
        self.size = self.luma_size * 3 // 2
        self.pool = surfaces(gpu, self.size)
