"""The track element: a tracker per stream."""

from __future__ import annotations

import gc
import hashlib
import tracemalloc
from pathlib import Path

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


def test_streams_may_have_trackers_of_their_own() -> None:
    track = opened("a", "b", streams={"b": {"tracker": "iou", "max_age": 1.0}}, min_hits=1)
    assert [track.trackers[stream].rules.name for stream in "ab"] == ["default", "iou"]
    with pytest.raises(ConfigError, match="max_agge"):
        opened(streams={"b": {"max_agge": 1}})


@pytest.mark.parametrize(
    ("mode", "after_jump", "after_end"), [("never", 1, 2), ("reset", 1, 2), ("end", 1, 1), ("both", 1, 1)]
)
def test_when_identities_count_anew(mode: str, after_jump: int, after_end: int) -> None:
    track = opened("a", min_hits=1, reset_ids=mode)
    assert ids(track, frame(0, (0, 0, 20, 20))) == [1]
    track.start_stream(StreamStart("a", CAPS, epoch=1, discontinuity=True))
    assert ids(track, frame(1, (0, 0, 20, 20))) == [after_jump]
    assert track.trackers["a"].ids == 1
    list(track.end_stream("a"))
    track.start_stream(StreamStart("a", CAPS))
    assert ids(track, frame(0, (0, 0, 20, 20))) == [after_end]


def test_reports_stand_in_extras() -> None:
    track = opened("a", min_hits=1, max_age=0.1, report=["terminated"], options={"coast": 0})
    ids(track, frame(0, (0, 0, 20, 20)))
    for n in range(1, 9):
        shown = frame(n)
        ids(track, shown)
        ended = shown.extras["tracks"].terminated
        if ended:
            assert ended[0].id == 1
            return
    pytest.fail("nothing ended")


def test_only_some_classes_are_tracked() -> None:
    track = opened("a", min_hits=1, classes=["bus"])
    shown = frame(0, (0, 0, 40, 40), (80, 10, 120, 60))
    shown.objects[1].label = "bus"
    assert ids(track, shown) == [None, 1]


NVSORT = """%YAML:1.0
BaseConfig:
  minDetectorConfidence: 0.1345
TargetManagement:
  maxTargetsPerStream: 30
  probationAge: 2
  maxShadowTrackingAge: 26
  outputTerminatedTracks: 1
  surprise: 1
DataAssociator:
  associationMatcherType: 1
  minMatchingScore4Iou: 0.2
StateEstimator:
  stateEstimatorType: 2
"""


def test_deepstreams_file_is_a_tracker(tmp_path: Path) -> None:
    (tmp_path / "sort.yml").write_text(NVSORT)
    (tmp_path / "iou.yml").write_text("TargetManagement:\n  probationAge: 0\n")
    warned: list[str] = []
    track = Track(config=f"{tmp_path}/sort.yml;{tmp_path}/iou.yml", sub_batches="0;1,2")
    track.open(Context("track", lambda: None, lambda message, stream: warned.append(message)))
    track.expect(["x", "y", "z"])
    for stream in ("z", "x"):
        track.start_stream(StreamStart(stream, CAPS))
    assert "surprise: unknown" in warned[0]
    assert track.trackers["x"].rules.max_targets == 1000
    assert track.trackers["x"].rules.report == ["terminated"]
    assert len(track.trackers["x"].rules.stages()) == 3
    assert len(track.trackers["z"].rules.stages()) == 1
    assert ids(track, frame(0, (0, 0, 20, 20), stream="x")) == [1]
    with pytest.raises(ConfigError, match="2 files for 3 batches"):
        opened(config=f"{tmp_path}/sort.yml;{tmp_path}/iou.yml", sub_batches="1:1:1")
    with pytest.raises(ConfigError, match="2:2"):
        opened(config=f"{tmp_path}/sort.yml", sub_batches="one")
    with pytest.raises(ConfigError, match="cannot be read"):
        opened(config=f"{tmp_path}/nowhere.yml")


def test_a_thousand_streams_come_and_go() -> None:
    """Identities are never used twice in a stream, what a stream needs is freed, and a repetition gives the same."""

    def run() -> tuple[str, int]:
        track, out, most = opened(), hashlib.sha256(), 0
        random = np.random.default_rng(3)
        for first in range(0, 1000, 50):
            streams = [f"s{number}" for number in range(first, first + 50)]
            for stream in streams:
                track.start_stream(StreamStart(stream, CAPS))
            for n in range(6):
                for stream in streams:
                    boxes = [(x, y, x + 20, y + 20) for x, y in random.uniform(0, 100, (4, 2)).tolist()]
                    shown = frame(n, *boxes, stream=stream)
                    found = ids(track, shown)
                    known = [identity for identity in found if identity is not None]
                    assert len(set(known)) == len(known)
                    out.update(f"{stream} {found} {[o.box.tolist() for o in shown.objects]}".encode())
            most = max(most, len(track.trackers))
            for stream in streams:
                list(track.end_stream(stream))
        assert track.trackers == track.misses == track.counts == {}
        return out.hexdigest(), most

    tracemalloc.start()
    try:
        first, most = run()
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0]
        second, _ = run()
        gc.collect()
        again = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert first == second
    assert most == 50
    assert again - kept < 100_000  # a thousand streams' tables would be 40 MB
