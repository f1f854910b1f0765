"""Whatever stands in a launch line: it is read, or there is one LaunchError with a column; nothing hangs."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.config import loads
from millrace.config.launch import LaunchError, load_launch
from millrace.config.launch.caps import CapsError, parse_caps
from millrace.config.launch.table import table
from millrace.config.write import dumps

KNOWN = table().elements
VALUES = st.one_of(
    st.sampled_from(
        ["1", "0", "-1", "true", "a.mp4", '"a b"', "99999999999999999999", "1:2:3:4", "video/x-raw,width=3", "0.5",
         "30/1",         "video/x-raw", "rtsp://u:p@h/x", "x;y", "<URI>", "downstream", "0:2", "cbr", "'",
         '"', "h;1", "libnvds_mqtt_proto.so"]
    ),
    st.text(max_size=6),
)  # fmt: skip


@st.composite
def elements(draw: st.DrawFn) -> str:
    """An element with some of its properties."""
    name = draw(st.sampled_from(sorted(KNOWN)))
    keys = sorted([*KNOWN[name].applied, *KNOWN[name].ignored])
    chosen = draw(st.lists(st.sampled_from(keys), max_size=3, unique=True)) if keys else []
    given = [f"{key}={draw(VALUES)}" for key in chosen if key != "name"]
    named = draw(st.sampled_from(["", "", "", " name=m", " name=t"]))
    return " ".join([name, *given]) + named


WORDS = st.one_of(
    elements(), elements(), st.just("!"), st.just("!"), st.just("!"),
    st.sampled_from(
        ["m.", "t.", "m.sink_0", "m.sink_1", "t.src_0", "( ", " )", "! video/x-raw,format=NV12,width=64 !", ".src", ",",
         "! video/x-raw(memory:NVMM),framerate=[1/1,30/1];image/jpeg !", "tee name=t", "nvstreammux name=m",
         "videotestsrc",
         "fakesink", "queue", "! fakesink", "decodebin", "#"]
    ),
)  # fmt: skip
CHAINS = st.lists(
    st.lists(elements(), min_size=1, max_size=4).map(lambda chain: " ! ".join(["videotestsrc", *chain, "fakesink"])),
    min_size=1, max_size=3,
).map(" ".join)  # fmt: skip
LIMIT = timedelta(seconds=20)


def read(line: str) -> None:
    try:
        found = load_launch(line, {})
    except LaunchError as error:
        assert error.column >= 1
        return
    assert loads(dumps(found.plan)).line is not None
    assert found.report()


@given(st.one_of(st.lists(WORDS, max_size=14).map(" ".join), CHAINS))
@settings(max_examples=300, deadline=LIMIT)
def test_words_never_crash(line: str) -> None:
    read(line)


@given(st.text(max_size=80))
@settings(max_examples=200, deadline=LIMIT)
def test_texts_never_crash(line: str) -> None:
    read(line)


@given(
    st.lists(st.sampled_from(["( ", ") ", '"', "'", "\\", "\\ ", "a=", "! ", "x/y", ",", "[", "{", ".", "a"])).map(
        "".join
    )
)
@settings(max_examples=200, deadline=LIMIT)
def test_brackets_and_quotes_never_hang(line: str) -> None:
    read(line)
    read(f"videotestsrc ! {line} ! fakesink")


@given(st.one_of(st.text(max_size=40), st.text("{}[]<>(),;=/\"' ax1", max_size=40).map("video/x-raw,".__add__)))
@settings(max_examples=300, deadline=LIMIT)
def test_caps_never_crash(text: str) -> None:
    try:
        parse_caps(text)
    except CapsError as error:
        assert 0 <= error.at <= len(text)
