"""Recorded runs: what goes in comes out, bit for bit."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace import __version__
from millrace.core.caps import Caps
from millrace.core.errors import ConfigError
from millrace.core.item import StreamStart
from millrace.media import Frame, Image, Label, Object, Reading, box
from millrace.outputs.record import (
    RecordedFrame,
    RecordedStart,
    frame_line,
    header_line,
    read_record,
    start_line,
)

PICTURE = Image("GRAY8", [np.zeros((36, 64), np.uint8)], 64, 36)

START = start_line(StreamStart("a", Caps("frames")))


def written(folder: Path, *lines: str) -> str:
    path = folder / "run.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    return str(path)


def test_a_run_reads_back(tmp_path: Path) -> None:
    start = StreamStart("gate", Caps("frames", width=64, height=36, fps=Fraction(30000, 1001), memory="cpu"), epoch=1)
    found = Object(box((0.1, 1 / 3, 7e-8, 1e30)), 3, "ä", float(np.float32(0.3)), stage="det", angle=0.25)
    found.embedding = np.random.default_rng(1).normal(size=32).astype(np.float32)
    found.keypoints = np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32)
    part = Object(box((1, 2, 3, 4)), 0, "plate", 0.5, parent=found)
    frame = Frame("gate", 3, 120, PICTURE, 1, 40, wall=5, objects=[part, found], inferred=["det"])
    facts = {"model": {"file": "det.onnx", "sha256": "ab"}, "settings": {"path": Path("x")}, "more": 1}
    path = written(tmp_path, header_line(facts), start_line(start), frame_line(frame))

    run = read_record(path)
    assert run.header == {
        "millrace": __version__,
        "kind": "header",
        "settings": {"path": "x"},
        "model": {"file": "det.onnx", "sha256": "ab"},
        "engine": None,
        "sources": None,
        "streams": None,
        "line": None,
        "more": 1,
    }
    begin, shown = run
    caps = {"width": 64, "height": 36, "fps": Fraction(30000, 1001)}
    assert begin == RecordedStart("gate", 1, False, False, caps)
    assert isinstance(shown, RecordedFrame)
    facts_of = (
        shown.stream,
        shown.index,
        shown.pts,
        shown.epoch,
        shown.width,
        shown.height,
        shown.duration,
        shown.wall,
    )
    assert facts_of == ("gate", 3, 120, 1, 64, 36, 40, 5)
    assert shown.inferred == ["det"]
    back_part, back = shown.objects
    assert back_part.parent is back
    assert (back.class_id, back.label, back.confidence, back.stage, back.angle) == (
        3,
        "ä",
        found.confidence,
        "det",
        0.25,
    )
    for ours, theirs in ((back.box, found.box), (back.embedding, found.embedding), (back.keypoints, found.keypoints)):
        assert ours is not None
        assert theirs is not None
        assert ours.dtype == np.float32
        assert ours.shape == theirs.shape
        assert ours.tobytes() == theirs.tobytes()
    assert back.detected_box is back.box
    assert [frame.index for frame in run.frames()] == [3]
    assert [frame.index for frame in run.frames()] == [3]  # again


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=4, max_size=4))
def test_every_float32_survives(values: list[float]) -> None:
    frame = Frame("a", 0, 0, PICTURE, objects=[Object(box(values), 0, "x", 0.5)])
    back = np.array(json.loads(frame_line(frame))["objects"][0]["box"], dtype=np.float32)
    assert back.tobytes() == np.array(values, dtype=np.float32).tobytes()


def test_what_a_tracker_made_of_it_stands_beside_it(tmp_path: Path) -> None:
    detected = Object(box((1, 2, 3, 4)), 0, "car", 0.5, id=1, detected_box=box((5, 6, 7, 8)), velocity=(1.5, 0.1))
    carried = Object(box((1, 2, 3, 4)), 0, "car", 0.5, id=2, track_confidence=0.25, age=1.5)
    frame = Frame("a", 0, 0, PICTURE, objects=[carried, detected])
    (found,) = read_record(written(tmp_path, header_line({}), START, frame_line(frame))).frames()
    first, second = found.objects
    assert (first.id, first.detected_box, first.track_confidence, first.age) == (2, None, 0.25, 1.5)
    assert (second.id, second.box.tolist(), second.velocity) == (1, [1, 2, 3, 4], (1.5, 0.1))
    (alone,) = found.detections()  # for a tracker that begins anew
    assert (alone.id, alone.box.tolist(), alone.velocity, alone.age) == (None, [5, 6, 7, 8], None, None)


def test_what_further_models_said_reads_back(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    found = Object(box((1, 2, 30, 40)), 0, "car", 0.5, mask=random.random((9, 7)) > 0.5, text="AB 12", depth=3.25)
    found.labels = [Label("colour", "red", float(np.float32(0.7)), 2), Label("kind", "van", 0.5)]
    whole = Reading([Label("weather", "rain", 0.9, 1)], "exit", 0.5, stage="sky", area=box((0, 0, 8, 8)))
    whole.embedding = random.normal(size=8).astype(np.float32)
    ground = Reading(class_map=random.integers(-1, 3, (5, 6), np.int32), names={0: "road", 2: "kerb"}, stage="ground")
    far = Reading(depth=random.random((4, 3)).astype(np.float32), stage="far")
    frame = Frame("a", 0, 0, PICTURE, objects=[found], readings=[whole, ground, far])
    (back,) = read_record(written(tmp_path, header_line({}), START, frame_line(frame))).frames()
    (shown,) = back.objects
    assert shown.labels == found.labels
    assert (shown.text, shown.depth) == ("AB 12", 3.25)
    assert shown.mask is not None
    assert shown.mask.dtype == bool
    assert found.mask is not None
    assert np.array_equal(shown.mask, found.mask)
    assert [each.stage for each in back.readings] == ["sky", "ground", "far"]
    assert back.readings[0].labels == whole.labels
    assert (back.readings[0].text, back.readings[0].text_confidence) == ("exit", 0.5)
    assert back.readings[1].shares() == ground.shares()
    for ours, theirs in (
        (back.readings[0].embedding, whole.embedding), (back.readings[0].area, whole.area),
        (back.readings[1].class_map, ground.class_map), (back.readings[2].depth, far.depth),
    ):  # fmt: skip
        assert ours is not None
        assert theirs is not None
        assert (ours.dtype, ours.tobytes()) == (theirs.dtype, theirs.tobytes())


def test_a_damaged_map_names_the_line(tmp_path: Path) -> None:
    reading = Reading(depth=np.zeros((4, 3), np.float32), stage="far")
    line = frame_line(Frame("a", 0, 0, PICTURE, readings=[reading])).replace('"data":"', '"data":"AA')
    with pytest.raises(ConfigError, match=":3: not a line of a recorded run"):
        list(read_record(written(tmp_path, header_line({}), START, line)))


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="frame 4 holds a number that is not finite"):
        frame_line(Frame("a", 4, 0, PICTURE, objects=[Object(box((0, 0, np.nan, 1)), 0, "car", 0.5)]))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "its first line is no header"),
        (['{"kind":"frame"}\n'], "its first line is no header"),
        (["[]\n"], ":1: not a line of a recorded run"),
        (["\x00\n"], ":1: broken off or damaged"),
        ([header_line({}), '{"kind":"nonsense"}\n'], ":2: kind 'nonsense' is not known"),
        ([header_line({}), '{"kind":"frame","stream":"a"}\n'], ":2: not a line of a recorded run"),
        ([header_line({}), START, '{"kind":"fra'], ":3: broken off or damaged"),
    ],
)
def test_a_damaged_file_names_the_line(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        list(read_record(written(tmp_path, *lines)))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the recorded run .*No such file"):
        read_record(str(tmp_path / "none.jsonl"))


def test_a_run_that_was_broken_off_gives_what_there_is(tmp_path: Path) -> None:
    run = iter(read_record(written(tmp_path, header_line({}), START, '{"kind":"fra')))
    assert next(run) == RecordedStart("a", 0, False, False, {})
    with pytest.raises(ConfigError, match="broken off"):
        next(run)
