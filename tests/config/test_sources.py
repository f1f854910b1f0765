from __future__ import annotations

from pathlib import Path

import pytest

import millrace
from millrace.config import load
from millrace.config.sources import source_of, stream_names, streams_of
from millrace.core.errors import ConfigError
from millrace.sources.file import FileSource
from millrace.sources.images import ImagesSource
from millrace.sources.pattern import PatternSource
from millrace.testing.run import run


def test_a_list_in_yaml(tmp_path: Path):
    path = tmp_path / "sources.yaml"
    path.write_text("streams:\n  gate: a.mp4\n  yard: {uri: 'pattern:', start: 500ms, loop: 0, restart: on_error}\n")
    first, second = streams_of([str(path)])
    assert (first.name, first.uri, first.restart) == ("gate", "a.mp4", "never")
    assert (second.name, second.restart) == ("yard", "on_error")
    source = source_of(second)
    assert isinstance(source, PatternSource) and (source.start, source.loop) == (0.5, 0)


def test_errors_in_a_yaml_list_say_where(tmp_path: Path):
    path = tmp_path / "sources.yaml"
    path.write_text("streams:\n  gate: {uri: a.mp4, restart: often}\n")
    with pytest.raises(ConfigError, match=r"sources.yaml:2: restart: 'often' is not one of never, on_error, always"):
        streams_of([str(path)])
    path.write_text("streams:\n  gate:\n    uri: a.mp4\n    rotate: 45\n")
    with pytest.raises(ConfigError, match=r"sources.yaml:4: gate: rotate=45 is not allowed"):
        millrace.open(str(path)).pipeline()
    path.write_text("streams:\n  gate: 'clips/*.mp4'\npipeline: [decode]\n")
    with pytest.raises(ConfigError, match=r"sources.yaml:2: .* names several streams"):
        load(path)


def test_a_pipeline_file_may_say_the_options_of_a_stream(tmp_path: Path):
    path = tmp_path / "p.yaml"
    path.write_text("streams:\n  a: {uri: 'pattern:?frames=4', loop: 2, restart: never}\npipeline: [decode]\n")
    assert len(run(path)) == 8


def test_texts_become_values(tmp_path: Path):
    path = tmp_path / "list.csv"
    path.write_text("name,uri,loop,pace,start,rotate\ngate,a.mp4,2,true,1.5s,90\n")
    source = source_of(streams_of([str(path)])[0])
    assert isinstance(source, FileSource)
    assert (source.loop, source.pace, source.start, source.rotate) == (2, True, 1.5, 90)


@pytest.mark.parametrize(
    ("uri", "kind"),
    [("a.mp4", FileSource), ("a:b.mp4", FileSource), ("pattern:", PatternSource), ("pattern://?fps=3", PatternSource),
     ("shots/%04d.png", ImagesSource), ("a.JPG", ImagesSource), ("file:///a.mp4", FileSource)],
)  # fmt: skip
def test_addresses_find_their_source(uri, kind):
    assert type(source_of(streams_of([uri])[0])) is kind


def test_names(tmp_path: Path):
    assert stream_names(["pattern:?fps=5", "scene:?seed=7", "frames/%04d.png", "shots/f-%d.jpg"]) == [
        "pattern", "scene", "frames", "f",
    ]  # fmt: skip
    assert [stream.name for stream in streams_of(["a/x.mp4", "b/x.mp4"])] == ["x", "x-2"]
    with pytest.raises(ConfigError, match="3 names for 2 sources"):
        streams_of(["a.mp4", "b.mp4"], ["1", "2", "3"])
    with pytest.raises(ConfigError, match="two streams have the same name: 1"):
        streams_of(["a.mp4", "b.mp4"], ["1", "1"])


def test_a_folder_gives_its_streams(clip):
    folder = clip("cam2.mp4", count=3).parent
    clip("cam10.mp4", count=4)
    frames = run(millrace.open(str(folder), stop=5))
    assert {name: sum(frame.stream == name for frame in frames) for name in ("cam2", "cam10")} == {
        "cam2": 3,
        "cam10": 4,
    }


def test_what_goes_to_every_source_and_what_a_list_says(tmp_path: Path):
    path = tmp_path / "list.csv"
    path.write_text("name,uri,loop\na,a.mp4,2\nb,b.mp4,\n")
    assert [dict(stream.options) for stream in streams_of([str(path)], options={"loop": 5, "pace": True})] == [
        {"loop": "2", "pace": True}, {"loop": 5, "pace": True},
    ]  # fmt: skip
