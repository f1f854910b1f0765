"""encode: frames become packets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..core.caps import FRAMES, PACKETS, Caps
from ..core.element import Context, Element, setting, state
from ..core.errors import ConfigError, StreamError
from ..core.item import Item, StreamStart
from ..devices import kind, open_encoder
from ..encoders.base import Encoder
from ..media import Batch, Frame

CARRY = ("h264", "hevc", "h265")  # formats whose packets carry user data


@dataclass(slots=True)
class Stream:
    """What is known of one stream that is being encoded."""

    encoder: Encoder
    size: tuple[int, int]  # of the pictures that the encoder was opened for
    frames: int = 0
    warned: bool = False
    told: bool = False  # that user data is not carried


class Encode(Element):
    """Encodes frames into packets, each stream with an encoder of its own: `Encode(codec="h264", quality=23)`.

    Times are kept, also uneven ones. Odd sizes are made even by repeating the last column or row. Pictures of
    another size than the stream began with are scaled to that size, and a warning says so once.
    """

    takes = FRAMES
    gives = PACKETS
    threaded: ClassVar[bool] = True
    gives = PACKETS

    codec: str = setting(
        default="h264", help="the format of the packets", choices=("h264", "hevc", "h265", "av1", "mpeg4", "mjpeg")
    )
    bitrate: int | None = setting(default=None, help="bits per second; default: by quality", minimum=1000)
    quality: int | None = setting(
        default=None,
        help="the codec's own scale, less is better: h264, hevc 0..51; av1 1..63; mpeg4, mjpeg 2..31",
        minimum=0,
    )
    preset: str | None = setting(
        default=None, help="the encoder's speed: ultrafast..veryslow (h264, hevc), 0..13 (av1)"
    )
    gop: int | None = setting(
        default=None, help="most frames from key frame to key frame; default: two seconds", minimum=1
    )
    low_latency: bool = setting(
        default=False, help="hold no picture back and reorder none, for watching live; files grow by a tenth or more"
    )
    device: str = setting(default="cpu", help="where to encode: cpu, cuda, cuda:N (NVENC; the cpu where there is none)")
    threads: int | None = setting(
        default=None,
        help="threads of each stream's encoder; default: half of the cores shared by the streams",
        minimum=0,
    )

    streams: dict[str, Stream] = state(dict)
    expected: int = state(lambda: 1)
    context: Context | None = state(lambda: None)
    said: bool = state(bool)  # that the device has no encoder

    def validate(self) -> None:
        try:
            kind(self.device)
            self._open_encoder(Caps(FRAMES, width=64, height=64), "cpu").close()  # settings are the same everywhere
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(f"encode: {error}") from error

    def open(self, context: Context) -> None:
        self.validate()
        self.context = context

    def expect(self, streams: Sequence[str]) -> None:
        self.expected = max(1, len(streams))

    def start_stream(self, start: StreamStart) -> StreamStart:
        if start.caps.kind != FRAMES:
            raise StreamError(start.stream, f"encode takes frames, not {start.caps.kind}; decode first")
        known = self.streams.get(start.stream)
        if known is None or not known.frames:
            if known is not None:
                known.encoder.close()
            try:
                encoder = self._open_encoder(start.caps, self.device)
            except ValueError as error:
                raise StreamError(start.stream, str(error)) from error
            size = (start.caps["width"], start.caps["height"])
            known = self.streams[start.stream] = Stream(encoder, size)
        caps, sound = known.encoder.caps, start.caps.get("sound")
        caps = caps.replace(sound=sound) if sound else caps
        return StreamStart(start.stream, caps, start.live, start.epoch, start.discontinuity)

    def process(self, item: Any) -> Iterator[Item]:
        if isinstance(item, Batch):
            for frame in item.frames:
                yield from self._encode(frame)
        elif isinstance(item, Frame):
            yield from self._encode(item)
        else:
            yield item

    def end_stream(self, stream: str) -> Iterator[Item]:
        known = self.streams.pop(stream, None)
        if known is not None:
            yield from known.encoder.flush()
            known.encoder.close()

    def close(self) -> None:
        for known in self.streams.values():
            known.encoder.close()
        self.streams.clear()

    def _open_encoder(self, caps: Caps, device: str) -> Encoder:
        threads = self.threads
        if threads is None:
            threads = min(4, max(1, (os.cpu_count() or 1) // (2 * self.expected)))
        return open_encoder(
            caps, device, self._say, codec=self.codec, bitrate=self.bitrate, quality=self.quality, preset=self.preset,
            gop=self.gop, threads=threads, low_latency=self.low_latency,
        )  # fmt: skip

    def _say(self, what: str) -> None:
        """Once: it is the same for all streams."""
        if self.context is not None and not self.said:
            self.said = True
            self.context.warn(what, None)

    def _encode(self, frame: Frame) -> Iterator[Item]:
        known = self.streams[frame.stream]
        known.frames += 1
        size = (frame.image.width, frame.image.height)
        if size != known.size and not known.warned and self.context is not None:
            known.warned = True
            sizes = "the pictures are now {}x{} and are scaled to {}x{}".format(*size, *known.size)
            self.context.warn(sizes, frame.stream)
        if frame.extras.get("sei") and not known.told and self.context is not None and self.codec not in CARRY:
            known.told = True
            self.context.warn(
                f"user data of frames (SEI) is not carried by {self.codec}, only by h264 and hevc", frame.stream
            )
        yield from known.encoder.encode(frame)
