"""Detections → identities."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.element import Context, Element, Seconds, setting, state
from ..core.item import StreamStart
from ..media import Frame, Object
from ..trackers import open_tracker
from ..trackers.base import Tracker
from ..trackers.tracing import Misses


class Track(Element):
    """Give the objects of each stream identities that last: `track: {max_age: 3}`.

    Detections keep flowing: `id` is None until a track is confirmed. On frames that no model looked at (`infer`
    with `every`) the tracks are carried on by prediction, as objects without `detected_box`. Objects that belong to
    others (`parent` is set) are passed on as they are. A setting left None is the tracker's own default.
    """

    tracker: str = setting(default="default", help="name of the tracker")
    max_age: Seconds | None = setting(
        default=None, help="seconds of stream time that an unseen track is kept (2)", minimum=0
    )
    min_hits: int | None = setting(default=None, help="detections in a row that confirm a track (3)", minimum=1)
    high_confidence: float | None = setting(
        default=None, help="detections from here up start tracks and are matched first (0.4)", minimum=0, maximum=1
    )
    low_confidence: float | None = setting(
        default=None, help="detections from here up can continue a track (0.1)", minimum=0, maximum=1
    )
    iou: float | None = setting(
        default=None, help="least overlap of prediction and detection (0.2)", minimum=0, maximum=1
    )
    class_penalty: float | None = setting(
        default=None,
        help="taken off the overlap where classes differ; 1: a track never changes its class (0.3)",
        minimum=0,
    )
    smooth: bool | None = setting(default=None, help="give the filter's boxes instead of the detector's (false)")
    options: dict[str, Any] = setting(factory=dict, help="further settings of this tracker")
    trace: bool = setting(default=False, help="keep the facts of tracks that a look did not find")

    trackers: dict[str, Tracker] = state(dict)
    misses: dict[str, Misses] = state(dict)

    def validate(self) -> None:
        self._open_tracker()  # a wrong setting is an error before the first stream

    def open(self, context: Context) -> None:
        self.validate()

    def start_stream(self, start: StreamStart) -> StreamStart:
        if start.stream not in self.trackers:
            self.trackers[start.stream] = self._open_tracker()
            self.misses[start.stream] = Misses(self.trackers[start.stream], self.tracker)
        else:
            self.trackers[start.stream].discontinuity()
        return start

    def process_frame(self, frame: Frame) -> None:
        own = [found for found in frame.objects if found.parent is None]
        rest = [found for found in frame.objects if found.parent is not None]
        objects = self.trackers[frame.stream].update(own, frame.pts, bool(frame.inferred), frame.image)
        if self.trace and frame.inferred and (missed := self.misses[frame.stream].update(objects, frame.pts)):
            frame.extras["trace"] = [*frame.extras.get("trace", ()), *missed]
        frame.objects = [found for found in objects if found.detected_box is not None or clip(found, frame)] + rest

    def end_stream(self, stream: str) -> Any:
        self.trackers.pop(stream, None)
        self.misses.pop(stream, None)
        return super().end_stream(stream)

    def _open_tracker(self) -> Tracker:
        names = ("max_age", "min_hits", "high_confidence", "low_confidence", "iou", "class_penalty", "smooth")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        return open_tracker(self.tracker, **given, **self.options)


def clip(found: Object, frame: Frame) -> bool:
    """Cut a predicted box at the picture's edge; False when nothing of it is in the picture."""
    size = (frame.image.width, frame.image.height)
    found.box = np.clip(found.box, 0, np.array(size * 2, dtype=np.float32))
    return bool(found.box[0] < found.box[2] and found.box[1] < found.box[3])
