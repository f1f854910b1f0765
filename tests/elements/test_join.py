"""join: alone, in pipelines from YAML, with models in the branches, and on live streams."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from pictures import Mark, Pictures, frame

import millrace
from millrace.core import ConfigError, Context, Element, Parts, StreamStart, setting, state
from millrace.elements.join import Join
from millrace.flow import Flow
from millrace.media import Frame, Object, box
from millrace.testing.models import make_shade_model
from millrace.testing.run import run
from millrace.testing.scene import Scene, write_clip

CARD = "parser: classifier\ninput: {scale: 0.00392156862745098, mean: 0, std: 1}\nlabels: [dark, middle, light]\n"


def marked(label: str) -> Frame:
    one = frame("a", 2)
    Mark(label=label).process_frame(one)
    return one


def test_what_the_branches_found_is_in_one_frame() -> None:
    [one] = Join().process(Parts("a", (marked("car"), None, marked("van"))))
    assert [found.label for found in one.objects] == ["car", "van"]
    assert [event.label for event in one.events] == ["car", "van"] and "partial" not in one.extras


def test_a_frame_without_a_late_branch_says_so() -> None:
    [one] = Join(max_wait=0.1).process(Parts("a", (None, marked("van")), partial=True))
    assert [found.label for found in one.objects] == ["van"] and one.extras["partial"] is True


def flow(source: Any) -> Flow:
    return millrace.open(source, name="a")


def test_branches_of_a_flow() -> None:
    joined = flow(Pictures(stream="a", count=40)).tee(
        x=lambda line: line.add(Mark(label="x")), y=lambda line: line, z=lambda line: line.add(Mark(label="z"))
    )
    frames = run(joined.join())
    assert [each.index for each in frames] == list(range(40))
    assert all([found.label for found in each.objects] == ["x", "z"] for each in frames)


def test_a_branch_may_drop_frames() -> None:
    joined = flow(Pictures(stream="a", count=20)).tee(
        x=lambda line: line.map(lambda one: one.index % 2 == 0).add(Mark(label="x")),
        y=lambda line: line.map(lambda one: one.index % 3 == 0).add(Mark(label="y")),
    )
    frames = run(joined.join())
    assert [each.index for each in frames] == [n for n in range(20) if n % 2 == 0 or n % 3 == 0]
    assert [found.label for found in frames[0].objects] == ["x", "y"]
    assert [found.label for found in frames[1].objects] == ["x"]


class Live(Pictures):
    """The same, as a camera gives them."""

    def read(self) -> Iterator[Any]:
        for item in super().read():
            yield StreamStart(item.stream, item.caps, live=True) if isinstance(item, StreamStart) else item
            time.sleep(0.002)


class Late(Element):
    """Holds up its fourth frame until it is told to go on, or for `seconds`."""

    threaded = True
    seconds: float = setting(default=30.0)
    go_on: Any = state(threading.Event)
    seen: list[int] = state(list)

    def process(self, item: Any) -> Iterator[Any]:
        self.seen.append(item.index)
        if len(self.seen) == 4:
            self.go_on.wait(self.seconds)
        yield item


def test_a_live_stream_goes_on_without_a_late_branch() -> None:
    late = Late()
    source = Live(stream="a", count=None)
    branches = flow(source).tee(x=lambda line: line.add(Mark(label="x")), y=lambda line: line.add(late))
    frames: list[Frame] = []
    for one in branches.join(max_wait=0.3):
        frames.append(one)
        if one.extras.get("partial") and len(late.seen) > 3 and one.index >= late.seen[3]:  # which itself may be lost
            late.go_on.set()
        if late.go_on.is_set() and len(frames) >= 8:
            break
    indices = [each.index for each in frames]
    assert sorted(set(indices)) == indices
    assert all([found.label for found in each.objects] == ["x"] for each in frames)


def test_a_file_waits_for_a_late_branch() -> None:
    branches = flow(Pictures(stream="a", count=6)).tee(
        x=lambda line: line.add(Mark(label="x")), y=lambda line: line.add(Late(seconds=0.2))
    )
    frames = run(branches.join(max_wait=0.02))
    assert [each.index for each in frames] == list(range(6))
    assert not any(each.extras.get("partial") for each in frames)


def test_a_join_without_branches_is_refused() -> None:
    with pytest.raises(ConfigError, match="a join needs at least two inputs, got 1"):
        run(flow(Pictures(stream="a")).join())


PAGE = """
streams:
  gate: {{uri: {folder}/gate.mp4}}
  yard: {{uri: {folder}/yard.mp4, loop: 1}}
