"""web: streams → a page, HLS, MJPEG and WebRTC, for browsers and players."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ..core.caps import FRAMES, PACKETS, Caps
from ..core.element import setting, state
from ..core.errors import StreamError
from ..core.item import Item, StreamStart
from ..devices import open_encoder
from ..encoders.base import Encoder
from ..media import Frame, Packet
from ._pixels import Pixels
from ._serve import Served

if TYPE_CHECKING:
    from ..streaming.live import Live


EVENTS = 50  # the last ones that the page shows of a stream
TOLD = 0.25  # seconds from one look at a stream's counts to the next
KEYS = 0.3  # seconds from key picture to key picture at least, however many come
RATE = 20  # frames over which the rate is taken


@dataclass(slots=True)
class Shown:
    """What is known of one stream here."""

    live: Live
    caps: Caps
    encoder: Encoder | None = None
    key_at: float = 0.0
    told_at: float = 0.0
    times: deque[float] = field(default_factory=lambda: deque(maxlen=RATE))
    events: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=EVENTS))


class Web(Served):
    """Show streams in a browser and pass on what comes: `web: {port: 8080}` gives http://127.0.0.1:8080/.

    The page shows all streams, what is counted and what happened. Players find each as /STREAM.m3u8 (HLS, low latency),
    /STREAM.mjpg, /STREAM.jpg and /STREAM/whep (WebRTC). Frames are encoded once for all, and only while somebody
    watches; packets are given on as they come. It shows pictures as they are: put `draw` before it. It listens on
    loopback unless `host` says otherwise; then give `users`. Needs the extra `web`, WebRTC also `webrtc`.
    """

    takes = None
    element: ClassVar[str] = "web"
    scheme: ClassVar[str] = "http"

    port: int = setting(default=8080, minimum=0, maximum=65535, help="where to listen; 0: any free port")
    host: str = setting(default="127.0.0.1", help="the address to listen on; 0.0.0.0: all of this machine's")
    name: str = setting(default="{stream}", help="the path of each stream; {stream} becomes its name")
    users: dict[str, str] = setting(factory=dict, help="names and passwords of those who may watch; none: everybody")
    most: int = setting(default=128, minimum=1, help="connections at a time")
    names: list[str] = setting(factory=list, help="further names of this server, as those of a reverse proxy before it")
    codec: str = setting(default="h264", choices=("h264", "hevc", "av1"), help="how frames are encoded")
    bitrate: int | None = setting(default=None, minimum=1000, help="bits per second; default: by quality")
    gop: int | None = setting(
        default=None, minimum=1, help="most frames from key frame to key frame; default: a second"
    )
    device: str = setting(default="cpu", help="where to encode: cpu")
    sync: bool = setting(default=True, help="show files at their own speed, which holds up what is beside it")

    shown: dict[str, Shown] = state(dict)
    pixels: Pixels = state(Pixels)
    said: bool = state(bool)  # that the device has no encoder

    def make_server(self) -> Any:
        from ..streaming.web import WebServer  # its file needs the extra

        return WebServer(self.host, self.port, self.users, self.most, self.names)

    def validate(self) -> None:
        from ..streaming import web  # noqa: F401  the extra is there

        super().validate()

    def start_stream(self, start: StreamStart) -> StreamStart:
        from ..streaming.live import Live

        assert self.loop is not None and self.server is not None
        stream = start.stream
        self.begin_clock(start)
        known = self.shown.get(stream)
        if known is None:
            path = self.name.replace("{stream}", stream).strip("/")
            if any(other.live.name == path for other in self.shown.values()):
                raise StreamError(stream, f"web: another stream is shown as /{path}: put {{stream}} into name")
            known = self.shown[stream] = Shown(Live(path), start.caps)
            known.live.has_pictures = start.caps.kind == FRAMES
            known.live.coded_as = self.codec if start.caps.kind == FRAMES else ""
            self.loop.soon(self.server.lives.__setitem__, path, known.live)
        elif known.caps != start.caps:
            self._stop_encoding(known)
        known.caps = start.caps
        if start.caps.kind == PACKETS:
            self._begin(stream, known, start.caps)
        return start

    def _begin(self, stream: str, known: Shown, caps: Caps) -> None:
        from ..streaming.fmp4 import Track

        assert self.loop is not None
        try:
            track = Track(caps["parameters"])
        except ValueError as error:
            raise StreamError(stream, f"web: {error}") from error
        self.loop.soon(known.live.begin, caps["parameters"], track)

    def give(self, item: Frame | Packet) -> None:
        if isinstance(item, Frame):
            self._show(item)
        elif item.kind == "video" and item.stream in self.shown:
            self._feed(self.shown[item.stream].live, item)

    def _show(self, frame: Frame) -> None:
        known = self.shown[frame.stream]
        live, now = known.live, time.monotonic()
        if live.pictures_wanted:
            self._gaze(live, frame)
        if live.wanted:
            self._encode(known, frame, now)
        elif known.encoder is not None:
            self._stop_encoding(known)
        known.times.append(now)
        known.events.extend(_event(event) for event in frame.events)
        if self.loop is not None and (frame.events or now - known.told_at >= TOLD):
            known.told_at = now
            self.loop.soon(live.tell, _facts(known, frame))

    def _gaze(self, live: Live, frame: Frame) -> None:
        from ..outputs.images import jpeg

        assert self.loop is not None
        self.loop.soon(live.show, jpeg(self.pixels.bgr(frame)))

    def _encode(self, known: Shown, frame: Frame, now: float) -> None:
        live = known.live
        if known.encoder is None:
            fps = known.caps.get("fps")
            caps = known.caps.replace(width=frame.image.width, height=frame.image.height)
            try:
                known.encoder = open_encoder(
                    caps, self.device, self._say, codec=self.codec, bitrate=self.bitrate,
                    gop=self.gop or max(1, round(fps or 25)), preset={"av1": "11"}.get(self.codec, "superfast"),
                    threads=1, low_latency=True,
                )  # fmt: skip
            except ValueError as error:
                raise StreamError(frame.stream, f"web: {error}") from error
            self._begin(frame.stream, known, known.encoder.caps)
        key = live.key_wanted and now - known.key_at >= KEYS
        if key:
            live.key_wanted, known.key_at = False, now
        for packet in known.encoder.encode(frame, key):
            self._feed(live, packet)

    def _say(self, what: str) -> None:
        """Once: it is the same for all streams, and whenever somebody begins to watch."""
        if self.context is not None and not self.said:
            self.said = True
            self.context.warn(what, None)

    def _feed(self, live: Live, packet: Packet) -> None:
        assert self.loop is not None
        self.loop.soon(self._feed_there, live, packet)

    def _feed_there(self, live: Live, packet: Packet) -> None:
        try:
            live.feed(packet)
        except ValueError as error:
            if self.context is not None:
                self.context.warn(f"a packet is left out: {error}", packet.stream)

    def _stop_encoding(self, known: Shown) -> None:
        if known.encoder is not None and self.loop is not None:
            known.encoder.close()
            known.encoder = None
            self.loop.soon(known.live.pause)

    def end_stream(self, stream: str) -> Iterator[Item]:
        yield from super().end_stream(stream)
        known = self.shown.pop(stream, None)
        self.forget_clock(stream)
        if known is not None and self.loop is not None and self.server is not None:
            if known.encoder is not None:
                for packet in known.encoder.flush():
                    self._feed(known.live, packet)
                known.encoder.close()
            self.loop.soon(self.server.remove, known.live)

    def close(self) -> None:
        for known in self.shown.values():
            if known.encoder is not None:
                known.encoder.close()
        self.shown.clear()
        super().close()


def _facts(known: Shown, frame: Frame) -> dict[str, Any]:
    """What the page says of a stream beside its picture."""
    times = known.times
    span = times[-1] - times[0]
    rules = [
        {"kind": rule["kind"], "name": rule["name"], "values": rule["values"]}
        for rule in frame.extras.get("analytics", ()) if "values" in rule
    ]  # fmt: skip
    return {
        "frame": frame.index, "seconds": round(frame.pts / 1e9, 2),
        "width": frame.image.width, "height": frame.image.height,
        "fps": round((len(times) - 1) / span, 1) if span > 0 else None,
        "objects": dict(Counter(found.label for found in frame.objects).most_common()),
        "rules": rules, "events": list(known.events),
    }  # fmt: skip


def _event(event: Any) -> dict[str, Any]:
    fields = {
        "seconds": round(event.pts / 1e9, 2), "kind": event.kind, "name": event.name, "direction": event.direction,
        "label": event.label, "id": event.object_id, "phase": event.phase, "wall": round(time.time(), 2),
    }  # fmt: skip
    return {key: value for key, value in fields.items() if value is not None}
