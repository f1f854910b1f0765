from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from sounds import clip_with_sound, sound_packets

import millrace
from millrace.core.element import Context
from millrace.core.errors import ConfigError, OutputError, SettingError
from millrace.elements.segments import Segments
from millrace.sources import open_source
from millrace.testing.clips import numbered_clip, read_frame_number
from millrace.testing.run import run


def numbers(path: Path) -> list[int]:
    """The numbers that the pictures of a file carry; every file is decoded alone."""
    with av.open(str(path)) as file:
        return [read_frame_number(picture.to_ndarray(format="gray")) for picture in file.decode(video=0)]


def copied(source: Path, **settings: Any) -> None:
    """The packets of a clip through the element, as they are."""
    element = Segments(**settings)
    element.open(Context("segments"))
    start, *packets = open_source("a", str(source)).read()
    element.start_stream(start)
    for packet in packets:
        assert list(element.process(packet)) == [packet]
    list(element.end_stream("a"))
    element.close()


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_files_are_cut_at_key_pictures_and_none_is_lost(tmp_path: Path, ending: str, codec: str) -> None:
    original = numbered_clip(tmp_path / "in.mp4", 100, 160, 120)
    flow = millrace.open(str(original)).encode(codec=codec, gop=20)
    flow.segments(str(tmp_path / f"out-%03d.{ending}"), seconds=1).run()
    names = sorted(tmp_path.glob(f"out-*.{ending}"))
    assert [name.name for name in names] == [f"out-{number:03d}.{ending}" for number in range(len(names))]
    parts = [numbers(name) for name in names]
    assert [part[0] for part in parts] == [0, 40, 60, 80]  # the key pictures at or after 1, 2, 3 s
    assert [number for part in parts for number in part] == list(range(100))


def test_files_begin_at_0_and_ts_goes_on(tmp_path: Path) -> None:
    original = numbered_clip(tmp_path / "in.mp4", 75, 160, 120)
    for ending, first in (("mp4", 0.0), ("ts", 1.0)):
        copied(original, path=str(tmp_path / f"o-%d.{ending}"), seconds=1.0)
        with av.open(str(tmp_path / f"o-1.{ending}")) as file:
            times = [float(picture.time) for picture in file.decode(video=0)]
        assert times[0] == pytest.approx(first, abs=0.1) and np.allclose(np.diff(times), 0.04, atol=1e-3)


def test_sound_goes_with_the_pictures(tmp_path: Path) -> None:
    original = clip_with_sound(tmp_path / "in.mp4")
    millrace.open(str(original)).encode(gop=25).segments(str(tmp_path / "o-%d.mp4"), seconds=1).run()
    parts = [sound_packets(tmp_path / f"o-{number}.mp4") for number in range(3)]
    assert [packet for part in parts for packet in part] == sound_packets(original)
    for part in parts:
        assert len(part) * 1024 / 48000 == pytest.approx(1.0, abs=0.05)


def test_a_playlist_names_every_file_and_its_length(tmp_path: Path) -> None:
    original = numbered_clip(tmp_path / "in.mp4", 85, 160, 120)
    copied(original, path=str(tmp_path / "o-%d.ts"), seconds=1.0, playlist=str(tmp_path / "live.m3u8"))
    lines = (tmp_path / "live.m3u8").read_text().splitlines()
    assert lines[:3] == ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:3"] and lines[-1] == "#EXT-X-ENDLIST"
    assert [line for line in lines if line.endswith(".ts")] == [f"o-{number}.ts" for number in range(4)]
    lengths = [float(line[8:-1]) for line in lines if line.startswith("#EXTINF")]
    assert lengths == pytest.approx([1.0, 1.0, 1.0, 0.4])
    with av.open(str(tmp_path / "live.m3u8")) as file:  # FFmpeg reads it as one video
        times = [float(picture.time) for picture in file.decode(video=0)]
    assert len(times) == 85 and all(after > before for before, after in pairwise(times))


def test_only_the_newest_files_stay(tmp_path: Path) -> None:
    original = numbered_clip(tmp_path / "in.mp4", 130, 160, 120)
    copied(original, path=str(tmp_path / "o-%d.ts"), seconds=1.0, keep=3, playlist=str(tmp_path / "p.m3u8"))
    assert sorted(name for name in os.listdir(tmp_path) if name.endswith(".ts")) == ["o-3.ts", "o-4.ts", "o-5.ts"]
    text = (tmp_path / "p.m3u8").read_text()
    assert "#EXT-X-MEDIA-SEQUENCE:3\n" in text and [line for line in text.splitlines() if line.endswith(".ts")] == [
        "o-3.ts", "o-4.ts", "o-5.ts",
    ]  # fmt: skip


def test_a_stream_that_comes_back_goes_on_counting(tmp_path: Path) -> None:
    original = numbered_clip(tmp_path / "in.mp4", 30, 160, 120)
    element = Segments(path=str(tmp_path / "o-%d.mp4"), seconds=1.0)
    element.open(Context("segments"))
    for _ in range(2):
        start, *packets = open_source("a", str(original)).read()
        element.start_stream(start)
        for packet in packets:
            list(element.process(packet))
        list(element.end_stream("a"))
    element.close()
    assert sorted(path.name for path in tmp_path.glob("o-*")) == ["o-0.mp4", "o-1.mp4", "o-2.mp4", "o-3.mp4"]


def test_in_a_pipeline_file_streams_have_files_of_their_own(tmp_path: Path) -> None:
    for name in "ab":
        numbered_clip(tmp_path / f"{name}.mp4", 30, 160, 120)
    streams = f"streams: {{a: {tmp_path}/a.mp4, b: {tmp_path}/b.mp4}}\n"
    run(streams + f"pipeline: [{{segments: {{path: {tmp_path}/o-%02d.mp4, seconds: 1s}}}}]")
    assert sorted(p.name for p in tmp_path.glob("o-*")) == ["o-00-a.mp4", "o-00-b.mp4", "o-01-a.mp4", "o-01-b.mp4"]


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    for settings, says in [
        ({"path": "out.mp4"}, "holds their number once, as in out-%05d.mp4"),
        ({"path": "out-%d-%d.mp4"}, "holds their number once"),
        ({"path": "out-%s-%d.mp4"}, "holds their number once"),
        ({"path": "out-%d.doc"}, "files that end in '.doc' are not known"),
        ({"path": "out-%d.mp4", "playlist": "x.m3u8"}, "a .m3u8 for files that end in .ts"),
        ({"path": str(tmp_path / "none" / "o-%d.ts")}, "does not exist; create it"),
    ]:
        with pytest.raises((ConfigError, SettingError), match=says):
            Segments(**settings).open(Context("segments"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_is_one_error(tmp_path: Path) -> None:
    original = numbered_clip(tmp_path / "in.mp4", 60, 160, 120)
    (tmp_path / "o-1.ts").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"cannot write .*o-1\.ts: No space left on device"):
        copied(original, path=str(tmp_path / "o-%d.ts"), seconds=1.0)
    assert numbers(tmp_path / "o-0.ts") == list(range(25))
