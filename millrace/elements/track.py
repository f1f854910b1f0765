"""Detections → identities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import devices
from ..core.element import Context, Element, Seconds, setting, state
from ..core.errors import ConfigError, SettingError
from ..core.item import Item, StreamStart
from ..media import Batch, Frame, Object
from ..trackers import rules_of
from ..trackers.base import Rules, Tracker
from ..trackers.camera import Camera
from ..trackers.nvtracker import NvTracker
from ..trackers.tracing import Misses
from ._appearance import Embedder, card_of, file_of
from ._model import check_files

BLIND = 50  # frames with objects and no embedding before somebody is told
OF_INFER = "infer"  # the setting `reid`: an infer before has made the embeddings
OWN = (
    "max_age",
    "min_hits",
    "high_confidence",
    "low_confidence",
    "iou",
    "class_penalty",
    "smooth",
    "classes",
    "report",
)


class Track(Element):
    """Give the objects of each stream identities that last: `track: {max_age: 3}`.

    Detections keep flowing: `id` is None until a track is confirmed. On frames that no model looked at (`infer`
    with `every`) the tracks are carried on by prediction, as objects without `detected_box`. Objects that belong to
    others (`parent` is set) are passed on as they are. A setting left None is the tracker's own default.

        - track: {tracker: deepsort, reid: osnet.onnx}

    asks a re-identification model for embeddings of what was detected, in calls over all frames of a batch. Objects
    that have an `embedding` already (of an `infer` before) are not asked for.
    """

    tracker: str = setting(default="default", help="default, bytetrack, ocsort, sort, iou, deepsort or dcf")
    config: str | None = setting(
        default=None, help="DeepStream's tracker file (ll-config-file) instead; several for sub_batches: a.yml;b.yml"
    )
    sub_batches: str | None = setting(
        default=None, help="which streams each file is for, by number (0,1;2,3) or how many each takes (2:2)"
    )
    max_age: Seconds | None = setting(
        default=None, help="seconds of stream time that an unseen track is kept", minimum=0
    )
    min_hits: int | None = setting(default=None, help="detections that confirm a track", minimum=1)
    high_confidence: float | None = setting(
        default=None, help="detections from here up are matched first, and start tracks", minimum=0, maximum=1
    )
    low_confidence: float | None = setting(
        default=None, help="detections from here up can continue a track", minimum=0, maximum=1
    )
    iou: float | None = setting(default=None, help="least overlap of prediction and detection", minimum=0, maximum=1)
    class_penalty: float | None = setting(
        default=None, help="taken off the overlap where classes differ; 1: a track never changes its class", minimum=0
    )
    smooth: bool | None = setting(default=None, help="give the filter's boxes instead of the detector's")
    classes: list[int | str] | None = setting(
        default=None, help="numbers or labels of the classes that are tracked; others pass without identities"
    )
    report: list[str] | None = setting(
        default=None, help='any of terminated, shadows, past: lists for each frame, in extras["tracks"]'
    )
    camera_motion: bool = setting(default=False, help="find out how the camera moves, and take it off")
    reid: str | None = setting(
        default=None,
        help="a re-identification model, as `infer` names models, that tells objects apart; "
        "`infer`: objects have embeddings already (for DeepStream's files)",
    )
    device: str = setting(default="cpu", help="where that model runs: cpu, cuda:0, gpu (Intel's), npu")
    runtime: str | None = setting(default=None, help="what runs it, as in infer")
    reset_ids: str = setting(
        default="end", help="when identities count from 1 again: stream jumps (reset), or ends",
        choices=("never", "reset", "end", "both"),
    )  # fmt: skip
    streams: dict[str, dict[str, Any]] = setting(
        factory=dict, help="other settings for single streams: {gate: {tracker: iou, max_age: 1}}"
    )
    options: dict[str, Any] = setting(factory=dict, help="further settings of this tracker")
    trace: bool = setting(default=False, help="keep the facts of tracks that a look did not find")

    trackers: dict[str, Tracker] = state(dict)
    misses: dict[str, Misses] = state(dict)
    cameras: dict[str, Camera] = state(dict)
    context: Context = state(lambda: None)
    counts: dict[str, int] = state(dict)  # of streams that ended, where identities go on
    order: list[str] = state(list)  # streams by number
    embedder: Embedder | None = state(lambda: None)
    shown: bool = state(lambda: True)  # whether embeddings of that model stay on the objects
    blind: dict[str, int] = state(dict)  # looks of streams in which no object had an embedding

    def __post_init__(self) -> None:
        if self.asks or self._has_network():  # then a batch comes as a whole: one call for all its frames
            vars(self)["process_frame"] = None

    @property
    def asks(self) -> bool:
        """Whether the setting names a model."""
        return self.reid is not None and self.reid != OF_INFER

    def _has_network(self) -> bool:
        """Whether DeepStream's files name a re-identification network that is there. What is wrong is told later."""
        try:
            return any(file_of(NvTracker(config=file).file.network) for file in self._files())
        except ConfigError:
            return False

    def validate(self) -> None:
        if self.asks:
            devices.kind(self.device)
            check_files(str(self.reid))
        files = self._files()
        if self.sub_batches is not None and len(files) != len(batches(self.sub_batches)):
            count = f"{len(files)} files for {len(batches(self.sub_batches))} batches of streams"
            raise SettingError("track", "sub_batches", self.sub_batches, f"{count}: one file for each in config")
        for file in files or (None,):  # a wrong setting is an error before the first stream
            for stream in (None, *self.streams):
                self._rules(stream, file)

    def open(self, context: Context) -> None:
        self.validate()
        self.context = context
        if self.asks:
            self.embedder = Embedder(str(self.reid), self.device, self.runtime)
        for file in self._files():
            rules = self._rules(None, file)
            if isinstance(rules, NvTracker):
                for line in rules.file.report.warnings():
                    context.warn(line)
                self._network(rules, file)

    def _network(self, rules: NvTracker, file: str) -> None:
        """The re-identification network of DeepStream's file, unless another is given."""
        network = rules.file.network
        if network.kind and self.asks:
            self.shown = network.shown
        if not network.kind or self.reid is not None:
            return
        model = file_of(network)
        if model is None:
            names = ", ".join(network.files) or "a model"
            self.context.warn(
                f"{file}: [ReID] asks for {names}, which is not there: it runs without; give one by `reid`"
            )
        elif self.embedder is None:
            self.embedder = Embedder(model, self.device, self.runtime, card_of(network, model))
            self.shown = network.shown

    def expect(self, streams: Sequence[str]) -> None:
        if self.sub_batches is not None:
            self.order += [stream for stream in streams if stream not in self.order]

    def start_stream(self, start: StreamStart) -> StreamStart:
        tracker = self.trackers.get(start.stream)
        if tracker is not None and self.reset_ids not in ("reset", "both"):
            tracker.discontinuity()
            self.cameras[start.stream].forget()
            return start
        rules = self._rules(start.stream, self._file_of(start.stream))
        self.trackers[start.stream] = rules.open()
        self.trackers[start.stream].ids = self.counts.pop(start.stream, 0)
        self.cameras[start.stream] = Camera()
        self.misses[start.stream] = Misses(self.trackers[start.stream], rules.name)
        return start

    def process(self, item: Frame | Batch) -> Iterator[Item]:
        frames = item.frames if isinstance(item, Batch) else [item]
        while frames:  # a frame of each stream at a time: what is wanted depends on what was tracked before
            now = list({frame.stream: frame for frame in reversed(frames)}.values())[::-1]
            frames = [frame for frame in frames if not any(frame is one for one in now)]
            asked = self._look(now)
            for frame in now:
                self._track(frame)
            for found in asked if not self.shown else ():
                found.embedding = None
        yield item

    def _look(self, frames: Sequence[Frame]) -> list[Object]:
        """Ask the model for embeddings that trackers want; the objects that got one."""
        if self.embedder is None:
            return []
        wanted = [
            (frame, found)
            for frame in frames
            if frame.inferred
            for found in self.trackers[frame.stream].wanting(own_of(frame), frame.pts)
        ]
        if wanted:
            self.embedder.look(wanted)
        return [found for _, found in wanted]

    def process_frame(self, frame: Frame) -> None:
        self._track(frame)

    def _track(self, frame: Frame) -> None:
        rest = [found for found in frame.objects if found.parent is not None]
        own = own_of(frame) if rest else frame.objects
        if self.embedder is None and own:
            self._blind(frame, own)
        tracker = self.trackers[frame.stream]
        warp = self.cameras[frame.stream].warp(frame.image, own) if self.camera_motion else None
        tracked = tracker.update(own, frame.pts, bool(frame.inferred), frame.image, warp)
        if len(tracked) > len(own):  # those that were not detected in this frame stand at the end
            tracked = tracked[: len(own)] + [found for found in tracked[len(own) :] if clip(found, frame)]
        if self.trace and frame.inferred and (missed := self.misses[frame.stream].update(tracked, frame.pts)):
            frame.extras["trace"] = [*frame.extras.get("trace", ()), *missed]
        frame.objects = tracked + rest if rest else tracked
        if tracker.rules.report:
            frame.extras["tracks"] = tracker.reports

    def _blind(self, frame: Frame, own: list[Object]) -> None:
        """Say once that a tracker which knows things by their looks is told none."""
        count = self.blind.get(frame.stream, 0)
        looks = self.trackers[frame.stream].rules.appearance()
        if count < 0 or looks is None or not looks.needed:
            return
        seen = any(found.embedding is not None for found in own)
        self.blind[frame.stream] = -1 if seen or count + 1 == BLIND else count + 1
        if not seen and count + 1 == BLIND:
            self.context.warn(
                "no object has an embedding, so identities are kept by motion alone: name a model by `reid`, or put "
                "infer with one before", frame.stream,
            )  # fmt: skip

    def end_stream(self, stream: str) -> Any:
        tracker = self.trackers.pop(stream, None)
        self.misses.pop(stream, None)
        self.blind.pop(stream, None)
        self.cameras.pop(stream, None)
        if tracker is not None and self.reset_ids in ("never", "reset"):
            self.counts[stream] = tracker.ids
        return super().end_stream(stream)

    def close(self) -> None:
        if self.embedder is not None:
            self.embedder.close()
            self.embedder = None

    def _files(self) -> list[str]:
        return [part.strip() for part in (self.config or "").split(";") if part.strip()]

    def _file_of(self, stream: str) -> str | None:
        """The file for a stream: that of its batch. Streams beyond all batches take the last."""
        files = self._files()
        if not files or self.sub_batches is None:
            return files[0] if files else None
        if stream not in self.order:
            self.order.append(stream)
        number = self.order.index(stream)
        groups = batches(self.sub_batches)
        return next((file for file, group in zip(files, groups, strict=True) if number in group), files[-1])

    def _rules(self, stream: str | None, file: str | None) -> Rules:
        settings = {name: value for name in OWN if (value := getattr(self, name)) is not None}
        given = {"tracker": self.tracker, **settings, **self.options}
        if file is not None:
            given |= {"tracker": "nvtracker", "config": file}
            if self.reid is None and file_of(NvTracker(config=file).file.network) is None:
                given.setdefault("looks", False)
        if stream is not None and stream in self.streams:
            other = self.streams[stream]
            if other.get("tracker", given["tracker"]) != given["tracker"]:
                given = {}  # what was said of one tracker is not said of another
            given = {**given, **other}
        try:
            return rules_of(given.pop("tracker", "default"), **given)
        except SettingError:
            raise
        except TypeError as error:
            raise ConfigError(f"track: {error}") from error


def own_of(frame: Frame) -> list[Object]:
    """The objects of a frame that are tracked: those that are no parts of others."""
    if any(found.parent is not None for found in frame.objects):
        return [found for found in frame.objects if found.parent is None]
    return frame.objects


def batches(text: str) -> list[frozenset[int]]:
    """`0,1;2,3` names the streams of each batch, `2:2` says how many each takes. Raises SettingError."""
    try:
        if ":" in text:
            sizes = [int(part) for part in text.split(":")]
            starts = [sum(sizes[:n]) for n in range(len(sizes))]
            return [frozenset(range(start, start + size)) for start, size in zip(starts, sizes, strict=True)]
        return [frozenset(int(number) for number in part.split(",")) for part in text.split(";") if part.strip()]
    except ValueError:
        raise SettingError("track", "sub_batches", text, "it is written 0,1;2,3 or 2:2") from None


def clip(found: Object, frame: Frame) -> bool:
    """Cut a predicted box at the picture's edge; False when nothing of it is in the picture."""
    size = (frame.image.width, frame.image.height)
    found.box = np.clip(found.box, 0, np.array(size * 2, dtype=np.float32))
    return bool(found.box[0] < found.box[2] and found.box[1] < found.box[3])
