"""Whatever GStreamer can do to pictures: a fragment of a launch line as an element."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..core.element import setting
from ..core.item import Item, StreamStart
from ..media import Batch
from ._fragment import Feed, Fragments


class Gst(Fragments):
    """Give frames to a GStreamer fragment: `gst: {launch: "videobalance saturation=0"}`.

    A fragment with a free source pad at its end is a filter: its pictures go on, with what is known of the frame whose
    time they have (boxes are scaled where the size has changed; others move nothing, so put what turns or cuts pictures
    before the models). A frame that the fragment leaves out is gone. A fragment that ends in a sink gets the frames,
    and they go on as they were. Each stream has a process of its own (docs/gstreamer.md).
    """

    launch: str = setting(help="the launch line, without the ends that millrace is")

    def start_stream(self, start: StreamStart) -> StreamStart:
        assert self.context is not None
        known = self.feeds.get(start.stream)
        if known is None:
            self.feeds[start.stream] = Feed(self.launch, start, self.context)
            return start
        known.start = start
        return known.said or start

    def process(self, item: Any) -> Iterator[Item]:
        for frame in item.frames if isinstance(item, Batch) else [item]:
            feed = self.feeds[frame.stream]
            yield from feed.take()
            feed.give(frame)
            if not feed.gives:
                yield frame
