"""The json element: files per stream, frames passed on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import millrace
from millrace.core.caps import Caps
from millrace.core.element import Context, Source
from millrace.core.errors import OutputError, SettingError
from millrace.core.item import StreamStart
from millrace.elements.json import Json
from millrace.media import Frame, Image, Object, box
from millrace.outputs.jsonl import schema

PICTURE = Image("GRAY8", [np.zeros((36, 64), np.uint8)], 64, 36)
CAPS = Caps("frames", width=64, height=36)


def opened(path: Path | str, *streams: str, live: bool = False) -> Json:
    element = Json(path=str(path))
    element.open(Context("json", lambda: None, lambda message, stream: None))
    if streams:
        element.expect(streams)
    for stream in streams:
        element.start_stream(StreamStart(stream, CAPS, live=live))
    return element


def feed(element: Json, stream: str, *numbers: int) -> None:
    for n in numbers:
        objects = [Object(box((n, 1, 5, 6)), 0, "car", 0.5, 1)]
        element.process_frame(Frame(stream, n, n * 40, PICTURE, objects=objects))
    element.finish_item()


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["frame"] for line in path.read_text().splitlines()]


def test_one_stream_one_file(tmp_path: Path) -> None:
    element = opened(tmp_path / "out.jsonl", "gate")
    feed(element, "gate", 0, 1, 2)
    assert list(element.end_stream("gate")) == []
    assert numbers(tmp_path / "out.jsonl") == [0, 1, 2]


def test_several_streams_have_files_of_their_own_with_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    for folder, turns in ((a, "xyxy"), (b, "yyxx")):
        folder.mkdir()
        element, count = opened(folder / "out.jsonl", "x", "y"), {"x": 0, "y": 0}
        for stream in turns:
            feed(element, stream, count[stream])
            count[stream] += 1
        element.close()
    assert sorted(path.name for path in a.iterdir()) == ["out-x.jsonl", "out-y.jsonl"]
    for path in a.iterdir():
        assert numbers(path) == [0, 1]
        assert path.read_bytes() == (b / path.name).read_bytes()


def test_the_name_does_not_depend_on_who_ended_first(tmp_path: Path) -> None:
    element = opened(tmp_path / "out.jsonl", "x")
    element.expect(["x", "y"])
    list(element.end_stream("x"))
    element.expect(["y"])
    element.start_stream(StreamStart("y", CAPS))
    element.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out-y.jsonl", "out.jsonl"]


def test_a_stream_that_was_not_announced_does_not_overwrite_another(tmp_path: Path) -> None:
    element = opened(tmp_path / "out.jsonl", "x")
    feed(element, "x", 0)
    list(element.end_stream("x"))
    element.start_stream(StreamStart("y", CAPS))
    feed(element, "y", 5)
    element.close()
    assert numbers(tmp_path / "out.jsonl") == [0]
    assert numbers(tmp_path / "out-y.jsonl") == [5]


def test_a_stream_that_comes_back_goes_on_in_its_file(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("of an earlier run\n")
    element = opened(tmp_path / "out.jsonl", "x")
    feed(element, "x", 0)
    element.start_stream(StreamStart("x", CAPS, epoch=1, discontinuity=True))
    feed(element, "x", 1)
    list(element.end_stream("x"))
    element.start_stream(StreamStart("x", CAPS))
    feed(element, "x", 0)
    element.close()
    element.close()
    assert numbers(tmp_path / "out.jsonl") == [0, 1, 0]


def test_the_stream_in_the_path(tmp_path: Path) -> None:
    opened(tmp_path / "{stream}.jsonl", "x").close()
    assert (tmp_path / "x.jsonl").read_text() == ""


def test_live_streams_are_written_at_once(tmp_path: Path) -> None:
    element = opened(tmp_path / "out.jsonl", "x", live=True)
    feed(element, "x", 0)
    assert numbers(tmp_path / "out.jsonl") == [0]
    element.close()


class Walk(Source):
    """Two live frames."""

    name: str

    def read(self) -> Iterator[Any]:
        yield StreamStart(self.name, CAPS, live=True)
        for n in range(2):
            yield Frame(self.name, n, n * 40_000_000, PICTURE)


def test_a_batch_of_live_streams_is_written_before_it_goes_on(tmp_path: Path) -> None:
    written: list[tuple[str, int, list[int]]] = []

    def look(frame: Frame) -> None:
        written.append((frame.stream, frame.index, numbers(tmp_path / f"{frame.stream}.jsonl")))

    flow = millrace.open(Walk(name="a"), Walk(name="b"), name=["a", "b"]).batch(size=4, timeout=5.0)
    flow.json(path=str(tmp_path / "{stream}.jsonl")).each(look).run()
    assert sorted(written) == [(stream, n, [0, 1]) for stream in "ab" for n in range(2)]


def test_stdout_takes_all_streams(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    element = opened("-", "x", "y")
    feed(element, "y", 0)
    feed(element, "x", 0)
    element.close()
    lines = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert [line["stream"] for line in lines] == ["y", "x"]


def test_a_missing_folder_is_an_error_before_the_first_stream(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"json: path=.*the folder .*nowhere does not exist"):
        opened(tmp_path / "nowhere" / "out.jsonl")


def test_a_full_disk_names_the_file() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    element = opened("/dev/full", "x", live=True)
    with pytest.raises(OutputError, match="cannot write /dev/full: No space left on device"):
        feed(element, "x", 0)
    feed(element, "x", 1)  # one who skips the error goes on without the file
    element.close()


class Scene(Source):
    """Eight things that walk down over a line, in frames that come at any pace."""

    name: str
    seed: int = 0
    pause: float = 0.0

    def read(self) -> Iterator[Any]:
        random = np.random.default_rng(self.seed)
        yield StreamStart(self.name, CAPS)
        for n in range(40):
            time.sleep(self.pause)
            objects = []
            for i in range(8):
                x, y = 80 * i + random.normal(), 8 * n + random.normal()
                objects.append(Object(box((x, y, x + 40, y + 60)), 0, "car", float(random.uniform(0.4, 1))))
            yield Frame(self.name, n, n * 40_000_000, PICTURE, objects=objects, inferred=["det"])


def test_two_runs_of_four_streams_give_the_same_bytes(tmp_path: Path) -> None:
    runs: list[dict[str, bytes]] = []
    for pauses in ((0, 0.002, 0, 0.001), (0.001, 0, 0.002, 0)):
        folder = tmp_path / str(len(runs))
        folder.mkdir()
        scenes = [Scene(name=name, seed=n, pause=pauses[n]) for n, name in enumerate("abcd")]
        flow = millrace.open(*scenes, name=list("abcd")).batch(size=4).record(path=str(folder / "run.jsonl"))
        flow = flow.track().analyze(lines={"middle": {"points": [[0, 180], [640, 180]]}})
        summary = flow.json(path=str(folder / "out.jsonl")).run()
        assert all(stream.events == {("line", "middle", "in"): 8} for stream in summary.streams.values())
        runs.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert sorted(runs[0]) == ["out-a.jsonl", "out-b.jsonl", "out-c.jsonl", "out-d.jsonl", "run.jsonl"]
    assert runs[0] == runs[1]
    assert all(text.count(b"\n") == 40 for name, text in runs[0].items() if name != "run.jsonl")


class Parked(Source):
    """One that stays where it is, to the end."""

    def read(self) -> Iterator[Any]:
        yield StreamStart("gate", CAPS)
        for n in range(5):
            car = Object(box((20, 9, 40, 30)), 0, "car", 0.9, 1, box((20, 9, 40, 30)))
            yield Frame("gate", n, n * 40_000_000, PICTURE, objects=[car])


def test_what_ends_with_the_stream_is_the_last_line(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    millrace.open(Parked(), name="gate").analyze(zones={"dock": {}}).batch(size=2).json(path=str(path)).run()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3, 4, 4]
    assert [line.get("end", False) for line in lines] == [False] * 5 + [True]
    (event,) = lines[-1]["events"]
    assert (event["phase"], event["kind"], event["event"]) == ("end", "zone", lines[0]["events"][0]["event"])
    assert lines[-1]["objects"] == [] and lines[-1]["pts"] == 160_000_000
    jsonschema.validate(lines[-1], schema())
