"""The record element: a header, then what the detector said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from millrace.core.caps import Caps
from millrace.core.element import Context
from millrace.core.errors import SettingError
from millrace.core.item import StreamStart
from millrace.elements.record import Record
from millrace.media import Frame, Image, Object, box
from millrace.outputs.record import RecordedFrame, RecordedStart, read_record

PICTURE = Image("GRAY8", [np.zeros((36, 64), np.uint8)], 64, 36)


def opened(path: Path) -> Record:
    element = Record(path=str(path), header={"engine": {"name": "onnx"}})
    element.open(Context("record", lambda: None, lambda message, stream: None))
    return element


def shown(stream: str, n: int) -> Frame:
    return Frame(stream, n, n * 40, PICTURE, objects=[Object(box((0.1, 0.2, 0.3, n)), 0, "car", 0.5)], inferred=["det"])


def test_all_streams_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    element = opened(path)
    for stream in "bca":  # streams open as their threads please: the order of the frames decides
        element.start_stream(StreamStart(stream, Caps("frames", width=64, height=36)))
    frames = [shown("a", 0), shown("b", 0), shown("a", 1)]
    for frame in frames:
        element.process_frame(frame)
    for stream in "abc":
        assert list(element.end_stream(stream)) == []
    element.close()
    element.close()
    run = read_record(str(path))
    assert run.header["engine"] == {"name": "onnx"}
    kinds = [(type(entry), entry.stream) for entry in run]
    start, one = RecordedStart, RecordedFrame
    assert kinds == [(start, "a"), (one, "a"), (start, "b"), (one, "b"), (one, "a"), (start, "c")]
    for ours, theirs in zip(run.frames(), frames, strict=True):
        assert isinstance(ours, RecordedFrame)
        assert (ours.stream, ours.index, ours.pts, ours.inferred) == (theirs.stream, theirs.index, theirs.pts, ["det"])
        assert ours.objects[0].box.tobytes() == theirs.objects[0].box.tobytes()


def test_a_live_run_can_be_read_while_it_goes_on(tmp_path: Path) -> None:
    element = opened(tmp_path / "run.jsonl")
    element.start_stream(StreamStart("a", Caps("frames", width=64, height=36), live=True))
    element.process_frame(shown("a", 0))
    assert len(list(read_record(str(tmp_path / "run.jsonl")).frames())) == 1
    element.close()


def test_closing_what_never_opened(tmp_path: Path) -> None:
    Record(path=str(tmp_path / "x")).close()


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"record: path=.*nowhere does not exist"):
        opened(tmp_path / "nowhere" / "run.jsonl")
