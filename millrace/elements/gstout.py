"""Coded video into whatever GStreamer can send it to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from ..core.caps import PACKETS
from ..core.element import Context, Element, setting, state
from ..core.errors import StreamError
from ..core.item import Item, StreamStart
from ..media import Packet
from ..media.nal import read_header, split
from ._fragment import Feed

_START = b"\x00\x00\x00\x01"


class Gstout(Element):
    """Give packets to a GStreamer fragment that ends in a sink, and pass them on.

    `gstout: {launch: "h264parse ! rtspclientsink location=rtsp://server/cam"}` sends to a server; H.264 and HEVC come
    as a byte stream with headers, JPEG as it is. Each stream has a process of its own (docs/gstreamer.md).
    """

    takes = PACKETS
    threaded: ClassVar[bool] = True

    launch: str = setting(help="the launch line, without its source; {stream} becomes the stream's name")

    feeds: dict[str, Feed] = state(dict)
    headers: dict[str, tuple[int, list[bytes]]] = state(dict)  # bytes of a NAL unit's length, parameter sets
    context: Context | None = state(lambda: None)

    def open(self, context: Context) -> None:
        self.context = context

    def start_stream(self, start: StreamStart) -> StreamStart:
        assert self.context is not None
        if start.caps.kind != PACKETS:
            raise StreamError(start.stream, f"gstout takes packets, not {start.caps.kind}; encode first")
        stream = start.stream
        try:
            codec = start.caps["parameters"]
            self.headers[stream] = read_header(codec.codec, codec.extradata)
        except ValueError as error:
            raise StreamError(stream, f"gstout: {error}") from error
        if stream not in self.feeds:
            feed = self.feeds[stream] = Feed(self.launch.replace("{stream}", stream), start, self.context)
            if feed.gives:
                raise StreamError(stream, "gstout: the fragment must end in a sink: it has a free source pad")
        self.feeds[stream].start = start
        return start

    @property
    def ready(self) -> bool:
        return all(feed.ready for feed in self.feeds.values())

    def process(self, item: Any) -> Iterator[Item]:
        if isinstance(item, Packet) and item.kind == "video":
            feed = self.feeds[item.stream]
            for _ in feed.take():  # only whether it failed
                pass
            feed.give(self._plain(item))
        yield item

    def _plain(self, packet: Packet) -> Packet:
        """The packet as a byte stream, key pictures with their parameter sets."""
        size, sets = self.headers[packet.stream]
        if not sets:
            return packet
        units = split(packet.data, size)
        lead = [unit for unit in sets if unit not in units] if packet.key else []
        data = b"".join(_START + unit for unit in [*lead, *units])
        return Packet(packet.stream, data, packet.pts, packet.dts, packet.duration, packet.key)

    def on_wake(self) -> Iterator[Item]:
        for feed in list(self.feeds.values()):
            try:
                yield from feed.take()
            except StreamError:
                assert self.context is not None
                self.context.wake()
                raise

    def end_stream(self, stream: str) -> Iterator[Item]:
        self.headers.pop(stream, None)
        feed = self.feeds.pop(stream, None)
        if feed is not None:
            yield from feed.finish()

    def cancel(self) -> None:
        for feed in list(self.feeds.values()):
            feed.interrupt()

    def close(self) -> None:
        while self.feeds:
            self.feeds.popitem()[1].stop()
