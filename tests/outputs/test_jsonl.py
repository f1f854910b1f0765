"""JSON lines: the bytes, the schema, files of lines."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from millrace.core.errors import MillraceError, OutputError
from millrace.media import Event, Frame, Image, Object, box
from millrace.outputs import jsonl
from millrace.outputs.jsonl import BUFFER, LineFile, flush_all, frame_line, schema, stream_path

PICTURE = Image("GRAY8", [np.zeros((36, 64), np.uint8)], 64, 36)


def frame(*objects: Object, events: list[Event] | None = None, stream: str = "gate") -> Frame:
    return Frame(stream, 7, 280_000_000, PICTURE, objects=list(objects), events=events or [])


def test_the_bytes_of_a_line() -> None:
    car = Object(box((1.234, 2.346, 30.1, 20)), 2, "car", 0.87654, 5)
    dog = Object(box((0, 0, 1, 1)), 0, 'a "dog"\n', 1.0)
    assert frame_line(frame(car, dog)) == (
        '{"stream":"gate","frame":7,"pts":280000000,"width":64,"height":36,"objects":['
        '{"box":[1.23,2.35,30.10,20.00],"label":"car","class_id":2,"confidence":0.8765,"id":5},'
        '{"box":[0.00,0.00,1.00,1.00],"label":"a \\"dog\\"\\n","class_id":0,"confidence":1.0000,"id":null}]}\n'
    )


def test_events_are_there_only_when_something_happened() -> None:
    event = Event("line", "gate", 280_000_000, "door", 5, "car", "in", {"point": (1, 2)})
    (found,) = json.loads(frame_line(frame(events=[event])))["events"]
    assert found == {
        "kind": "line", "name": "door", "direction": "in", "id": 5, "label": "car", "facts": {"point": [1, 2]},
    }  # fmt: skip
    lasting = Event("crowd", "gate", 0, "dock", extras={"why": {"count": 3}}, number=7, phase="new")
    (found,) = json.loads(frame_line(frame(events=[lasting])))["events"]
    assert (found["event"], found["phase"], found["why"]) == (7, "new", {"count": 3})
    assert "events" not in json.loads(frame_line(frame()))


def test_lines_are_as_the_schema_says() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    check = jsonschema.Draft202012Validator(schema())
    car, event = Object(box((1, 2, 3, 4)), 2, "车", 0.5, 5), Event("zone", "ß", 0, "dock", None, None, None)
    for shown in (frame(), frame(car, Object(box((1, 2, 3, 4)), 0, "", 1.0)), frame(car, events=[event], stream="ß/1")):
        check.validate(json.loads(frame_line(shown)))


@pytest.mark.parametrize(
    "change",
    [
        {"pts": 1.5},
        {"frame": -1},
        {"events": []},
        {"more": 1},
        {"objects": [{"box": [1, 2, 3], "label": "a", "class_id": 0, "confidence": 0.5, "id": None}]},
        {"objects": [{"box": [1, 2, 3, 4], "label": "a", "class_id": 0, "confidence": 1.5, "id": None}]},
        {"objects": [{"box": [1, 2, 3, 4], "label": "a", "class_id": 0, "confidence": 0.5, "id": 0}]},
        {"objects": [{"box": [1, 2, 3, 4], "label": "a", "class_id": 0, "confidence": 0.5}]},
    ],
)
def test_the_schema_refuses_what_is_wrong(change: dict[str, Any]) -> None:
    line = {**json.loads(frame_line(frame())), **change}
    assert not jsonschema.Draft202012Validator(schema()).is_valid(line)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="frame 7 has a car that is not finite"):
        frame_line(frame(Object(box((0, 0, bad, 1)), 0, "car", 0.5)))


def test_files_are_written_in_pieces_or_line_by_line(tmp_path: Path) -> None:
    for eager in (False, True):
        path = tmp_path / f"{eager}.jsonl"
        file = LineFile(str(path), eager=eager)
        file.write("ä\n")
        assert path.read_text(encoding="utf-8") == ("ä\n" if eager else "")
        file.write("x" * BUFFER)
        assert path.stat().st_size == BUFFER + 3
        file.close()
        file.close()
    again = LineFile(str(path), append=True)
    again.write("z\n")
    again.close()
    assert path.stat().st_size == BUFFER + 5


def test_a_full_disk_is_one_clear_error() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    file = LineFile("/dev/full")
    file.write("short\n")
    with pytest.raises(OutputError, match="cannot write /dev/full: No space left on device") as caught:
        file.write("x" * BUFFER)
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, MillraceError)
    assert caught.value.errno == 28
    file.write("x" * BUFFER)
    file.close()


def test_a_full_disk_is_noticed_at_the_end_too() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    file = LineFile("/dev/full")
    file.write("short\n")
    with pytest.raises(OutputError, match="No space left"):
        file.close()
    file.close()


@pytest.fixture(params=["C", "Python"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "Python":
        monkeypatch.setattr(jsonl, "_write", None)
    elif jsonl._write is None:
        pytest.skip("the C part is not built")
    return str(request.param)


def test_several_files_are_written_together(by: str, tmp_path: Path) -> None:
    files = [LineFile(str(tmp_path / str(n)), eager=n != 2) for n in range(20)]
    for n, file in enumerate(files):
        assert file.keep(f"{n}\n") == (n != 2)
        file.keep("x" * n * 10_000)
        assert (tmp_path / str(n)).read_text() == "", "nothing before its time"
    flush_all(files)
    flush_all(files)
    flush_all([])
    for n, file in enumerate(files):
        assert (tmp_path / str(n)).read_text() == f"{n}\n" + "x" * n * 10_000
        file.close()


def test_of_several_files_those_that_fail_are_told_one_by_one(by: str, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    for n in range(2):
        (tmp_path / f"full{n}").symlink_to("/dev/full")
    files = [LineFile(str(tmp_path / name), append=True, eager=True) for name in ("a", "full0", "b", "full1", "c")]
    told = []
    for n in range(4):
        for file in files:
            file.keep(f"{n}\n")
        try:
            flush_all([file for file in files if not file.failed])
        except OutputError as error:
            told.append(str(error))
    assert [text.split(":")[0] for text in told] == [f"cannot write {tmp_path / f'full{n}'}" for n in range(2)]
    assert all("No space left on device" in text for text in told)
    assert [file.failed for file in files] == [False, True, False, True, False]
    for file in files:
        file.close()
        assert file.failed or Path(file.path).read_text() == "0\n1\n2\n3\n"


def test_what_could_not_be_written_of_several_files_is_tried_again(tmp_path: Path) -> None:
    if jsonl._write is None or not Path("/dev/full").exists():
        pytest.skip("needs the C part and /dev/full")
    files = [LineFile("/dev/full"), LineFile("/dev/full"), LineFile(str(tmp_path / "a"))]
    for file in files:
        file.keep("0\n")
    with pytest.raises(OutputError):
        flush_all(files)
    with pytest.raises(OutputError, match="No space left"):
        files[1].close()
    for file in files:
        file.close()
    assert (tmp_path / "a").read_text() == "0\n"


def test_a_reader_that_is_slow_gets_all(tmp_path: Path) -> None:
    """More than a pipe holds: it is written in several calls, while another thread needs Python's lock to read."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got = bytearray()

    def read() -> None:
        with open(pipe, "rb") as stream:
            while part := stream.read(5_000):
                got.extend(part)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    files = [LineFile(str(pipe), eager=True), LineFile(str(tmp_path / "a"), eager=True)]
    text = "".join(f"{n}\n" for n in range(100_000))
    for file in files:
        file.keep(text)
    flush_all(files)
    for file in files:
        file.close()
    reader.join(20)
    assert not reader.is_alive() and got.decode() == text == (tmp_path / "a").read_text()


@pytest.mark.parametrize("given", [[("a", b"")], [(1, "text")], [1], 1])
def test_pieces_that_are_none(given: Any) -> None:
    if jsonl._write is None:
        pytest.skip("the C part is not built")
    with pytest.raises(TypeError):
        jsonl._write.write_all(given)


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*nowhere/x\.jsonl: No such file"):
        LineFile(str(tmp_path / "nowhere" / "x.jsonl"))


def test_stdout(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    file = LineFile("-")
    file.write("one\n")
    assert capsysbinary.readouterr().out == b"one\n"
    file.close()
    LineFile("-").write("still open\n")


@pytest.mark.parametrize(
    ("path", "several", "expected"),
    [
        ("out.jsonl", False, "out.jsonl"),
        ("out.jsonl", True, "out-gate_1.jsonl"),
        ("a.b/out", True, "a.b/out-gate_1"),
        ("{stream}.jsonl", False, "gate_1.jsonl"),
        ("x/{stream}/out.jsonl", True, "x/gate_1/out.jsonl"),
    ],
)
def test_every_stream_has_its_file(path: str, several: bool, expected: str) -> None:
    assert stream_path(path, "gate/1", several) == expected
