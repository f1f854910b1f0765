"""Whatever GStreamer can do to pictures: a fragment of a launch line as an element."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from ..core.element import Context, Element, setting, state
from ..core.errors import StreamError
from ..core.item import Item, StreamStart
from ..media import Batch
from ._fragment import Feed


class Gst(Element):
    """Give frames to a GStreamer fragment: `gst: {launch: "videobalance saturation=0"}`.

    A fragment with a free source pad at its end is a filter: its pictures go on, with what is known of the frame whose
    time they have (boxes are scaled where the size has changed; others move nothing, so put what turns or cuts pictures
    before the models). A frame that the fragment leaves out is gone. A fragment that ends in a sink gets the frames,
    and they go on as they were. Each stream has a process of its own (docs/gstreamer.md).
    """

    threaded: ClassVar[bool] = True

    launch: str = setting(help="the launch line, without the ends that millrace is")

    feeds: dict[str, Feed] = state(dict)
    context: Context | None = state(lambda: None)

    def open(self, context: Context) -> None:
        self.context = context

    def start_stream(self, start: StreamStart) -> StreamStart:
        assert self.context is not None
        known = self.feeds.get(start.stream)
        if known is None:
            self.feeds[start.stream] = Feed(self.launch, start, self.context)
            return start
        known.start = start
        return known.said or start

    @property
    def ready(self) -> bool:
        return all(feed.ready for feed in self.feeds.values())

    def process(self, item: Any) -> Iterator[Item]:
        for frame in item.frames if isinstance(item, Batch) else [item]:
            feed = self.feeds[frame.stream]
            yield from feed.take()
            feed.give(frame)
            if not feed.gives:
                yield frame

    def on_wake(self) -> Iterator[Item]:
        for feed in list(self.feeds.values()):
            try:
                yield from feed.take()
            except StreamError:
                assert self.context is not None
                self.context.wake()  # the others have their turn
                raise

    def end_stream(self, stream: str) -> Iterator[Item]:
        feed = self.feeds.pop(stream, None)
        if feed is not None:
            yield from feed.finish()

    def cancel(self) -> None:
        for feed in list(self.feeds.values()):
            feed.interrupt()

    def close(self) -> None:
        while self.feeds:
            self.feeds.popitem()[1].stop()
