"""Tokens of a launch line: quotes, escapes, what a shell leaves, and what is no token."""

from __future__ import annotations

import pytest

from millrace.config.launch.lexer import tokens, unescape, unquote
from millrace.config.launch.text import LaunchError, LaunchText


def said(text: str) -> list[tuple[str, ...]]:
    """Kinds with text and value, without the end."""
    return [tuple(part for part in (t.kind, t.text, t.value) if part) for t in tokens(LaunchText(text))[:-1]]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("location=a.mp4", "a.mp4"),
        ("location = a.mp4", "a.mp4"),
        ("location= a.mp4", "a.mp4"),
        ('location="a b.mp4"', "a b.mp4"),
        ("location='a b.mp4'", "a b.mp4"),
        (r"location=a\ b.mp4", "a b.mp4"),
        (r'location="a\"b.mp4"', 'a"b.mp4'),
        ("location=a!b", "a!b"),
        ('"location=a b.mp4"', "a b.mp4"),
        ("location=rtsp://host:8554/x?a=b", "rtsp://host:8554/x?a=b"),
        (r"location=c:\\videos", r"c:\videos"),
    ],
)
def test_values(text: str, value: str) -> None:
    assert said(f"filesrc {text} ! fakesink") == [
        ("element", "filesrc"), ("assignment", "location", value), ("link",), ("element", "fakesink")
    ]  # fmt: skip


def test_references_pads_and_bins() -> None:
    assert said("m. m.sink_0 .src a.b,c ( bin.( )") == [
        ("reference", "m"), ("reference", "m", "sink_0"), ("pad", "src"), ("reference", "a", "b"), (",",),
        ("element", "c"), ("(",), ("bin", "bin"), (")",),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "caps"),
    [
        ("a ! video/x-raw,width=640 ! b", "video/x-raw,width=640"),
        ("a ! video/x-raw(memory:NVMM), format=NV12 ! b", "video/x-raw(memory:NVMM), format=NV12"),
        ("a ! 'video/x-raw(memory:NVMM), format=NV12' ! b", "video/x-raw(memory:NVMM), format=NV12"),
        ('a ! "image/jpeg" ! b', "image/jpeg"),
        (r"a ! video/x-raw,\ width=1 ! b", "video/x-raw, width=1"),
        ("a ! video/x-raw;image/jpeg ! b", "video/x-raw;image/jpeg"),
        ("a : video/x-raw ! b", "video/x-raw"),
    ],
)
def test_caps_between_links(text: str, caps: str) -> None:
    assert said(text) == [("element", "a"), ("link", caps), ("element", "b")]


def test_what_a_shell_takes_away_may_stand() -> None:
    text = "a name=x \\\n  ! b \\ ! c # the end ! of it\n! d"
    assert said(text) == [
        ("element", "a"), ("assignment", "name", "x"), ("link",), ("element", "b"), ("link",), ("element", "c"),
        ("link",), ("element", "d"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ('filesrc location="a.mp4 ! b', 18, 'the quote " of location is not closed'),
        ("a ! 'video/x-raw ! b", 5, "the quote ' is not closed"),
        ("a | b", 3, "'|' is not expected here"),
        ("a ! video/x-raw,width=640", 5, "there must be a `!`"),
        ("a ! 'video/x-raw' b", 19, "a `!` is missing behind the caps"),
        ("a video/x-raw ! b", 3, "stand between two elements"),
        ("a location=", 3, "location= has no value"),
    ],
)
def test_what_is_wrong_has_a_column(text: str, column: int, message: str) -> None:
    with pytest.raises(LaunchError) as caught:
        tokens(LaunchText(text))
    assert caught.value.column == column
    assert message in str(caught.value)
    pointer = str(caught.value).splitlines()
    assert pointer[2].index("^") == pointer[1].index(text[column - 1 :][:3])


def test_escapes() -> None:
    assert unescape(r'a\ b "c\ d"') == r'a b "c\ d"'
    assert unquote(r'"a\"b"') == 'a"b'
    assert unquote("'") == "'"
