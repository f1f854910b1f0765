"""dewarp: one view takes the stream's place, several make streams of their own."""

from __future__ import annotations

import numpy as np
import pytest

import millrace
from millrace.core import Caps, ConfigError, Context, StreamEnd, StreamError, StreamStart
from millrace.elements.dewarp import Dewarp
from millrace.media import Batch, Frame, Image, Object, box

CAPS = Caps("frames", width=64, height=48, format="I420")
VIEW = {"projection": "fisheye-perspective", "width": 32, "height": 24, "fov": 120, "top": 30, "bottom": -30}
VIEWS = [VIEW, {**VIEW, "yaw": 40, "width": 48, "height": 16, "index": 7}]


def frame(stream: str = "a", index: int = 0) -> Frame:
    y = np.tile(np.arange(64, dtype=np.uint8) * 3, (48, 1))
    image = Image("I420", [y, np.full((24, 32), 100, np.uint8), np.full((24, 32), 150, np.uint8)], 64, 48)
    return Frame(stream, index, index * 40_000_000, image, objects=[Object(box([1, 2, 3, 4]), 0, "car", 0.9)])


def test_one_view_keeps_the_name():
    element = Dewarp(surfaces=[VIEW])
    element.open(Context("dewarp"))
    start = element.start_stream(StreamStart("a", CAPS))
    assert (start.stream, start.caps["width"], start.caps["height"]) == ("a", 32, 24)
    (out,) = element.process(frame(index=3))
    assert (out.stream, out.index, out.pts, out.image.width, out.image.height) == ("a", 3, 120_000_000, 32, 24)
    assert out.objects == [] and out.extras["surface"]["projection"] == "fisheye-perspective"
    assert list(element.end_stream("a")) == []


def test_several_views_are_streams():
    element = Dewarp(surfaces=VIEWS)
    element.open(Context("dewarp"))
    assert element.splits("a") == ["a.0", "a.1"]
    assert element.start_stream(StreamStart("a", CAPS)) is None
    first, second, one, other = element.process(frame())
    assert (first.stream, second.stream) == ("a.0", "a.1") and second.caps["width"] == 48
    assert (one.stream, other.stream, other.image.width) == ("a.0", "a.1", 48)
    assert other.extras["surface"] == {"stream": "a", "index": 7, "projection": "fisheye-perspective"}
    (batch,) = element.process(Batch([frame(index=1), frame(index=2)]))
    assert [(each.stream, each.index) for each in batch.frames] == [("a.0", 1), ("a.1", 1), ("a.0", 2), ("a.1", 2)]
    assert list(element.end_stream("a")) == [StreamEnd("a.0"), StreamEnd("a.1")]


def test_other_streams_pass():
    element = Dewarp(surfaces=VIEWS, streams=["a"])
    element.open(Context("dewarp"))
    start, shown = StreamStart("b", CAPS), frame("b")
    assert element.start_stream(start) is start and list(element.process(shown)) == [shown]
    assert list(element.splits("b")) == ["b"] and list(element.end_stream("b")) == []


def test_size_of_what_leaves_and_bits():
    element = Dewarp(surfaces=VIEWS, width=40, height=40, most=1)
    element.open(Context("dewarp"))
    start = element.start_stream(StreamStart("a", CAPS.replace(format="GRAY16")))
    assert (start.caps["width"], start.caps["height"], start.caps["format"]) == (40, 40, "GRAY8")
    grey = frame()
    grey.image = Image("GRAY16", [np.full((48, 64), 0x8000, np.uint16)], 64, 48)
    (out,) = element.process(grey)
    assert out.image.format == "GRAY8" and out.image.planes[0].shape == (40, 40) and out.image.planes[0][5, 20] == 128


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "give surfaces, or config"),
        ({"surfaces": [VIEW], "config": "x"}, "give surfaces, or config"),
        ({"surfaces": [{**VIEW, "fov": 0}]}, "dewarp: surfaces: give focal"),
        ({"surfaces": [VIEW], "width": 100}, "give width and height, or neither"),
    ],
)
def test_settings_that_are_wrong(settings, said):
    with pytest.raises(ConfigError, match=said):
        Dewarp(**settings).validate()


def test_a_lens_that_shows_less_than_asked_for_refuses_the_stream():
    element = Dewarp(surfaces=[{"projection": "perspective-panini", "fov": 200}])
    element.open(Context("dewarp"))
    element.start_stream(StreamStart("a", CAPS))
    with pytest.raises(StreamError, match=r"a: surface 0: fov 200 is more"):
        list(element.process(frame()))


def test_two_sources_of_two_views_are_four_streams():
    source = "pattern:?width=64&height=48&frames=6"
    seen: dict[str, list[int]] = {}
    for shown in millrace.open(source, source).add(Dewarp(surfaces=VIEWS)):
        seen.setdefault(shown.stream, []).append(shown.index)
    assert len(seen) == 4 and {name[-2:] for name in seen} == {".0", ".1"}
    assert all(indices == [0, 1, 2, 3, 4, 5] for indices in seen.values())


def test_in_yaml_each_view_can_be_chosen(tmp_path):
    from millrace.config import loads
    from millrace.summary import Run

    text = f"""
streams: {{gate: "pattern:?width=64&height=48&frames=5", yard: "pattern:?width=64&height=48&frames=5"}}
pipeline:
  - dewarp:
      streams: [gate]
      surfaces: [{{fov: 120, width: 32, height: 24}}, {{fov: 120, yaw: 30, width: 48, height: 24}}]
  - batch: {{size: 3}}
  - split
  - json: {{path: {tmp_path}/all.jsonl}}
  - tile: {{width: 64, height: 64}}
  - json: {{path: {tmp_path}/tiles.jsonl}}
"""
    summary = Run(loads(text)).run()
    assert not summary.errors
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["all-gate.0.jsonl", "all-gate.1.jsonl", "all-yard.jsonl", "tiles.jsonl"]
    assert all(len((tmp_path / name).read_text().splitlines()) == 5 for name in names)


def test_a_source_that_fails_ends_its_views(tmp_path):
    from millrace.config import loads
    from millrace.summary import Run

    text = f"""
streams: {{gate: {tmp_path}/none.mp4, yard: "pattern:?width=64&height=48&frames=5"}}
pipeline:
  - dewarp: {{surfaces: [{{fov: 120, width: 32, height: 24}}, {{fov: 120, yaw: 30, width: 32, height: 24}}]}}
  - batch: {{size: 4}}
  - json: {{path: "{tmp_path}/{{stream}}.jsonl"}}
"""
    summary = Run(loads(text)).run()
    assert summary.streams["gate"].errors or summary.errors
    assert len((tmp_path / "yard.1.jsonl").read_text().splitlines()) == 5
