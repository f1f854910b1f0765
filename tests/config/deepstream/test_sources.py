"""Streams of every kind of group, and what each key does to them."""

from __future__ import annotations

import pytest

from millrace.config.deepstream import load_app
from millrace.core.errors import ConfigError


def streams(write, *parts: str, name: str = "app.txt"):
    return [(each.name, each.uri, dict(each.options)) for each in load_app(write(*parts, name=name)).plan.streams]


def test_a_camera_over_the_network(write):
    text = """[application]
[source0]
enable=1
type=4
uri=rtsp://10.0.0.7/main
latency=250
select-rtp-protocol=4
rtsp-reconnect-interval-sec=7
rtsp-reconnect-attempts=-1
drop-frame-interval=3
intra-decode-enable=1
"""
    [(_, uri, options)] = streams(write, text)
    assert uri == "rtsp://10.0.0.7/main"
    assert options == {
        "jitter": 0.25, "transport": "tcp", "timeout": 7.0, "reconnect": {"attempts": 0}, "drop_frame_interval": 3,
        "skip_frames": "non_key",
    }  # fmt: skip


def test_its_substitute_is_a_file(write, folder, monkeypatch):
    (folder / "subst.yaml").write_text("rtsp://10.0.0.7/main: street.mp4")
    monkeypatch.setenv("MILLRACE_SUBSTITUTIONS", str(folder / "subst.yaml"))
    text = "[application]\n[source0]\nenable=1\ntype=4\nuri=rtsp://10.0.0.7/main\nlatency=250"
    assert streams(write, text) == [("source0", str(folder / "street.mp4"), {})]


def test_cameras_of_this_machine(write):
    text = """[application]
[source0]
enable=1
type=1
camera-width=640
camera-height=480
camera-fps-n=30
camera-fps-d=1
camera-v4l2-dev-node=2
[source1]
enable=1
type=5
camera-width=320
camera-height=240
camera-fps-n=15
camera-fps-d=1
"""
    first, second = streams(write, text)
    assert first == ("source0", "/dev/video2", {"size": "640x480", "fps": 30.0})
    assert second == ("source1", "pattern:", {"width": 320, "height": 240, "fps": 15.0})


def test_numbered_addresses(write, folder):
    text = "[application]\n[source3]\nenable=1\ntype=3\nuri=file://clip%02d.mp4\nnum-sources=2"
    assert [uri for _, uri, _ in streams(write, text)] == [f"{folder}/clip00.mp4", f"{folder}/clip01.mp4"]
    with pytest.raises(ConfigError, match="only one %d"):
        streams(write, text.replace("clip%02d", "clip%d-%d"))


LIST = """[application]
[source-list]
num-source-bins=2
list=file://street.mp4;rtsp://10.0.0.7/main;
sensor-id-list=a;b
sensor-name-list=gate;yard
[source-attr-all]
enable=1
type=3
latency=300
"""


def test_a_list_with_names(write, folder):
    first, second = streams(write, LIST)
    assert first == ("gate", str(folder / "street.mp4"), {})
    assert second == ("yard", "rtsp://10.0.0.7/main", {"jitter": 0.3, "reconnect": {"attempts": 0}})


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("num-source-bins=2", "num-source-bins=3", "num-source-bins: is 3, and `list` has 2"),
        ("gate;yard", "gate", "sensor-name-list: has 1 names, and `list` has 2"),
        ("[source-attr-all]", "[osd]", r"list: needs the group \[source-attr-all\]"),
    ],
)
def test_lists_that_do_not_fit(write, before, after, said):
    with pytest.raises(ConfigError, match=said):
        streams(write, LIST.replace(before, after))


def test_a_table_of_sources(write, folder):
    (folder / "sources.csv").write_text(
        "# cameras\nenable,type,uri,num-sources,latency\n1,3,file://street.mp4,2,\n0,3,file://x.mp4,1,\n"
    )
    text = "application: {enable-perf-measurement: 0}\nsource: {csv-file-path: sources.csv}\n"
    found = streams(write, text, name="app.yml")
    assert found == [(f"source{n}", str(folder / "street.mp4"), {}) for n in (0, 1)]
    (folder / "sources.csv").write_text("enable,type,uri\n1,many,file://street.mp4\n")
    with pytest.raises(ConfigError, match=r"sources.csv:2: \[source0\] type: 'many' is not a whole number"):
        streams(write, text, name="app.yml")


def test_an_address_from_outside_stands_where_none_is_given(write, folder):
    path = write("[application]\n[source0]\nenable=1\ntype=2\n[source1]\nenable=1\ntype=2\nuri=file://street.mp4")
    found = load_app(path, ["rtsp://10.0.0.9/a"]).plan.streams
    assert [stream.uri for stream in found] == ["rtsp://10.0.0.9/a", str(folder / "street.mp4")]
    with pytest.raises(ConfigError, match="uri: is missing"):
        load_app(path)
