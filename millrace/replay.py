"""Run again what came after the detector, from a recorded run: no decoding, no inference.

    recording = read_record("run.jsonl")
    outcome = Replay(steps_of(recording)).run(recording)

The elements are the very ones of a pipeline, called one after the other in this thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import registry
from .core.caps import FRAMES, Caps
from .core.element import Context
from .core.errors import ConfigError
from .core.item import StreamStart
from .media import Frame, Image
from .outputs.record import RecordedEnd, RecordedFrame, Recording

Steps = list[tuple[str, dict[str, Any]]]  # elements by name, with their settings
Picture = Callable[[RecordedFrame], Image]

REPEATED = ("track", "analyze")
OUTPUTS = (  # these change nothing of what is known of a frame
    "draw", "encode", "file", "json", "record", "images", "segments", "dump", "window", "watch", "batch", "discard",
    "blur", "split", "limit", "pull",
)  # fmt: skip


@dataclass(slots=True)
class StreamOutcome:
    """What became of one stream. `events` of all frames, each (frame, kind, name, direction, phase, id, label)."""

    frames: int = 0
    tracked: Counter[int] = field(default_factory=Counter)  # frames of each identity
    events: list[tuple[Any, ...]] = field(default_factory=list)


@dataclass(slots=True)
class Outcome:
    """What a replay gave: by stream, and the totals of `analyze`."""

    streams: dict[str, StreamOutcome] = field(default_factory=dict)
    totals: dict[str, Any] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        return sum(stream.frames for stream in self.streams.values())


def steps_of(recording: Recording) -> tuple[Steps, list[str]]:
    """The steps of a recorded run that can be repeated, and the names of those that cannot and may matter."""
    steps: Steps = []
    left: list[str] = []
    for entry in recording.header.get("line") or ():
        ((name, settings),) = entry.items()
        if name in REPEATED or (name == "function" and isinstance(settings.get("call"), str) and ":" in settings["call"]
                                and " " not in settings["call"]):  # fmt: skip
            steps.append((name, dict(settings)))
        elif name not in OUTPUTS:
            left.append(name)
    return steps, left


def changed(steps: Steps, element: str, settings: Mapping[str, Any], *, whole: bool = False) -> Steps:
    """The steps with other settings of one element (`whole`: instead of those it had); it is added if it is missing."""
    if not any(name == element for name, _ in steps):
        at = (
            next((n for n, (name, _) in enumerate(steps) if name == "analyze"), len(steps))
            if element == "track"
            else len(steps)
        )
        return [*steps[:at], (element, dict(settings)), *steps[at:]]
    return [
        (name, dict(settings) if whole else {**own, **settings}) if name == element else (name, own)
        for name, own in steps
    ]


class Replay:
    """Elements at work on a recorded run. Raises ConfigError for settings that are wrong."""

    def __init__(self, steps: Steps, picture: Picture | None = None) -> None:
        self.elements = [registry.create(name, **settings) for name, settings in steps]
        self._tracks = any(name == "track" for name, _ in steps)  # then it begins with the detections
        self.picture = picture or Blank()
        self.warnings: list[str] = []

    def run(self, recording: Recording) -> Outcome:
        """All of it; what came of it."""
        outcome = Outcome()
        for frame in self.frames(recording):
            note(outcome, frame)
        for element in self.elements:
            if hasattr(element, "totals"):
                outcome.totals = element.totals()
        return outcome

    def frames(self, recording: Recording) -> Iterator[Frame]:
        """The frames, as they would leave the last element."""
        streams: dict[str, None] = {}
        for element in self.elements:
            element.open(Context(type(element).__name__.lower(), warn=self._warn))
            if recording.header.get("streams"):
                element.expect(_names(recording.header["streams"]))
        try:
            for entry in recording:
                if isinstance(entry, RecordedFrame):
                    yield self._frame(entry)
                elif isinstance(entry, RecordedEnd):
                    self._end(entry.stream)
                    streams.pop(entry.stream, None)
                else:
                    streams[entry.stream] = None
                    caps = Caps(FRAMES, **entry.caps)
                    self._start(StreamStart(entry.stream, caps, entry.live, entry.epoch, entry.discontinuity), streams)
            for stream in streams:
                self._end(stream)
        finally:
            for element in self.elements:
                element.close()

    def _start(self, start: StreamStart, streams: Mapping[str, None]) -> None:
        for element in self.elements:
            element.expect(list(streams))
            passed = element.start_stream(start)
            assert passed is not None, "none of these elements merges streams"
            start = passed

    def _frame(self, entry: RecordedFrame) -> Frame:
        frame = Frame(
            entry.stream, entry.index, entry.pts, self.picture(entry), entry.epoch, entry.duration, wall=entry.wall,
            objects=entry.detections() if self._tracks else entry.objects, inferred=entry.inferred,
            readings=entry.readings,
        )  # fmt: skip
        for element in self.elements:
            run = getattr(element, "process_frame", None)
            if run is not None:
                run(frame)
            else:
                for _ in element.process(frame):
                    pass
        return frame

    def _end(self, stream: str) -> None:
        last = None
        for element in self.elements:
            last = element.closing(stream, last)
            for _ in element.end_stream(stream):
                pass

    def _warn(self, message: str, stream: str | None) -> None:
        self.warnings.append(f"{stream}: {message}" if stream else message)


class Blank:
    """Pictures without pixels: what needs them fails."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], Image] = {}

    def __call__(self, entry: RecordedFrame) -> Image:
        size = (entry.width, entry.height)
        if size not in self._known:
            image = self._known[size] = Image("GRAY8", (), *size)
            image.planes = _NoPlanes()
        return self._known[size]


