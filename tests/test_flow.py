"""The fluent face, with toy sources and elements."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from pictures import Broken, Mark, Pictures

import millrace
from millrace.config.sources import stream_names
from millrace.core import ConfigError, ElementError, SettingError, SourceError
from millrace.testing.run import run


def pictures(name: str = "a", **settings: Any) -> millrace.Flow:
    return millrace.open(Pictures(stream=name, **settings), name=name)


def test_streams_are_named_after_their_files() -> None:
    assert stream_names(["in/gate.mp4", "gate.mkv", "rtsp://u:p@10.0.0.7/main", "rtsp://cam.local", "a b!.mp4"]) == [
        "gate", "gate-2", "main", "cam.local", "a-b",
    ]  # fmt: skip


def test_open_names() -> None:
    assert [stream.name for stream in millrace.open("a.mp4", "b.mp4", name=["x", "y"]).plan.streams] == ["x", "y"]
    assert millrace.open(Path("a.mp4"), loop=True).plan.streams[0].options == {"loop": True}
    with pytest.raises(ConfigError, match="1 names for 2 sources"):
        millrace.open("a.mp4", "b.mp4", name="x")
    with pytest.raises(ConfigError, match="at least one source"):
        millrace.open()
    with pytest.raises(ConfigError, match="two streams have the same name"):
        millrace.open("a.mp4", "b.mp4", name=["x", "x"])


def test_iteration_gives_every_frame_in_order() -> None:
    frames = list(pictures(count=20).add(Mark()))
    assert [frame.index for frame in frames] == list(range(20))
    assert all(frame.objects[0].label == "car" for frame in frames)


def test_a_flow_is_not_changed_by_its_methods_and_runs_again() -> None:
    flow = pictures()
    marked = flow.add(Mark())
    assert not flow.plan.line
    assert len(list(marked)) == len(list(marked)) == 5


def test_leaving_the_loop_stops_the_pipeline() -> None:
    source = Pictures(stream="a", count=None)
    for frame in millrace.open(source, name="a"):
        if frame.index == 3:
            break
    assert source.given < 60  # bounded: pull and the channels on the way, not everything


def test_the_context_manager_stops_a_loop_that_is_held() -> None:
    with pictures(count=None) as flow:
        frames = iter(flow)
        assert next(frames).index == 0
    assert len(list(frames)) < 60


def test_an_elements_error_is_raised_in_the_loop_and_by_run() -> None:
    flow = pictures().add(Broken())
    with pytest.raises(ElementError, match=r"broken.*: ValueError: no such luck"):
        list(flow)
    with pytest.raises(ElementError, match="no such luck"):
        flow.run()


def test_skip_goes_on() -> None:
    flow = pictures().map(lambda frame: 1 / (frame.index - 2) and None, name="divide")
    flow.plan.line[-1].on_error = "skip"  # type: ignore[union-attr]
    summary = flow.run()
    assert summary.frames == 4 and summary.skipped == 1


def test_one_stream_fails_the_others_are_finished() -> None:
    flow = millrace.open(Pictures(stream="a", fail_at=2), Pictures(stream="b"), name=["a", "b"])
    summary = flow.run(check=False)
    assert [stream.frames_out for stream in summary.streams.values()] == [2, 5]
    assert summary.streams["a"].errors == ["a: the cable is out"] and not summary.streams["b"].errors
    with pytest.raises(SourceError, match="a: the cable is out"):
        flow.run()
    seen = []
    with pytest.raises(SourceError, match="a: the cable is out"):
        for frame in flow:
            seen.append(frame.stream)
    assert sorted(seen) == ["a"] * 2 + ["b"] * 5


def test_the_summary_counts() -> None:
    summary = pictures(count=6).add(Mark()).run()
    stream = summary.streams["a"]
    assert (stream.frames_in, stream.frames_out, stream.objects, stream.identities) == (6, 6, 6, 1)
    assert stream.labels == {"car": 6} and stream.lines() == {"door": {"in": 1}}
    assert summary.frames == 6 and summary.seconds > 0 and summary.fps > 0 and not summary.interrupted


def test_map_drops_and_replaces() -> None:
    assert [frame.index for frame in pictures(count=6).map(lambda frame: frame.index % 2 == 0)] == [0, 2, 4]


def test_limit_ends_the_source() -> None:
    source = Pictures(stream="a", count=None)
    assert len(run(millrace.open(source, name="a").limit(7))) == 7
    assert source.given < 100


def test_select_and_tee() -> None:
    flow = millrace.open(Pictures(stream="a"), Pictures(stream="b"), name=["a", "b"])
    assert {frame.stream for frame in flow.function(lambda f: None).select("b").map(lambda f: None)} == {"b"}
    seen: list[str] = []
    branches = flow.map(lambda f: None).tee(
        one=lambda branch: branch.map(lambda f: seen.append("one")),
        two=lambda branch: branch.select("b").map(lambda f: seen.append("two")),
    )
    branches.run()
    assert seen.count("one") == 10 and seen.count("two") == 5


def test_a_misspelt_element_or_setting_is_found_when_it_is_written() -> None:
    with pytest.raises(AttributeError, match=r"no element 'limti'\. Did you mean 'limit'"):
        pictures().limti(5)
    with pytest.raises(ConfigError, match=r"limit has no setting 'cout'\. Did you mean 'count'"):
        pictures().limit(cout=5)
    with pytest.raises(SettingError, match=r"limit: count=0 is not allowed: at least 1"):
        pictures().limit(0)
    with pytest.raises(ConfigError, match="give settings by name"):
        pictures().limit(1, 2)
    with pytest.raises(ConfigError, match="add\\(\\) takes an Element, not function"):
        pictures().add(lambda frame: None)  # type: ignore[arg-type]
    assert not hasattr(pictures(), "_anything")


def test_ctrl_c_drains() -> None:
    source = Pictures(stream="a", count=None)

    def strike(item: Any) -> None:
        if item.index == 9:
            os.kill(os.getpid(), signal.SIGINT)

    summary = millrace.open(source, name="a").map(strike).run()
    assert summary.interrupted
    assert summary.streams["a"].frames_out == source.given > 0  # what was under way was finished


def test_the_explicit_pipeline() -> None:
    pipeline = pictures().add(Mark(), name="mark").pipeline()
    seen: list[Any] = []
    pipeline.tap("mark", seen.append)
    pipeline.start()
    assert pipeline.wait(30)
    assert sum(isinstance(item, millrace.Frame) for item in seen) == 5


def test_run_of_testing_is_bounded_in_time() -> None:
    with pytest.raises(TimeoutError, match=r"has not ended within 0\.3 s"):
        run(pictures(count=None), timeout=0.3)
