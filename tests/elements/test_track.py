"""The track element: a tracker per stream."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.core.caps import Caps
from millrace.core.element import Context
from millrace.core.errors import ConfigError
from millrace.core.item import StreamStart
from millrace.elements.track import Track
from millrace.media import Frame, Image, Object, box

PICTURE = Image("GRAY8", [np.zeros((120, 160), np.uint8)], 160, 120)
CAPS = Caps("frames", width=160, height=120)


def opened(*streams: str, **settings: object) -> Track:
    track = Track(**settings)  # type: ignore[arg-type]
    track.open(Context("track", lambda: None, lambda message, stream: None))
    for stream in streams:
        track.start_stream(StreamStart(stream, CAPS))
    return track


def frame(n: int, *boxes: tuple[float, float, float, float], stream: str = "a", inferred: bool = True) -> Frame:
    objects = [Object(box(values), 0, "car", 0.9) for values in boxes]
    return Frame(stream, n, n * 40_000_000, PICTURE, objects=objects, inferred=["det"] if inferred else [])


def ids(track: Track, shown: Frame) -> list[int | None]:
    track.process_frame(shown)
    return [found.id for found in shown.objects]


def test_streams_are_numbered_apart() -> None:
    track = opened("a", "b")
    assert ids(track, frame(0, (0, 0, 20, 20), (50, 50, 80, 80))) == [1, 2]
    assert ids(track, frame(0, (50, 50, 80, 80), stream="b")) == [1]
    assert ids(track, frame(1, (50, 50, 80, 80), (0, 0, 20, 20))) == [2, 1]


def test_an_ended_stream_is_forgotten() -> None:
    track = opened("a")
    ids(track, frame(0, (0, 0, 20, 20), (50, 50, 80, 80)))
    assert list(track.end_stream("a")) == []
    assert track.trackers == {}
    track.start_stream(StreamStart("a", CAPS))
    assert ids(track, frame(0, (50, 50, 80, 80))) == [1]


def test_a_discontinuity_keeps_counting() -> None:
    track = opened("a", min_hits=1)
    assert ids(track, frame(0, (0, 0, 20, 20))) == [1]
    track.start_stream(StreamStart("a", CAPS, epoch=1, discontinuity=True))
    assert ids(track, frame(1, (0, 0, 20, 20), (50, 50, 80, 80))) == [1, 2]


def test_what_is_carried_is_cut_at_the_edge_and_dropped_outside() -> None:
    track = opened("a", max_age=10.0)
    for n in range(10):
        ids(track, frame(n, (n * 12, 40, n * 12 + 40, 80)))  # 300 pixels per second to the right
    shown = frame(11, inferred=False)
    assert ids(track, shown) == [1]
    assert shown.objects[0].detected_box is None
    assert shown.objects[0].box[2] == 160
    assert ids(track, frame(30, inferred=False)) == []


def test_parts_of_objects_are_passed_on_untracked() -> None:
    track = opened("a")
    shown = frame(0, (0, 0, 40, 40), (10, 10, 20, 20))
    car, plate = shown.objects
    plate.parent = car
    assert ids(track, shown) == [1, None]
    assert shown.objects == [car, plate]


def test_a_wrong_setting_is_an_error_at_open() -> None:
    with pytest.raises(ConfigError, match="tracker 'nosuch' is not known"):
        opened(tracker="nosuch")
    with pytest.raises(ConfigError, match="colour"):
        opened(options={"colour": 1})
