"""decode: packets become frames."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any, ClassVar

from ..core.caps import FRAMES, PACKETS, Caps
from ..core.element import Context, Element, setting, state
from ..core.errors import StreamError
from ..core.item import Item, StreamStart
from ..decoders.base import Decoded, Decoder
from ..decoders.timing import SECOND, Clock
from ..devices import kind, open_decoder
from ..media import Decoding, Frame, Image, Packet
from ._unseen import Unseen

_HELD = 128  # pictures that a decoder holds back at most, and more


@dataclass(slots=True)
class Stream:
    """What is known of one stream that is being decoded."""

    source: Caps
    start: StreamStart  # as sent downstream
    decoder: Decoder
    clock: Clock
    period: int | None  # ns, where fps is known
    wanted: Decoding
    window: tuple[int, int | None] | None  # only pictures from the one time and before the other go on
    shape: tuple[Any, ...] = ()  # of the last picture: that its caps fit is known
    index: int = 0
    packets: int = 0
    pictures: int = 0  # decoded
    shown: int = 0  # of these inside the window
    concealed: int = 0
    failed: bool = False  # that it ended for another reason was told
    unseen: Unseen | None = None  # live: packets that have given no picture
    key_interval: int = 0  # ns, the longest that was told: where only key pictures are decoded
    damaged_before: int = 0  # what the decoder had counted before these
    came: dict[int, tuple[int, int | None]] = field(default_factory=dict)  # pts of packets → (arrived, wall)

    def shows(self, pts: int | None) -> bool:
        if pts is None or self.window is None:
            return True
        first, end = self.window
        return pts >= first and (end is None or pts < end)

    def begin(self, source: Caps, start: StreamStart, decoder: Decoder) -> None:
        """A new epoch, or packets of another kind."""
        if decoder is not self.decoder:
            self.damaged_before -= self.decoder.damaged  # the new one counts from 0
        self.source, self.start, self.decoder = source, start, decoder
        self.wanted = source.get("decoding") or Decoding()
        self.window = source.get("window")
        self.shape = ()


class Decode(Element):
    """Decodes packets into frames, each stream with a decoder of its own: `Decode(device="cpu")`.

    Frames that arrive pass unchanged. Times strictly grow (see decoders/timing.py for the rule). When the picture's
    size or format changes, a StreamStart with new caps stands before the first frame that differs. What a stream
    asks for stands in its caps: `decoding` (frames to leave out, a turn), and `window` (the part of its time to show).
    """

    takes = PACKETS
    gives = FRAMES
    threaded: ClassVar[bool] = True
    partitioned: ClassVar[bool] = True
    burst: ClassVar[int | None] = 128  # after a stall packets come at once; small, and decoded faster than shown
    sheds: ClassVar[bool] = True  # rather pictures one by one behind it than packets up to the next key picture

    device: str = setting(default="cpu", help="where to decode and where the pictures will be: cpu, cuda, cuda:N")
    threads: int = setting(
        default=1, help="CPU threads of each stream's decoder; more hold back more frames", minimum=0
    )
    workers: int = setting(
        factory=lambda: min(4, os.cpu_count() or 1), help="threads over which the streams are spread", minimum=1
    )

    streams: dict[str, Stream] = state(dict)
    context: Context | None = state(lambda: None)

    def validate(self) -> None:
        kind(self.device)

    def open(self, context: Context) -> None:
        self.validate()
        self.context = context

    def start_stream(self, start: StreamStart) -> StreamStart:
        if start.caps.kind != PACKETS:
            return start
        known = self.streams.get(start.stream)
        if known is not None and _same_codec(known.source, start.caps):
            decoder = known.decoder  # flushed by now; goes on
        else:
            if known is not None:
                known.decoder.close()
            decoder = self._open_decoder(start)
        caps = expected_caps(start.caps, self.device)
        if known is not None:
            caps = known.start.caps if known.source == start.caps else caps
        started = StreamStart(start.stream, caps, start.live, start.epoch, start.discontinuity)
        if known is None:
            fps: Fraction | None = caps.get("fps")
            clock = Clock(start.caps.get("fps"))
            period = round(SECOND / fps) if fps else None
            known = self.streams[start.stream] = Stream(start.caps, started, decoder, clock, period, Decoding(), None)
        known.begin(start.caps, started, decoder)
        return started

    def process(self, item: Any) -> list[Item]:
        if not isinstance(item, Packet):
            return [item]
        if item.kind != "video":
            return []  # sound goes to who saves it by a link of its own
        stream = self.streams[item.stream]
        stream.packets += 1
        if not item.key and stream.wanted.skip_frames == "non_key":
            if stream.start.live:
                self._miss(stream, item)
            return []
        if item.arrived and item.pts is not None:
            stream.came[item.pts] = (item.arrived, item.wall)
            if len(stream.came) > _HELD:  # damaged packets give no picture
                del stream.came[next(iter(stream.came))]
        pictures = self._decoded(item.stream, stream, partial(stream.decoder.decode, item))
        if not pictures:
            if stream.start.live:
                self._miss(stream, item)
            return []
        if stream.unseen is not None:
            self._see(stream, item)
        return self._emit(stream, pictures)

    def flush(self, stream: str) -> Iterator[Item]:
        known = self.streams.get(stream)
        if known is not None and not known.failed:
            yield from self._emit(known, self._decoded(stream, known, known.decoder.flush))

    def end_stream(self, stream: str) -> Iterator[Item]:
        try:
            yield from self.flush(stream)
        finally:
            known = self.streams.pop(stream, None)
            if known is not None:
                known.decoder.close()
        if known is None:
            return
        damaged = known.decoder.damaged
        if known.packets and not known.pictures and known.wanted.skip_frames != "non_reference" and not known.failed:
            text = f"no picture in {known.packets} packets ({damaged} of them damaged)"
            keys_only = known.wanted.skip_frames == "non_key"
            raise StreamError(stream, f"{text}; only key pictures are decoded" if keys_only else text)
        if (damaged or known.concealed) and self.context is not None:
            concealed = f", {known.concealed} of {known.pictures} pictures with concealed damage"
            self.context.warn(f"{damaged} damaged packets{concealed if known.concealed else ''}", stream)

    def close(self) -> None:
        for known in self.streams.values():
            known.decoder.close()
        self.streams.clear()

    def _open_decoder(self, start: StreamStart) -> Decoder:
        try:
            say = partial(self._say, start.stream)
            quick = {"low_latency": True} if start.live and kind(self.device) == "cuda" else {}
            decoder = open_decoder(start.caps, self.device, say, threads=self.threads, **quick)
        except (RuntimeError, ValueError) as error:
            raise StreamError(start.stream, str(error)) from error
        wanted = start.caps.get("decoding") or Decoding()
        if self.device != "cpu" and wanted.skip_frames == "non_reference":
            self._say(start.stream, f"on {self.device} pictures that no other needs are decoded, too")
        return decoder

    def _decoded(self, name: str, stream: Stream, call: Callable[[], list[Decoded]]) -> list[Decoded]:
        """What a call of the decoder gives. An error of a GPU's is one of the stream: no memory, what it cannot do."""
        try:
            return call()
        except (RuntimeError, ValueError) as error:
            if self.device == "cpu":
                raise
            stream.failed = True
            raise StreamError(name, f"decoding on {self.device} failed: {error}") from error

    def _miss(self, stream: Stream, packet: Packet) -> None:
        """A live packet that gave no picture; when there has been none for too long, that is told once."""
        arrived = packet.arrived or time.monotonic_ns()
        unseen = stream.unseen
        if unseen is None or unseen.pictures != stream.pictures:  # a flush gave some
            held = getattr(stream.source.get("parameters"), "reorder", 0) + (self.threads or os.cpu_count() or 1) - 1
            unseen = stream.unseen = Unseen(stream.pictures, arrived, arrived, held, stream.key_interval)
        if unseen.add(packet, arrived):
            damaged = max(0, stream.decoder.damaged - stream.damaged_before)
            keys_only = stream.wanted.skip_frames == "non_key"
            self._say(packet.stream, unseen.text(stream.source["codec"], damaged, self.device, keys_only))

    def _see(self, stream: Stream, packet: Packet) -> None:
        """A packet gave pictures after one that gave none."""
        unseen, stream.unseen, stream.damaged_before = stream.unseen, None, stream.decoder.damaged
        if unseen is not None and unseen.told:
            lasted = (packet.arrived or time.monotonic_ns()) - unseen.since
            if stream.wanted.skip_frames == "non_key" and not unseen.keys:
                stream.key_interval = lasted
            self._say(packet.stream, f"pictures come again after {lasted / SECOND:.0f} s")

    def _say(self, stream: str, what: str) -> None:
        if self.context is not None:
            self.context.warn(what, stream)

    def _emit(self, stream: Stream, pictures: Sequence[Decoded]) -> list[Item]:
        out: list[Item] = []
        for image, said, duration, corrupt, told in pictures:
            stream.pictures += 1
            stream.concealed += corrupt
            if stream.window is not None and not stream.shows(said):
                continue  # before its time is stamped: what comes before a second pass begins would turn time back
            pts = stream.clock.stamp(said)
            if said is None and not stream.shows(pts):
                continue
            stream.shown += 1
            every = stream.wanted.drop_frame_interval
            if every > 1:
                if stream.shown % every != 1:
                    continue
                duration = duration and duration * every
            shape = (image.width, image.height, image.format, image.matrix, image.full_range, image.memory)
            if shape != stream.shape:
                stream.shape = shape
                caps = fitting_caps(stream.start.caps, image)
                if caps is not stream.start.caps:
                    start = stream.start
                    stream.start = StreamStart(start.stream, caps, start.live, start.epoch)
                    out.append(stream.start)
            start = stream.start
            arrived, wall = _came(stream, said) if stream.came else (time.monotonic_ns(), None)
            frame = Frame(start.stream, stream.index, pts, image, start.epoch, duration or stream.period, arrived, wall)
            if told:
                frame.extras["sei"] = told
            out.append(frame)
            stream.index += 1
        return out


