"""Sound goes from the source into the saved file as it is, and stays with the pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sounds import begins, clip_with_sound, sound_packets, tracks

import millrace
from millrace.config import loads
from millrace.config.build import build
from millrace.summary import Run
from millrace.testing.run import run


def together(path: Path | str) -> None:
    flashes, tones = begins(path)
    assert len(flashes) == len(tones) == 2
    assert np.abs(np.array(flashes) - tones).max() < 0.03, (flashes, tones)


@pytest.mark.parametrize(
    ("source", "codec"),
    [("in.mp4", "aac"), ("in.ts", "aac"), ("in.mkv", "libopus"), ("in.mov", "pcm_s16le"), ("in.mkv", "ac3")],
)
@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_sound_is_passed_on_in_step(tmp_path: Path, source: str, codec: str, ending: str) -> None:
    original, out = clip_with_sound(tmp_path / source, codec), tmp_path / f"out.{ending}"
    work = Run(millrace.open(str(original)).save(out).plan)
    said: list[str] = []
    work.pipeline.bus.subscribe(lambda message: said.append(message.text) if message.kind == "warning" else None)
    summary = work.run()
    assert summary.frames == 75
    if codec == "pcm_s16le" and ending != "mkv":
        assert tracks(out) == [("video", "h264")]
        assert said == [f"save.file: {out} is written without sound: it cannot hold pcm_s16le"]
        return
    assert [kind for kind, _ in tracks(out)] == ["video", "audio"] and not said
    together(out)
    if ending != "ts" and source != "in.ts":  # TS puts headers before AAC
        before, after = sound_packets(original), sound_packets(out)
        assert after == before or (codec == "pcm_s16le" and b"".join(after) == b"".join(before))


def test_sound_can_be_left_out_and_raw_streams_have_none(tmp_path: Path) -> None:
    original = clip_with_sound(tmp_path / "in.mp4")
    millrace.open(str(original)).save(tmp_path / "a.mp4", sound=False).save(tmp_path / "b.h264").run()
    assert tracks(tmp_path / "a.mp4") == [("video", "h264")] and len(tracks(tmp_path / "b.h264")) == 1


def test_a_clip_without_sound_is_saved_as_ever(clip: Any, tmp_path: Path) -> None:
    millrace.open(str(clip())).save(tmp_path / "out.mp4").run()
    assert tracks(tmp_path / "out.mp4") == [("video", "h264")]


def test_packets_that_are_not_decoded_take_their_sound_along(tmp_path: Path) -> None:
    original = clip_with_sound(tmp_path / "in.mp4")
    run(f"streams: {{a: {original}}}\npipeline: [{{file: {{path: {tmp_path}/copy.mkv}}}}]")
    together(tmp_path / "copy.mkv")
    assert sound_packets(tmp_path / "copy.mkv") == sound_packets(original)


def test_each_stream_has_its_own_sound(tmp_path: Path) -> None:
    first = clip_with_sound(tmp_path / "one.mp4")
    second = clip_with_sound(tmp_path / "two.mp4", seconds=2.0)
    text = f"""
streams: {{one: {first}, two: {second}}}
pipeline:
  - tee:
      all: [{{file: {{path: "{tmp_path}/all-{{stream}}.mp4"}}}}]
      only: [{{select: two}}, {{file: {{path: {tmp_path}/only.mp4}}}}]
"""
    Run(loads(text.replace("- tee:", "- track\n  - tee:"))).run()
    for name, path in (("one", first), ("two", second)):
        assert sound_packets(tmp_path / f"all-{name}.mp4") == sound_packets(path)
    assert sound_packets(tmp_path / "only.mp4") == sound_packets(second)
    assert not os.path.exists(tmp_path / "only-one.mp4")


def test_no_element_that_takes_frames_sees_sound(tmp_path: Path) -> None:
    kinds: set[str] = set()
    original = clip_with_sound(tmp_path / "in.mp4", seconds=1.0)
    flow = millrace.open(str(original)).map(lambda frame: kinds.add(type(frame).__name__)).save(tmp_path / "o.mp4")
    flow.run()
    assert kinds == {"Frame"}


def test_nothing_is_read_of_sound_that_nobody_saves(tmp_path: Path) -> None:
    original = clip_with_sound(tmp_path / "in.mp4", seconds=1.0)
    plan = millrace.open(str(original)).track().plan
    assert "streams" not in build(plan).pipeline.graph.nodes
    saved = millrace.open(str(original)).save(tmp_path / "o.mp4", sound=False).plan
    assert "streams" not in build(saved).pipeline.graph.nodes


def test_many_streams_in_one_picture_have_no_sound(tmp_path: Path) -> None:
    for name in ("one", "two"):
        clip_with_sound(tmp_path / f"{name}.mp4", seconds=1.0)
    text = f"""
streams: {{one: {tmp_path}/one.mp4, two: {tmp_path}/two.mp4}}
pipeline: [tile, encode, {{file: {{path: {tmp_path}/wall.mp4}}}}]
"""
    assert all(link.kind is None for link in build(loads(text)).pipeline.graph.links)
    Run(loads(text)).run()
    assert tracks(tmp_path / "wall.mp4") == [("video", "h264")]


def test_loops_and_parts_keep_sound_and_pictures_together(tmp_path: Path) -> None:
    original = clip_with_sound(tmp_path / "in.mp4")
    millrace.open(str(original), loop=2).save(tmp_path / "twice.mp4").run()
    flashes, tones = begins(tmp_path / "twice.mp4")
    assert len(flashes) == len(tones) == 4 and np.abs(np.array(flashes) - tones).max() < 0.03
    millrace.open(str(original), start=2.0).save(tmp_path / "part.mkv").run()
    flashes, tones = begins(tmp_path / "part.mkv")
    assert len(flashes) == len(tones) == 1 and abs(flashes[0] - tones[0]) < 0.03
