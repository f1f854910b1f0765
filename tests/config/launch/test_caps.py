"""Caps as GStreamer writes them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from millrace.config.launch.caps import CapsError, Range, parse_caps


def test_fields_and_features() -> None:
    [one] = parse_caps("video/x-raw(memory:NVMM), format=NV12, width=(int)640, framerate=30/1, interlaced=false")
    assert (one.media, one.features) == ("video/x-raw", ("memory:NVMM",))
    assert one.fields == {"format": "NV12", "width": 640, "framerate": Fraction(30), "interlaced": False}


def test_lists_and_ranges() -> None:
    [one] = parse_caps("video/x-raw,format={ I420, NV12 },width=[ 1, 1920 ],framerate=[0/1,60/1],x=<1,2>")
    assert one.fields["format"] == ["I420", "NV12"]
    assert one.fields["width"] == Range(1, 1920)
    assert one.fields["framerate"] == Range(Fraction(0), Fraction(60))
    assert one.fields["x"] == [1, 2]


def test_alternatives_texts_and_ends() -> None:
    found = parse_caps('video/x-raw,a="x, y;z";image/jpeg,')
    assert [each.media for each in found] == ["video/x-raw", "image/jpeg"]
    assert found[0].fields == {"a": "x, y;z"}
    assert parse_caps("video/x-raw,a=(string)7")[0].fields == {"a": "7"}
    assert parse_caps("ANY")[0].media == "ANY"


@pytest.mark.parametrize(
    ("text", "at", "message"),
    [
        ("x-raw", 0, "begin with a media type"),
        ("video/x-raw width=1", 12, "is not expected in caps"),
        ("video/x-raw,width", 12, "is no field=value"),
        ("video/x-raw,width=", 18, "a value is missing"),
        ("video/x-raw,width=(itn)3", 18, "Did you mean 'int'?"),
        ("video/x-raw,width=[1", 20, "']' is missing"),
        ("video/x-raw,width=[1]", 18, "two ends"),
        ("video/x-raw,framerate=30/0", 22, "denominator 0"),
    ],
)
def test_what_is_wrong(text: str, at: int, message: str) -> None:
    with pytest.raises(CapsError, match=r".") as caught:
        parse_caps(text)
    assert (caught.value.at, message in str(caught.value)) == (at, True), (caught.value.at, caught.value)
