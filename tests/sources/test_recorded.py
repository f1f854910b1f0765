"""Passes, parts in time and pace: what every source that can be read again does."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

import millrace
from millrace.core.errors import ConfigError, SourceError
from millrace.core.item import StreamStart
from millrace.media import Packet
from millrace.sources import open_source
from millrace.testing.clips import numbered_clip, read_frame_number
from millrace.testing.run import run

MS = 1_000_000


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """50 frames at 25 fps with B-frames and a key every 10: each says its number."""
    return numbered_clip(tmp_path_factory.mktemp("clips") / "n.mp4", frames=50, width=160, height=120, gop=10)


def numbers(frames):
    return [read_frame_number(frame.image.planes[0]) for frame in frames]


def test_the_clip_has_reordered_pictures(numbered):
    packets = [item for item in open_source("a", str(numbered)).read() if isinstance(item, Packet)]
    assert any(after.pts < before.pts for before, after in itertools.pairwise(packets)), "or nothing below is proven"


@pytest.mark.parametrize(("start", "stop"), [(0, 0.6), (0.44, None), (0.44, 1.2), (0.4, 0.8), (0.41, 0.49), (1.96, 9)])
def test_start_and_stop_are_exact(numbered, start, stop):
    frames = run(millrace.open(str(numbered), start=start, stop=stop))
    wanted = [i for i in range(50) if i * 0.04 >= start - 1e-9 and (stop is None or i * 0.04 < stop - 1e-9)]
    assert numbers(frames) == wanted
    assert [frame.pts for frame in frames] == [i * 40 * MS for i in wanted], "times are the file's own"
    assert [frame.index for frame in frames] == list(range(len(wanted)))


@pytest.mark.parametrize("name", ["n.ts", "n.h264", "n.avi", "n.webm"])
def test_parts_of_files_of_other_kinds(tmp_path, name):
    codec = {"n.avi": "mpeg4", "n.webm": "vp9"}.get(name, "h264")
    path = numbered_clip(tmp_path / name, frames=60, width=160, height=120, gop=15, codec=codec)
    passes = 1 if name == "n.h264" else 2
    frames = run(millrace.open(str(path), start=1.0, stop=1.4, loop=passes))
    first = numbers(frames)[0]
    assert first in ((24, 25) if name == "n.avi" else (25,)), "AVI knows no times, and says its first picture is later"
    assert numbers(frames) == list(range(first, first + 10)) * passes
    assert {after.pts - before.pts for before, after in itertools.pairwise(frames)} == {40 * MS}


def test_a_part_of_a_raw_stream_cannot_be_looped(clip):
    with pytest.raises(SourceError, match="says no times"):
        run(millrace.open(str(clip("a.h264")), stop=0.2, loop=2))


def test_only_the_part_is_read(numbered):
    packets = [item for item in open_source("a", str(numbered), start=1.0, stop=1.2).read() if isinstance(item, Packet)]
    assert packets[0].key and packets[0].pts <= 1000 * MS and len(packets) < 20


def test_loops_go_on_counting_and_times_grow(numbered):
    frames = run(millrace.open(str(numbered), loop=3))
    assert numbers(frames) == list(range(50)) * 3
    assert [frame.index for frame in frames] == list(range(150))
    assert [frame.pts for frame in frames] == [i * 40 * MS for i in range(150)]
    assert [frame.epoch for frame in frames] == [0] * 50 + [1] * 50 + [2] * 50


def test_loops_of_a_part(numbered):
    frames = run(millrace.open(str(numbered), start=0.44, stop=0.84, loop=3))
    assert numbers(frames) == list(range(11, 21)) * 3
    assert [frame.pts for frame in frames] == [(11 + i) * 40 * MS for i in range(30)]


def test_a_loop_is_a_discontinuity_and_the_frames_are_told_before(numbered):
    starts = [item for item in open_source("a", str(numbered), loop=2).read() if isinstance(item, StreamStart)]
    assert [(start.epoch, start.discontinuity, start.live) for start in starts] == [(0, False, False), (1, True, False)]
    assert starts[0].caps["frames"] == 100 and starts[0].caps == starts[1].caps
    ever = next(iter(open_source("a", str(numbered), loop=0).read()))
    assert ever.caps["frames"] is None


def test_raw_video_without_times_loops_too(clip):
    frames = run(millrace.open(str(clip("a.h264", count=5)), loop=2))
    assert [frame.pts for frame in frames] == [i * 40 * MS for i in range(10)]


def test_avi_without_pts_loops_too(clip):
    frames = run(millrace.open(str(clip("a.avi", count=5, codec="mpeg4")), loop=3))
    times = [frame.pts for frame in frames]
    assert len(times) == 15 and {b - a for a, b in itertools.pairwise(times)} == {40 * MS}


def test_for_ever_ends_when_it_is_told_to(numbered):
    source = open_source("a", str(numbered), loop=0)
    items = source.read()
    got = list(itertools.islice(items, 400))
    assert max(item.epoch for item in got) >= 7
    source.interrupt()
    assert list(items) == []


def test_pace_is_that_of_the_clock(numbered):
    source = open_source("a", str(numbered), pace=True, stop=0.4)
    began = time.monotonic()
    items = list(source.read())
    took = time.monotonic() - began
    assert 0.3 < took < 10, "9 steps of 40 ms; the bound above is for a busy machine"
    assert items[0].live, "what is paced is treated as a camera"
    packets = items[1:]
    due = [(p.arrived - packets[0].arrived) - (p.dts - packets[0].dts) for p in packets]
    assert set(due) == {0}, "arrived is when it was due"


def test_pace_without_being_live(numbered):
    assert not next(iter(open_source("a", str(numbered), pace=True, live=False).read())).live
    assert next(iter(open_source("a", str(numbered), live=True).read())).live


def test_a_paced_source_that_waits_can_be_interrupted(tmp_path):
    slow = numbered_clip(tmp_path / "slow.mp4", frames=2, width=64, height=48, pts_ms=[0, 60_000])
    source = open_source("a", str(slow), pace=True)
    timer = threading.Timer(0.2, source.interrupt)
    timer.start()
    began = time.monotonic()
    list(source.read())
    timer.join()
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(("interval", "kept"), [(1, 50), (5, 10), (7, 8)])
def test_every_nth_frame(numbered, interval, kept):
    frames = run(millrace.open(str(numbered), drop_frame_interval=interval))
    assert numbers(frames) == list(range(0, 50, interval)) and len(frames) == kept
    assert {frame.duration for frame in frames} == {interval * 40 * MS}
    assert [frame.index for frame in frames] == list(range(kept))


def test_skipped_pictures_are_not_decoded(numbered):
    assert numbers(run(millrace.open(str(numbered), skip_frames="non_key"))) == [0, 10, 20, 30, 40]
    some = numbers(run(millrace.open(str(numbered), skip_frames="non_reference")))
    assert 5 < len(some) < 50 and some == sorted(some)


def test_low_latency_gives_the_same(numbered):
    assert numbers(run(millrace.open(str(numbered), low_latency=True))) == list(range(50))


def test_settings_are_checked():
    with pytest.raises(ConfigError, match="drop_frame_interval=0 is not allowed: at least 1"):
        millrace.open("a.mp4", drop_frame_interval=0).pipeline()
    with pytest.raises(ConfigError, match="rotate=45 is not allowed"):
        millrace.open("a.mp4", rotate=45).pipeline()
    with pytest.raises(ConfigError, match="restart='often' is not allowed: one of never, on_error, always"):
        millrace.open("a.mp4", restart="often")
