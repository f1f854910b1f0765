"""`hls`: a folder that players play, while it grows and when it has ended."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

import millrace
from millrace.core.errors import ConfigError
from millrace.testing.clips import numbered_clip, read_frame_number


def played(path: Path) -> list[int]:
    with av.open(str(path)) as file:
        return [read_frame_number(frame.to_ndarray(format="gray")) for frame in file.decode(video=0)]


@pytest.fixture
def clip(tmp_path: Path) -> str:
    return str(numbered_clip(tmp_path / "cam.mp4", 100, 160, 120))


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_all_of_it_is_played(clip: str, tmp_path: Path, codec: str) -> None:
    path = tmp_path / "www" / "cam" / "index.m3u8"
    template = str(tmp_path / "www" / "{stream}" / "index.m3u8")
    millrace.open(clip).encode(codec=codec, gop=10, quality=20).hls(template, seconds=0.4, keep=0).run()
    assert played(path) == list(range(100))
    text = path.read_text()
    assert '#EXT-X-MAP:URI="index-start.mp4"' in text and text.count("#EXTINF") == 10 and "#EXT-X-ENDLIST" in text


def test_old_segments_are_deleted(clip: str, tmp_path: Path) -> None:
    path = tmp_path / "live 100%.m3u8"
    millrace.open(clip).encode(gop=10).hls(str(path), seconds=0.4, keep=3).run()
    assert path.read_text().count("#EXTINF") == 3
    assert len(list(tmp_path.glob("*.m4s"))) <= 5  # FFmpeg leaves one or two for players that are late
    assert played(path)[-1] == 99


def test_several_streams_have_playlists_of_their_own(clip: str, tmp_path: Path) -> None:
    millrace.open(clip, clip, name=["a", "b"]).encode(gop=10).hls(str(tmp_path / "live.m3u8"), seconds=1).run()
    assert {path.name for path in tmp_path.glob("*.m3u8")} == {"live-a.m3u8", "live-b.m3u8"}


def test_another_ending_is_refused(clip: str) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.m3u8"):
        millrace.open(clip).encode().hls("out.mp4").run()