def _same_codec(old: Caps, new: Caps) -> bool:
    """Whether a decoder can go on: the same but for the part to be shown, which moves on with each epoch."""
    return old == new or old.replace(window=None) == new.replace(window=None)


def _came(stream: Stream, pts: int | None) -> tuple[int, int | None]:
    """When the packet of a picture arrived, and its wall time. Of packets that gave no picture nothing is kept."""
    if pts is None:
        return time.monotonic_ns(), None
    found = stream.came.get(pts)
    for earlier in [each for each in stream.came if each <= pts]:
        del stream.came[earlier]
    return found or (time.monotonic_ns(), None)


def expected_caps(packets: Caps, device: str) -> Caps:
    """What the frames will most likely be; corrected by the first frame that is different."""
    parameters = packets.get("parameters")
    pixels = getattr(parameters, "pixel_format", None) or ""
    wanted = packets.get("decoding") or Decoding()
    grey = "GRAY16" if re.fullmatch(r"gray(9|1\d)[bl]e", pixels) else "I420"
    planar = {"gray": "GRAY8", "nv12": "NV12"}.get(pixels, grey)
    rgb = pixels.startswith(("rgb", "bgr", "gbr", "pal8", "argb", "abgr"))
    matrix = {1: "bt709", 9: "bt2020", 10: "bt2020"}.get(getattr(parameters, "colour_matrix", 2), "bt601")
    full = getattr(parameters, "colour_range", 0) == 2 or pixels.startswith("yuvj")
    width, height, frames, fps = (packets.get(name) for name in ("width", "height", "frames", "fps"))
    if wanted.turn in (90, 270):
        width, height = height, width
    every = wanted.drop_frame_interval
    if wanted.skip_frames != "none":
        frames = None
    return Caps(
        FRAMES,
        format=planar if device == "cpu" else "NV12",
        width=width,
        height=height,
        time_base=packets.get("time_base"),
        fps=fps / every if fps else fps,
        frames=-(-frames // every) if frames else frames,
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
