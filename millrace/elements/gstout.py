"""Coded video into whatever GStreamer can send it to."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..core.caps import PACKETS
from ..core.element import setting, state
from ..core.errors import StreamError
from ..core.item import Item, StreamStart
from ..media import Packet
from ..media.nal import avcc, read_header, split
from ._fragment import Feed, Fragments

_START = b"\x00\x00\x00\x01"


class Form(NamedTuple):
    """How the packets of a stream come, and go.

    Parameter sets go beside the pictures where that can be: srtsink passes over pictures that hold their own.
    """

    size: int  # bytes of a NAL unit's length in what comes; 0: a byte stream
    sets: list[bytes]
    lengths: bool  # go with lengths


class Gstout(Fragments):
    """Give packets to a GStreamer fragment that ends in a sink, and pass them on.

    `gstout: {launch: "h264parse ! rtspclientsink location=rtsp://server/cam"}` sends to a server. Begin with the parser
    of the codec: H.264 and HEVC come as containers hold them, HEVC of `encode` as a byte stream, JPEG as it is. Each
    stream has a process of its own (docs/gstreamer.md).
    """

    takes = PACKETS

    launch: str = setting(help="the launch line, without its source; {stream} becomes the stream's name")

    forms: dict[str, Form] = state(dict)

    def start_stream(self, start: StreamStart) -> StreamStart:
        assert self.context is not None
        if start.caps.kind != PACKETS:
            raise StreamError(start.stream, f"gstout takes packets, not {start.caps.kind}; encode first")
        stream, codec = start.stream, start.caps["parameters"]
        try:
            size, sets = read_header(codec.codec, codec.extradata)
        except ValueError as error:
            raise StreamError(stream, f"gstout: {error}") from error
        header = codec.extradata if size else avcc(sets) if codec.codec == "h264" else None
        caps = start.caps
        if header is not None:
            caps = caps.replace(stream_format="avc" if codec.codec == "h264" else "hvc1", codec_data=bytes(header))
        self.forms[stream] = Form(size, sets, header is not None)
        given = StreamStart(stream, caps, start.live, start.epoch, start.discontinuity)
        if stream not in self.feeds:
            feed = self.feeds[stream] = Feed(self.launch.replace("{stream}", stream), given, self.context)
            if feed.gives:
                raise StreamError(stream, "gstout: the fragment must end in a sink: it has a free source pad")
        self.feeds[stream].start = given
        return start

    def process(self, item: Any) -> Iterator[Item]:
        if isinstance(item, Packet) and item.kind == "video":
            feed = self.feeds[item.stream]
            for _ in feed.take():  # only whether it failed
                pass
            feed.give(self._formed(item))
        yield item

    def _formed(self, packet: Packet) -> Packet:
        """The packet as the caps say: with lengths, or as a byte stream with parameter sets before key pictures."""
        form = self.forms[packet.stream]
        if form.size or not form.sets:
            return packet
        units = split(packet.data, 0)
        if form.lengths:
            data = b"".join(struct.pack(">I", len(unit)) + unit for unit in units)
        else:
            lead = [unit for unit in form.sets if unit not in units] if packet.key else []
            data = b"".join(_START + unit for unit in [*lead, *units])
        return Packet(packet.stream, data, packet.pts, packet.dts, packet.duration, packet.key)

    def end_stream(self, stream: str) -> Iterator[Item]:
        self.forms.pop(stream, None)
        yield from super().end_stream(stream)
