"""The application that the GPU's benchmarks measure: detector, tracker, two classifiers on what was found, analytics,
JSON lines. And a source that reads a clip over and over."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

from millrace.core import Graph, Item, Source, StreamStart, setting, state
from millrace.elements.analyze import Analyze
from millrace.elements.batch import Batch
from millrace.elements.decode import Decode
from millrace.elements.discard import Discard
from millrace.elements.infer import Infer
from millrace.elements.json import Json
from millrace.elements.track import Track
from millrace.media import Packet
from millrace.sources.file import FileSource

LINES = {
    "door": {"points": [[0.1, 0.6], [0.9, 0.6]]},
    "aisle": {"points": [[0.5, 0.1], [0.5, 0.95]]},
}
ZONES = {
    "left": {"points": [[0.02, 0.3], [0.45, 0.3], [0.45, 0.98], [0.02, 0.98]]},
    "right": {"points": [[0.55, 0.3], [0.98, 0.3], [0.98, 0.98], [0.55, 0.98]]},
}


class LoopingFile(Source):
    """A file over and over as one long stream; times go on."""

    stream: str = setting(help="name of the stream")
    uri: str = setting(help="the file")
    stopped: bool = state(bool)
    quick: ClassVar[bool] = True  # as any file is: the decode workers read it

    def read(self) -> Iterator[Item | StreamStart]:
        offset, end, first = 0, 0, True
        while not self.stopped:
            for item in FileSource(stream=self.stream, uri=self.uri).read():
                if self.stopped:
                    return
                if isinstance(item, Packet):
                    if item.dts is not None:
                        item.dts += offset
                    if item.pts is not None:
                        item.pts += offset
                        end = max(end, item.pts + (item.duration or 0))
                    yield item
                elif first:
                    first = False
                    yield item
            offset = end

    def interrupt(self) -> None:
        self.stopped = True


class PacedFile(LoopingFile):
    """The same at the pace of its times, as a camera sends it: a live stream."""

    quick: ClassVar[bool] = False
    offset: float = setting(default=0.0, help="seconds after the others that it begins")

    def read(self) -> Iterator[Item | StreamStart]:
        begun, first = time.monotonic() + self.offset, None
        for item in super().read():
            if isinstance(item, StreamStart):
                yield replace(item, live=True)
                continue
            if isinstance(item, Packet):
                when = item.dts if item.dts is not None else item.pts or 0
                first = when if first is None else first
                due = begun + (when - first) / 1e9
                time.sleep(max(0.0, due - time.monotonic()))
                item.arrived = round(due * 1e9)
            yield item


def line(graph: Graph, *named: tuple[str, Any]) -> Graph:
    """The elements one after the other."""
    for name, element in named:
        graph.add(name, element)
    names = [name for name, _ in named]
    for before, after in itertools.pairwise(names):
        graph.link(before, after)
    return graph


def application(
    detector: str, classifiers: list[str], device: str, folder: str, workers: int, batch: int, **options: Any
) -> Graph:
    """`classifiers` look at each identity once, and again when it has grown by half; `options` are those of models."""
    more: dict[str, Any] = {"options": options} if options else {}
    seconds = [
        (
            f"second{n}",
            Infer(model=path, device=device, on={"growth": 1.5, "min_width": 24, "min_height": 24}, **more),
        )
        for n, path in enumerate(classifiers)
    ]
    return line(
        Graph(),
        ("decode", Decode(device=device, workers=workers)),
        ("batch", Batch(size=batch)),
        ("infer", Infer(model=detector, device=device, confidence=0.3, **more)),
        ("track", Track()),
        *seconds,
        ("analyze", Analyze(lines=LINES, zones=ZONES)),
        ("json", Json(path=os.path.join(folder, "{stream}.jsonl"))),
        ("end", Discard()),
    )
