"""decode: packets become frames."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

from ..core.caps import FRAMES, PACKETS, Caps
from ..core.element import Context, Element, setting, state
from ..core.errors import StreamError
from ..core.item import Item, StreamStart
from ..decoders.base import Decoded, Decoder
from ..decoders.timing import Clock
from ..devices import part
from ..media import Frame, Image, Packet


@dataclass(slots=True)
class Stream:
    """What is known of one stream that is being decoded."""

    source: Caps
    start: StreamStart  # as sent downstream
    decoder: Decoder
    clock: Clock
    period: int | None  # ns, where fps is known
    index: int = 0
    packets: int = 0
    concealed: int = 0


class Decode(Element):
    """Decodes packets into frames, each stream with a decoder of its own: `Decode(device="cpu")`.

    Frames that arrive pass unchanged. Times strictly grow (see decoders/timing.py for the rule). When the picture's
    size or format changes, a StreamStart with new caps stands before the first frame that differs.
    """

    takes = PACKETS
    gives = FRAMES
    threaded: ClassVar[bool] = True
    partitioned: ClassVar[bool] = True

    device: str = setting(default="cpu", help="where to decode and where the pictures will be: cpu, cuda, cuda:N")
    threads: int = setting(
        default=1, help="CPU threads of each stream's decoder; more hold back more frames", minimum=0
    )
    workers: int = setting(
        factory=lambda: min(4, os.cpu_count() or 1), help="threads over which the streams are spread", minimum=1
    )

    streams: dict[str, Stream] = state(dict)
    context: Context | None = state(lambda: None)

    def open(self, context: Context) -> None:
        self.context = context
        part(self.device, "decoder")  # an unknown device is found before anything runs

    def start_stream(self, start: StreamStart) -> StreamStart:
        if start.caps.kind != PACKETS:
            return start
        known = self.streams.get(start.stream)
        if known is not None and known.source == start.caps:
            decoder, caps = known.decoder, known.start.caps  # flushed by now; goes on
        else:
            if known is not None:
                known.decoder.close()
            decoder, caps = self._open_decoder(start), expected_caps(start.caps, self.device)
        started = StreamStart(start.stream, caps, start.live, start.epoch, start.discontinuity)
        if known is None:
            fps: Fraction | None = start.caps.get("fps")
            clock = Clock(fps)
            self.streams[start.stream] = Stream(start.caps, started, decoder, clock, clock.period if fps else None)
        else:
            known.source, known.start, known.decoder = start.caps, started, decoder
        return started

    def process(self, item: Any) -> Iterator[Item]:
        if not isinstance(item, Packet):
            yield item
            return
        if item.kind != "video":
            return  # sound goes to who saves it by a link of its own
        stream = self.streams[item.stream]
        stream.packets += 1
        for picture in stream.decoder.decode(item):
            yield from self._emit(stream, picture)

    def flush(self, stream: str) -> Iterator[Item]:
        if stream in self.streams:
            known = self.streams[stream]
            for picture in known.decoder.flush():
                yield from self._emit(known, picture)

    def end_stream(self, stream: str) -> Iterator[Item]:
        yield from self.flush(stream)
        known = self.streams.pop(stream, None)
        if known is None:
            return
        damaged = known.decoder.damaged
        known.decoder.close()
        if known.packets and not known.index:
            raise StreamError(stream, f"{stream}: no picture in {known.packets} packets ({damaged} of them damaged)")
        if (damaged or known.concealed) and self.context is not None:
            concealed = f", {known.concealed} of {known.index} pictures with concealed damage"
            self.context.warn(f"{damaged} damaged packets{concealed if known.concealed else ''}", stream)

    def close(self) -> None:
        for known in self.streams.values():
            known.decoder.close()
        self.streams.clear()

    def _open_decoder(self, start: StreamStart) -> Decoder:
        try:
            decoder: Decoder = part(self.device, "decoder")(start.caps, self.device, threads=self.threads)
        except ValueError as error:
            raise StreamError(start.stream, f"{start.stream}: {error}") from error
        return decoder

    def _emit(self, stream: Stream, picture: Decoded) -> Iterator[Item]:
        image, start = picture.image, stream.start
        caps = fitting_caps(start.caps, image)
        if caps is not start.caps:
            start = stream.start = StreamStart(start.stream, caps, start.live, start.epoch)
            yield start
        frame = Frame(
            start.stream,
            stream.index,
            stream.clock.stamp(picture.pts),
            image,
            start.epoch,
            picture.duration or stream.period,
            time.monotonic_ns(),
        )
        stream.index += 1
        stream.concealed += picture.corrupt
        yield frame


def expected_caps(packets: Caps, device: str) -> Caps:
    """What the frames will most likely be; corrected by the first frame that is different."""
    parameters = packets.get("parameters")
    pixels = getattr(parameters, "pixel_format", None) or ""
    planar = {"gray": "GRAY8", "nv12": "NV12"}.get(pixels, "I420")
    rgb = pixels.startswith(("rgb", "bgr", "gbr", "pal8", "argb", "abgr"))
    matrix = {1: "bt709", 9: "bt2020", 10: "bt2020"}.get(getattr(parameters, "colour_matrix", 2), "bt601")
    full = getattr(parameters, "colour_range", 0) == 2 or pixels.startswith("yuvj")
    return Caps(
        FRAMES,
        format=planar if device == "cpu" else "NV12",
        width=packets.get("width"),
        height=packets.get("height"),
        time_base=packets.get("time_base"),
        fps=packets.get("fps"),
        frames=packets.get("frames"),
        duration=packets.get("duration"),
        sample_aspect=getattr(parameters, "sample_aspect", None),
        matrix="bt601" if rgb else matrix,
        full_range=full and not rgb,
        memory="cuda:0" if device == "cuda" else device,
        **({"sound": packets["sound"]} if packets.get("sound") else {}),
    )


def fitting_caps(caps: Caps, image: Image) -> Caps:
    """The same caps object when the image is what it says, else a corrected one."""
    facts: Sequence[tuple[str, Any]] = (
        ("width", image.width),
        ("height", image.height),
        ("format", image.format),
        ("matrix", image.matrix),
        ("full_range", image.full_range),
        ("memory", image.memory),
    )
    for name, value in facts:
        if caps[name] != value:
            return caps.replace(**dict(facts))
    return caps
