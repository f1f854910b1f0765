from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from millrace.testing import clips


def decoded(path):
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame, frame.to_ndarray()[: frame.height, : frame.width]


@pytest.mark.parametrize("codec", ["h264", "hevc", "mpeg4", "mjpeg"])
def test_frame_numbers_survive_encoding(tmp_path, codec):
    path = clips.numbered_clip(tmp_path / "a.mp4", frames=12, width=160, height=96, codec=codec, first=700)
    assert [clips.read_frame_number(luma) for _, luma in decoded(path)] == list(range(700, 712))


@pytest.mark.parametrize("fps", [25, Fraction(30000, 1001)])
def test_times_are_exact(tmp_path, fps):
    path = clips.numbered_clip(tmp_path / "a.mp4", frames=7, width=128, height=64, fps=fps)
    assert [frame.pts * frame.time_base for frame, _ in decoded(path)] == [Fraction(i) / fps for i in range(7)]


def test_uneven_times(tmp_path):
    pts = [0, 40, 55, 300, 1000]
    path = clips.numbered_clip(tmp_path / "a.mp4", frames=5, width=128, height=64, pts_ms=pts)
    assert [frame.pts * frame.time_base * 1000 for frame, _ in decoded(path)] == pts


def test_the_same_clip_has_the_same_bytes(tmp_path):
    first = clips.numbered_clip(tmp_path / "a.mp4", frames=9, width=128, height=64).read_bytes()
    assert clips.numbered_clip(tmp_path / "b.mp4", frames=9, width=128, height=64).read_bytes() == first


def test_boxes_are_where_they_are_said_to_be():
    picture = clips.numbered_picture(33, 320, 240, boxes=1)
    x1, y1, x2, y2 = clips.numbered_boxes(33, 320, 240, boxes=1)[0].astype(int)
    red = np.all(picture == clips.COLOURS[0], axis=2)
    assert red[y1:y2, x1:x2].all() and red.sum() == (x2 - x1) * (y2 - y1)


def test_a_picture_without_a_number_is_refused():
    with pytest.raises(ValueError, match="numbered picture"):
        clips.read_frame_number(np.full((96, 160), 128, np.uint8))


def test_an_unknown_codec_names_those_there_are(tmp_path):
    with pytest.raises(ValueError, match="h264"):
        clips.numbered_clip(tmp_path / "a.mp4", codec="h266")


def test_no_pictures_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no pictures"):
        clips.write_video(tmp_path / "a.mp4", [])
