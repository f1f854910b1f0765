"""A wall of files depends on the files only; one with live streams follows the clock; places, gaps and ends."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from millrace.core import (
    Caps,
    Context,
    Element,
    Graph,
    Pipeline,
    SettingError,
    Source,
    StreamEnd,
    StreamStart,
    setting,
    state,
)
from millrace.core.errors import ConfigError
from millrace.elements.batch import Batch
from millrace.elements.split import Split
from millrace.elements.tile import Tile
from millrace.imaging.wall import custom, fit, grid
from millrace.media import Event, Frame, Image, Object, box

BACKGROUND = 0x20


def picture(level: int, width: int = 64, height: int = 36) -> Image:
    half = ((height + 1) // 2, (width + 1) // 2)
    return Image(
        "I420",
        [np.full((height, width), level, np.uint8)] + [np.full(half, 128, np.uint8) for _ in "uv"],
        width,
        height,
    )


class Clip(Source):
    """Frames of one level each (base + index), at an uneven pace."""

    stream: str = setting(default="a")
    count: int = setting(default=10)
    fps: int = setting(default=25)
    base: int = setting(default=40)
    live: bool = setting(default=False)
    seed: int | None = setting(default=None)
    delay: float = setting(default=0.0)
    fails: bool = setting(default=False)
    stopped: Any = state(threading.Event)
    shown: Any = state(lambda: None)  # says whether the picture before may be followed by the next

    def read(self) -> Iterator[Any]:
        if self.fails:
            raise OSError("no such camera")
        rng = random.Random(self.seed)
        caps = Caps("frames", width=64, height=36, format="I420", fps=Fraction(self.fps), matrix="bt601")
        yield StreamStart(self.stream, caps, live=self.live)
        for index in range(self.count):
            pause = rng.uniform(0, 0.004) if self.seed is not None else self.delay
            if pause and self.stopped.wait(pause):
                return
            while self.shown and index and not self.shown(self.base + index - 1):
                if self.stopped.wait(0.002):
                    return
            yield Frame(self.stream, index, round(index * 1e9 / self.fps), picture(min(self.base + index, 235)))

    def interrupt(self) -> None:
        self.stopped.set()


class Sink(Element):
    """Keeps what the wall gives, and what it is told to expect."""

    threaded = True
    frames: list[Frame] = state(list)
    markers: list[Any] = state(list)
    announced: list[tuple[str, ...]] = state(list)
    slow: float = setting(default=0.0)

    def expect(self, streams: Any) -> None:
        self.announced.append(tuple(streams))

    def start_stream(self, start: StreamStart) -> StreamStart:
        self.markers.append(start)
        return start

    def process(self, frame: Frame) -> Iterator[Any]:
        time.sleep(self.slow)
        self.frames.append(frame)
        yield frame

    def end_stream(self, stream: str) -> Iterator[Any]:
        self.markers.append(StreamEnd(stream))
        yield from ()


def chain(*elements: Element) -> Pipeline:
    graph = Graph()
    names = [graph.add(f"{type(element).__name__.lower()}{n}", element) for n, element in enumerate(elements)]
    for one, other in pairwise(names):
        graph.link(one, other)
    return Pipeline(graph)


def run(elements: list[Element], *sources: Clip, timeout: float = 15) -> Sink:
    pipeline = chain(*elements, sink := Sink())
    entry = pipeline.graph.entries()[0]
    for source in sources:
        pipeline.add_source(source.stream, source, entry)
    with pipeline:
        assert pipeline.wait(timeout)
    return sink


def until(condition: Any, timeout: float = 15) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.002)


def wall(**settings: Any) -> Tile:
    return Tile(**{"width": 128, "height": 72, "labels": False, **settings})


def levels(frame: Frame) -> dict[str, int]:
    """The luma in the middle of each stream's tile."""
    out = {}
    for stream, (x1, y1, x2, y2) in frame.extras["tiles"].items():
        out[stream] = int(frame.image.planes[0][(y1 + y2) // 2, (x1 + x2) // 2])
    return out


def alone(tile: Tile, *streams: str, **caps: Any) -> Tile:
    """A tile outside of a pipeline, its streams started."""
    tile.open(Context("tile"))
    tile.expect(streams)
    for stream in streams:
        tile.start_stream(StreamStart(stream, Caps("frames", width=64, height=36, fps=Fraction(25), **caps)))
    return tile


def test_four_files_make_the_same_pictures_every_time():
    first: list[np.ndarray] = []
    for seed in range(3):
        sources = [Clip(stream=s, count=6 + n, base=40 * (n + 1), seed=seed + n) for n, s in enumerate("abcd")]
        sink = run([wall(labels=True)], *sources)
        pixels = [plane for frame in sink.frames for plane in frame.image.planes]
        assert len(sink.frames) == 9  # those of the longest
        first = first or pixels
        assert all(np.array_equal(one, other) for one, other in zip(first, pixels, strict=True))
    assert [levels(frame) for frame in sink.frames][5] == {"a": 45, "b": 85, "c": 125, "d": 165}
    assert [frame.index for frame in sink.frames] == list(range(9))
    assert [frame.pts for frame in sink.frames] == [round(i * 4e7) for i in range(9)]
    assert {frame.stream for frame in sink.frames} == {"tiles"}


def test_an_ended_file_keeps_its_last_picture():
    sink = run([wall()], Clip(stream="a", count=3), Clip(stream="b", count=8, base=100))
    assert [levels(frame)["a"] for frame in sink.frames] == [40, 41, 42, 42, 42, 42, 42, 42]
    assert [levels(frame)["b"] for frame in sink.frames] == [100 + i for i in range(8)]


def test_files_of_different_rates_keep_their_times():
    sink = run([wall()], Clip(stream="fast", fps=50, count=12), Clip(stream="slow", fps=25, count=6, base=100))
    assert [levels(frame)["fast"] for frame in sink.frames] == [40 + i for i in range(12)]
    assert [levels(frame)["slow"] for frame in sink.frames] == [100 + i // 2 for i in range(12)]


@pytest.mark.parametrize("split", [False, True])
def test_batches_of_different_rates_neither_hang_nor_lose(split):
    elements: list[Element] = [Batch(size=2), *([Split()] if split else []), wall()]
    sink = run(elements, Clip(stream="fast", fps=50, count=60), Clip(stream="slow", fps=25, count=30, base=100))
    assert [levels(frame)["fast"] for frame in sink.frames] == [40 + i for i in range(60)]
    assert [levels(frame)["slow"] for frame in sink.frames] == [100 + i // 2 for i in range(60)]


def test_a_stream_that_runs_far_ahead_in_batches_is_shown_early_and_memory_is_bounded():
    tile = alone(wall(), "fast", "slow")
    from millrace.media import Batch as Frames

    for index in range(300):
        pair = [
            Frame("fast", index, index * 10_000_000, picture(50)),
            Frame("slow", index, index * 40_000_000, picture(60)),
        ]
        for _ in tile.process(Frames(pair)):
            assert len(tile.board.seats["slow"].waiting) <= 66


def test_those_behind_see_one_stream_with_one_start_and_one_end():
    sink = run([wall(stream="wall")], Clip(stream="a", count=3), Clip(stream="b", count=5))
    start, end = sink.markers
    assert (start.stream, start.caps["width"], start.caps["height"], start.caps["fps"]) == ("wall", 128, 72, 25)
    assert end == StreamEnd("wall") and sink.announced[0] == ("wall",)


def test_a_batch_behind_a_wall_waits_for_the_wall_only():
    sink = run([wall(), Batch(size=2)], Clip(stream="a", count=4), Clip(stream="b", count=4))
    assert [[f.index for f in batch.frames] for batch in sink.frames] == [[0, 1], [2, 3]]


def test_a_source_that_never_starts_gets_no_place():
    sink = run([wall()], Clip(stream="dead", fails=True), Clip(stream="b", count=3))
    assert [list(levels(frame)) for frame in sink.frames] == [["b"]] * 3
    assert not run([wall()], Clip(stream="dead", fails=True)).frames


def test_live_streams_follow_the_clock():
    pipeline = chain(wall(fps=50), sink := Sink())
    pipeline.add_source("a", Clip(stream="a", live=True, delay=0.005, count=100_000, fps=50), "tile0")
    slow = Clip(stream="b", live=True, delay=0.2, count=3, fps=50)
    slow.shown = lambda level: sum(levels(frame).get("b") == level for frame in list(sink.frames)) > 1
    pipeline.add_source("b", slow, "tile0")
    with pipeline:
        until(lambda: "b" not in pipeline.sources() and len(sink.frames) > 20)
        pipeline.remove_source("a")
        assert pipeline.wait(15)
    times = [frame.pts for frame in sink.frames]
    assert times == sorted(set(times)) and times[-1] >= 0.4e9
    assert len(times) <= (times[-1] - times[0]) / 20e6 + 1, "no more than 50 a second, though 200 pictures come"
    assert sink.markers[0].live
    seen = [levels(frame).get("a", 0) for frame in sink.frames]
    assert seen == sorted(seen)
    late = [levels(frame)["b"] for frame in sink.frames if "b" in levels(frame)]
    late = late[late.index(40) :]  # before its first picture there is none to show
    assert late == sorted(late) and late.count(41) > 1, "gaps keep the last picture"


def test_a_slow_reader_makes_a_live_wall_skip_not_queue():
    pipeline = chain(wall(fps=100), sink := Sink(slow=0.06))
    pipeline.add_source("a", Clip(stream="a", live=True, delay=0.01, count=80), "tile0")
    with pipeline:
        until(lambda: not pipeline.sources())
        before = len(sink.frames)
        assert pipeline.wait(15)
    assert 5 < len(sink.frames) < before + 30, "what the channels hold; 60 pictures more if all were kept"
    gaps = np.diff([frame.pts for frame in sink.frames])
    assert np.median(gaps) >= 40_000_000


def test_objects_rules_and_events_move_to_their_tile():
    tile = alone(wall(), "a", "b")
    frames = []
    for index in range(3):
        for stream in "ab":
            frame = Frame(stream, index, index * 40_000_000, picture(90))
            frame.objects = [Object(box([16, 9, 32, 18]), 0, "car", 0.9, id=1, velocity=(8, 4))]
            frame.objects.append(Object(box([20, 10, 24, 12]), 1, "plate", 0.9, parent=frame.objects[0]))
            frame.events = [Event("line", stream, frame.pts, "door")]
            frame.extras["analytics"] = [{"kind": "line", "name": "door", "points": [(0, 0), (64, 36)]}]
            frames += [out for out in tile.process(frame) if isinstance(out, Frame)]
    first = frames[0]
    assert first.extras["tiles"] == {"a": (0, 0, 64, 72), "b": (64, 0, 128, 72)}
    cars = [found for found in first.objects if found.label == "car"]
    assert np.allclose(cars[0].box, [16, 27, 32, 36]) and np.allclose(cars[1].box, [80, 27, 96, 36])
    assert [found.extras["stream"] for found in cars] == ["a", "b"] and cars[0].velocity == (8, 4)
    plate = next(found for found in first.objects if found.label == "plate")
    assert plate.parent is cars[0]
    assert first.extras["analytics"][1]["points"] == [(64, 18), (128, 54)]
    assert [event.stream for event in first.events] == ["a", "b"]


def test_one_source_fills_the_picture_while_it_is_shown():
    tile = alone(wall(), "a", "b")
    out = []
    for index in range(6):
        if index == 3:
            tile.apply(tile.prepare({"show": "b"}))
        for stream, base in (("a", 40), ("b", 100)):
            out += [
                f
                for f in tile.process(Frame(stream, index, index * 40_000_000, picture(base + index)))
                if isinstance(f, Frame)
            ]
    before, after = out[1], out[-1]
    assert set(levels(before)) == {"a", "b"} and levels(after) == {"b": 104}
    assert (after.image.planes[0] == 104).all()
    assert (before.image.planes[0][30:40, 70:120] == 101).all()  # given away, never changed again


def test_a_custom_layout():
    tile = alone(wall(layout={"a": [0, 0, 1, 1], "b": [96, 48, 128, 72]}), "a", "b", "c")
    out = []
    for index in range(2):
        for stream, level in (("a", 50), ("b", 150), ("c", 250)):
            out += list(tile.process(Frame(stream, index, index * 40_000_000, picture(level))))
    luma = out[1].image.planes[0]
    assert luma[10, 10] == 50 and luma[60, 110] == 150 and not (luma == 250).any()
    with pytest.raises(SettingError, match=r"layout=.*a: .1, 1, 0, 0."):
        wall(layout={"a": [1, 1, 0, 0]}).open(Context("tile"))
    with pytest.raises(SettingError, match="background"):
        wall(background="black").open(Context("tile"))


def test_streams_come_and_go_without_a_trace():
    tile = alone(wall())
    for number in range(200):
        name = f"s{number}"
        tile.expect(("base", name))
        for stream in ("base", name) if number == 0 else (name,):
            tile.start_stream(StreamStart(stream, Caps("frames", fps=Fraction(25))))
        list(tile.process(Frame("base", number, number * 40_000_000, picture(50))))
        list(tile.process(Frame(name, 0, 0, picture(60))))
        list(tile.end_stream(name))
        tile.expect(("base",))
    assert len(tile.board.seats) <= 3
    out = list(tile.end_stream("base"))
    assert not tile.board.seats  # nobody else is expected
    assert out[-1] == StreamEnd("tiles")


def test_pictures_of_other_formats_sizes_and_tags():
    tile = alone(wall(rows=1), "a", "b", "c")
    grey, tall = Image("GRAY8", [np.full((36, 64), 235, np.uint8)], 64, 36), picture(120, 36, 72)
    full = picture(200)
    full.full_range = True
    out = []
    for index in range(2):
        for stream, image in (("a", grey), ("b", tall), ("c", full)):
            out += list(tile.process(Frame(stream, index, index * 40_000_000, image)))
    frame = out[1]
    seen = levels(frame)
    assert abs(seen["a"] - round(16 + 235 * 219 / 255)) <= 1 and seen["b"] == 120
    assert abs(seen["c"] - round(16 + 200 * 219 / 255)) <= 1


def test_labels_stay_in_their_tile():
    plain, named = (
        alone(wall(labels=labels), "a", "b-with-a-name-that-is-far-too-long-for-it") for labels in (False, True)
    )
    pictures = []
    for tile in (plain, named):
        for index in range(2):
            for stream in tile.board.seats:
                got = list(tile.process(Frame(stream, index, index * 40_000_000, picture(90))))
                pictures += [f for f in got if isinstance(f, Frame)][:1]
    changed = pictures[0].image.planes[0] != pictures[-1].image.planes[0]
    assert changed[:, :64].any() and changed[:, 64:].any()
    assert not changed[14:].any()


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9, 16, 17])
def test_grids_cover_the_picture_without_overlap(count):
    areas = grid([str(n) for n in range(count)], 641, 479)
    cover = np.zeros((479, 641), int)
    for x1, y1, x2, y2 in areas.values():
        assert x1 % 2 == 0 and y1 % 2 == 0
        cover[y1:y2, x1:x2] += 1
    assert len(areas) == count and cover.max() == 1
    rows, columns = len({a[1] for a in areas.values()}), len({a[0] for a in areas.values()})
    assert columns - rows in (0, 1) or count == 2


def test_given_columns_and_rows():
    assert list(grid(list("abc"), 90, 30, columns=3).values()) == [(0, 0, 30, 30), (30, 0, 60, 30), (60, 0, 90, 30)]
    assert list(grid(list("abc"), 90, 30, rows=3)) == list("abc")
    assert list(grid(list("abc"), 90, 30, columns=1, rows=2)) == ["a", "b"]  # no room for more
    assert custom({"a": [0.5, 0, 1, 1]}, 101, 50) == {"a": (50, 0, 101, 50)}


def test_fitting_keeps_the_aspect():
    assert fit(640, 360, (0, 0, 64, 72)) == (0, 18, 64, 54)
    assert fit(360, 640, (10, 0, 74, 72)) == (22, 0, 62, 72)
    assert fit(64, 36, (0, 0, 64, 36)) == (0, 0, 64, 36)
    assert fit(1, 5000, (0, 0, 8, 8))[2] > fit(1, 5000, (0, 0, 8, 8))[0]


def test_four_clips_through_the_whole_chain(tmp_path):
    """Files with numbers in their pictures, detected, tiled, drawn and encoded, twice: the same pictures."""
    import millrace
    from millrace.testing.clips import numbered_clip
    from millrace.testing.models import make_detector

    clips = [tmp_path / f"{name}.mp4" for name in "abcd"]
    for index, path in enumerate(clips):
        numbered_clip(path, frames=6 + index, width=96, height=64)
    model = make_detector(tmp_path / "model.onnx", [(8, 8, 40, 40, 0.9, 2)])
    results = []
    for number in range(2):
        seen: list[Any] = []
        flow = millrace.open(*map(str, clips)).infer(model).track().tile(width=192, height=128).draw()
        flow = flow.map(lambda frame, seen=seen: seen.append([plane.tobytes() for plane in frame.image.planes]))
        summary = flow.save(tmp_path / f"wall{number}.mp4").run()
        assert summary.streams["tiles"].frames_out == 9 and not summary.errors
        results.append(seen)
    assert results[0] == results[1]  # the pictures that were encoded
    wall = list(millrace.open(str(tmp_path / "wall0.mp4")))
    assert len(wall) == 9 and (wall[0].image.width, wall[0].image.height) == (192, 128)


def test_sources_come_and_go_while_it_runs():
    pipeline = chain(wall(fps=100), sink := Sink())
    pipeline.add_source("base", Clip(stream="base", live=True, delay=0.004, count=100_000), "tile0")
    rng = random.Random(3)
    with pipeline:
        for number in range(40):
            name = f"s{number}"
            clip = Clip(stream=name, live=rng.random() < 0.5, count=rng.choice((0, 1, 15)), delay=rng.uniform(0, 0.005))
            pipeline.add_source(name, clip, "tile0")
            if number % 3 == 0:
                with suppress(ConfigError):  # it may have ended already
                    pipeline.remove_source(name)
            time.sleep(rng.uniform(0, 0.01))
        pipeline.remove_source("base")
        assert pipeline.wait(15)
    assert [getattr(marker, "stream", None) for marker in sink.markers] == ["tiles"] * 2
    assert [frame.index for frame in sink.frames] == list(range(len(sink.frames))) and len(sink.frames) > 10
    assert len(pipeline._roll) == 0
