"""expect: streams that are what is said pass, others are refused."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.core import Caps, ConfigError, StreamError, StreamStart
from millrace.elements.expect import Expect
from millrace.media import CodecParameters

H264 = Caps("packets", codec="h264", width=640, height=360, parameters=CodecParameters("h264", 640, 360))


@pytest.mark.parametrize(
    "settings",
    [{"codec": ["hevc", "h264"]}, {"width": [640, 640]}, {"width": [1, 1000], "height": [360, 360]}, {}],
)
def test_what_fits_passes(settings: dict[str, Any]) -> None:
    start = StreamStart("a", H264)
    assert Expect(**settings).start_stream(start) is start


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"codec": ["hevc"], "by": "h265parse"}, "a: h265parse: the stream is h264, and hevc is expected"),
        ({"width": [320, 320]}, "a: the width is 640, and 320 is expected"),
        ({"height": [1, 200]}, "a: the height is 360, and 1 to 200 is expected"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(StreamError) as caught:
        Expect(**settings).start_stream(StreamStart("a", H264))
    assert str(caught.value) == message


def test_what_a_stream_does_not_tell_is_not_checked() -> None:
    start = StreamStart("a", Caps("frames"))
    assert Expect(codec=["hevc"], width=[1, 2]).start_stream(start) is start


def test_bounds_are_two() -> None:
    with pytest.raises(ConfigError, match=r"least, most"):
        Expect(width=[3]).validate()