class _NoPlanes(tuple[Any, ...]):
    """Says what is missing as soon as somebody looks."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        raise ConfigError("a tracker or another step looks at pixels, which a recorded run does not hold: give --video")

    def __iter__(self) -> Iterator[Any]:
        return iter((self[0],))


class FromVideo:
    """The pictures of one stream, read along from its video. Raises ConfigError where the video has not that frame."""

    def __init__(self, path: str, frames: Iterator[Frame]) -> None:
        self.path = path
        self._frames = frames

    def __call__(self, entry: RecordedFrame) -> Image:
        for frame in self._frames:
            if frame.index == entry.index:
                return frame.image
        raise ConfigError(f"{self.path} has no frame {entry.index}, which the recorded run of {entry.stream} has")


def note(outcome: Outcome, frame: Frame) -> None:
    """Add a frame to an outcome."""
    stream = outcome.streams.setdefault(frame.stream, StreamOutcome())
    stream.frames += 1
    for found in frame.objects:
        if found.id is not None:
            stream.tracked[found.id] += 1
    for e in frame.events:
        if e.phase != "update":
            stream.events.append((frame.index, e.kind, e.name, e.direction, e.phase, e.object_id, e.label))


def differences(before: Outcome, after: Outcome) -> list[tuple[str, str, float, float]]:
    """(stream, what, before, after) of everything that either has: tracks, counts, events."""
    rows: list[tuple[str, str, float, float]] = []
    for stream in sorted({*before.streams, *after.streams}):
        old, new = (each.streams.get(stream, StreamOutcome()) for each in (before, after))
        rows.append((stream, "tracks", len(old.tracked), len(new.tracked)))
        rows.append((stream, "frames of a track, mean", _mean(old.tracked), _mean(new.tracked)))
        counts = [dict(_counts(each.totals.get(stream, {}))) for each in (before, after)]
        rows += [(stream, what, counts[0].get(what, 0), counts[1].get(what, 0)) for what in {**counts[0], **counts[1]}]
        kinds = [Counter(_event(event) for event in each.events) for each in (old, new)]
        rows += [(stream, what, kinds[0][what], kinds[1][what]) for what in sorted({*kinds[0], *kinds[1]})]
    return rows


def only(before: Outcome, after: Outcome, stream: str) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The events that only one of them has, frame by frame; identities may bear other numbers."""
    old, new = (
        [(*event[:5], event[6]) for event in o.streams.get(stream, StreamOutcome()).events] for o in (before, after)
    )
    missing, added = Counter(old) - Counter(new), Counter(new) - Counter(old)
    return sorted(missing.elements(), key=str_key), sorted(added.elements(), key=str_key)


def str_key(event: Sequence[Any]) -> tuple[Any, ...]:
    return (event[0], *map(str, event[1:]))


def _event(event: Sequence[Any]) -> str:
    _, kind, name, direction, phase, *_ = event
    return " ".join(
        ["events:", kind, name, *([direction] if direction else []), *([phase] if phase and not direction else [])]
    )


def _counts(totals: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, line in totals.get("lines", {}).items():
        yield from ((f"line {name} {way}", line[way]) for way in ("in", "out") if way in line)
    for name, zone in totals.get("zones", {}).items():
        yield from ((f"zone {name} {what}", zone[what]) for what in ("entered", "identities", "most") if what in zone)
    for name, direction in totals.get("directions", {}).items():
        yield f"direction {name} identities", direction.get("identities", 0)
    for name, times in totals.get("rules", {}).items():
        yield f"rule {name}", times


def _mean(tracked: Counter[int]) -> float:
    return round(tracked.total() / len(tracked), 1) if tracked else 0.0


def _names(streams: Any) -> list[str]:
    return list(streams) if isinstance(streams, list | tuple | dict) else []
