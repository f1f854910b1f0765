"""hls: packets into a folder that any web server can offer."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..core.caps import PACKETS
from ..core.element import Context, Seconds, setting, state
from ..core.errors import SettingError, StreamError
from ..core.item import StreamStart
from ._writer import PacketWriter


class Hls(PacketWriter):
    """Write each stream as HLS into a folder and pass packets on: `hls: {path: "www/{stream}/index.m3u8"}`.

    Fragmented MP4 beside the playlist, for a web server or a CDN to offer; players are some segments late. A segment
    begins at a key frame (`encode: {gop: N}`). `web` serves HLS by itself, and with low latency.
    """

    path: str = setting(help="the playlist; {stream} stands for the stream's name; its folder is made")
    seconds: Seconds = setting(default=2.0, help="seconds of a segment at least", minimum=0.1)
    keep: int = setting(default=6, help="segments in the playlist, older ones are deleted; 0: all stay", minimum=0)
    sound: bool = setting(default=True, help="the sound of a file's stream, unchanged, where the format can hold it")

    used: set[str] = state(set)

    def validate(self) -> None:
        if not self.path.lower().endswith(".m3u8"):
            raise SettingError("hls", "path", self.path, "a file that ends in .m3u8")

    def open(self, context: Context) -> None:
        self.validate()
        self.context = context

    def expect(self, streams: Sequence[str]) -> None:
        self.several = self.several or len(streams) > 1

    def start_stream(self, start: StreamStart) -> StreamStart:
        from ..outputs.container import Container
        from ..outputs.hls import folder_of
        from ..outputs.jsonl import stream_path

        stream = start.stream
        if start.caps.kind != PACKETS:
            raise StreamError(stream, f"hls takes packets, not {start.caps.kind}; encode first")
        if stream in self.outputs:
            if self.caps[stream] == start.caps:
                return start
            self.finish(stream)
        path = stream_path(self.path, stream, self.several or bool(self.outputs))
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        server = folder_of(path, self.seconds, self.keep, again=path in self.used)
        self.outputs[stream] = Container(path, start.caps, start.caps.get("sound") if self.sound else None, server)
        self.caps[stream] = start.caps
        self.used.add(path)
        self.begin_sound(stream, path)
        return start