pipeline:
  - batch: {{size: 8, timeout: 40ms}}
  - infer: {{name: people, model: street, every: 2}}
  - track: {{tracker: default}}
  {cascade}
  - analyze:
      lines: {{door: {{points: [[0.1, 0.8], [0.9, 0.8]], streams: [gate]}}}}
      zones: {{dock: {{points: [[100, 100], [300, 100], [300, 200], [100, 200]], streams: [yard]}}}}
  - tee:
      picture: [{{tile: {{columns: 2}}}}, draw, {{encode: {{codec: h264}}}}, {{file: {{path: {out}/wall.mp4}}}}]
      events: [{{json: {{path: {out}/events.jsonl}}}}]
"""
PLATES = "{{infer: {{model: {folder}/plates.onnx, on: {{stage: people, classes: [car]}}}}}}"
COLOURS = "{{infer: {{model: {folder}/colours.onnx, on: {{stage: people, classes: [car, van]}}}}}}"
BRANCHES = f"- tee: {{{{plates: [{PLATES}], colours: [{COLOURS}]}}}}\n  - join: {{{{max_wait: 100ms}}}}"
ROW = f"- {PLATES}\n  - {COLOURS}"
FRAMES = 24


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("join")
    for seed, name in ((5, "gate"), (6, "yard")):
        write_clip(folder / f"{name}.mp4", Scene(seed=seed, width=384, height=216, frame_count=FRAMES))
    for name in ("plates", "colours"):
        make_shade_model(folder / f"{name}.onnx", {name: (0.1, 0.5, 0.9)})
        (folder / f"{name}.yaml").write_text(CARD)
    return folder


def lines(cascade: str, media: Path, out: Path) -> list[dict[str, Any]]:
    out.mkdir()
    run(PAGE.format(cascade=cascade.format(folder=media), folder=media, out=out))
    written = [out / f"events-{name}.jsonl" for name in ("gate", "yard")]
    return [json.loads(line) for each in written for line in each.read_text().splitlines()]


def test_the_example_of_the_architecture_page_runs(media: Path, tmp_path: Path) -> None:
    found = lines(BRANCHES, media, tmp_path / "branches")
    for name in ("gate", "yard"):
        assert [line["frame"] for line in found if line["stream"] == name and not line.get("end")] == list(
            range(FRAMES)
        )
    cars = [thing for line in found for thing in line["objects"] if thing["label"] == "car"]
    assert cars, "the scene has cars"
    heads = [sorted(label["name"] for label in car.get("labels", ())) for car in cars]
    assert heads.count(["colours", "plates"]) > len(cars) / 2 and all(len(set(head)) == len(head) for head in heads)
    with av.open(str(tmp_path / "branches/wall.mp4")) as wall:
        assert sum(1 for _ in wall.decode(video=0)) >= FRAMES
    assert lines(BRANCHES, media, tmp_path / "again") == found
    assert lines(ROW, media, tmp_path / "row") == found, "one model after the other says the same"


def found_by(stage: str, number: int) -> Frame:
    one = frame("b", 2)
    one.extras["models"] = {number: stage}
    one.objects.append(Object(box([1, 2, 3, 4]), 0, stage, 0.5, stage=stage))
    return one


def test_what_a_model_found_is_kept_of_some_streams_only() -> None:
    join = Join(keep={"cars": ["a"], 2: [1], "people": ["b"]})
    join.open(Context("join"))
    join.expect(["a", "b"])
    [one] = join.process(Parts("b", (found_by("cars", 1), found_by("plates", 2), found_by("people", 3))))
    assert [found.label for found in one.objects] == ["plates", "people"]
    with pytest.raises(ConfigError, match=r"keep.cars='a'.*it is a list of streams"):
        Join(keep={"cars": "a"}).validate()


METAMUX = """[property]
enable=1
active-pad=sink_1
pts-tolerance=60000
[user-configs]
[group-0]
src-ids-model-1=0;1
src-ids-model-2=0
"""


def test_a_file_of_metamux(tmp_path: Path) -> None:
    path = tmp_path / "mux.txt"
    path.write_text(METAMUX)
    join = Join(config=str(path))
    join.open(Context("join"))
    join.expect(["a", "b"])
    second = found_by("plates", 2)
    [one] = join.process(Parts("b", (found_by("cars", 1), second)))
    assert one is second and [found.label for found in one.objects] == ["cars"]
    path.write_text(METAMUX.replace("enable=1", "enable=0"))
    off = Join(config=str(path))
    off.validate()
    assert off.keep == {} and off.first == 1
    path.write_text(METAMUX.replace("sink_1", "first"))
    with pytest.raises(ConfigError, match=r"mux.txt:3: \[property\] active-pad: 'first' is not sink_N"):
        Join(config=str(path)).validate()
