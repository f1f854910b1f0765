"""Launch lines as plans: what each element becomes, streams, branches, and every error with its column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from millrace.config.launch import LaunchError, load_launch
from millrace.config.write import dumps
from millrace.deepstream import paths
from millrace.testing.clips import write_video

ENDS = "filesrc location=a.mp4 ! qtdemux ! h264parse ! nvv4l2decoder"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clip of each kind."""
    monkeypatch.chdir(tmp_path)
    for name in (paths.ROOT, paths.SUBSTITUTIONS, "USE_NEW_NVSTREAMMUX"):
        monkeypatch.delenv(name, raising=False)
    for name in ("a.mp4", "b.mp4", "c.mkv"):
        write_video(name, [np.full((64, 64, 3), 90, np.uint8)] * 3)
    (tmp_path / "net.txt").write_text("[property]\nonnx-file=a.mp4\ngie-unique-id=1\n")
    return tmp_path


def made(line: str) -> dict[str, Any]:
    """The plan as our YAML has it."""
    data: dict[str, Any] = yaml.safe_load(dumps(load_launch(line).plan))
    return data


def steps(line: str) -> list[Any]:
    pipeline: list[Any] = made(line)["pipeline"]
    return pipeline


def test_the_first_tutorial() -> None:
    line = (
        f"{ENDS} ! m.sink_0 nvstreammux name=m batch-size=1 width=1280 height=720 ! nvvideoconvert ! "
        "dsexample full-frame=1 ! nvdsosd ! autovideosink"
    )
    assert steps(line) == [
        {"expect": {"codec": ["h264"], "by": "h264parse"}},
        {"resize": {"width": 1280, "height": 720, "name": "m"}},
        {"dsexample": {"full_frame": True}},
        {"draw": {"confidence": False, "trails": 0.0, "boxes": True, "labels": True, "ids": True, "masks": True}},
        {"window": {"sync": True}},
    ]


def test_models_tracker_and_what_they_are_called() -> None:
    line = (
        f"{ENDS} ! m.sink_0 nvstreammux name=m width=64 height=64 ! "
        "nvinfer config-file-path=net.txt name=cars interval=2 ! nvtracker ll-lib-file=x.so ! "
        "nvinfer config-file-path=net.txt unique-id=2 infer-on-gie-id=1 "
        "infer-on-class-ids=0:2 input-tensor-meta=1 ! fakesink"
    )
    _, _, first, track, second = steps(line)
    assert first == {"infer": {"model": "net.txt", "every": 3, "name": "cars"}}
    assert track == {"track": {"reset_ids": "never"}}
    on = {"stage": "cars", "classes": [0, 2]}
    assert second == {
        "infer": {"model": "net.txt", "prepared": True, "on": on, "number": 2, "name": "nvinfer1"}
    }  # fmt: skip


def test_streams_are_in_the_order_of_the_pads() -> None:
    line = (
        f"uridecodebin uri=file://{Path.cwd()}/b.mp4 ! m.sink_1 nvstreammux name=m width=64 height=64 ! "
        f"nvmultistreamtiler rows=1 columns=2 show-source=1 ! fakesink "
        f"uridecodebin uri=file://{Path.cwd()}/a.mp4 ! m.sink_0"
    )
    plan = load_launch(line).plan
    assert [(stream.name, Path(str(stream.uri)).name) for stream in plan.streams] == [
        ("source0", "a.mp4"), ("source1", "b.mp4")
    ]  # fmt: skip
    assert steps(line)[-1]["tile"]["show"] == "source1"


def test_streams_treated_alike_go_one_line_others_have_branches() -> None:
    mux = "nvstreammux name=m width=64 height=64 ! fakesink"
    alike = f"{ENDS} ! m.sink_0 {ENDS} ! m.sink_1 {mux}"
    assert [next(iter(step)) for step in steps(alike)] == ["expect", "resize"]
    other = f"{ENDS} ! m.sink_0 {ENDS} ! nvvideoconvert flip-method=2 ! m.sink_1 {mux}"
    tee, resize = steps(other)
    expect = {"expect": {"codec": ["h264"], "by": "h264parse"}}
    assert tee == {
        "tee": {
            "source0": [{"select": "source0"}, expect],
            "source1": [{"select": "source1"}, expect, {"flip": {"direction": "half"}}],
        }
    }
    assert resize == {"resize": {"width": 64, "height": 64, "name": "m"}}


def test_demux_and_batch_again() -> None:
    line = (
        f"nvstreammux name=m width=64 height=64 ! nvstreamdemux name=d {ENDS} ! m.sink_0 {ENDS} ! m.sink_1 "
        "d.src_0 ! queue ! c.sink_0 nvstreammux name=c width=64 height=64 ! nvmultistreamtiler columns=2 ! fakesink "
        "d.src_1 ! videoflip method=clockwise ! c.sink_1"
    )
    found = steps(line)
    assert found[2] == {
        "tee": {
            "source0": [{"select": "source0"}],
            "source1": [{"select": "source1"}, {"flip": {"direction": "clockwise"}}],
        }
    }
    assert [next(iter(step)) for step in found] == ["expect", "resize", "tee", "resize", "tile"]


def test_branches_that_end_stand_beside_the_line() -> None:
    line = (
        f"{ENDS} ! tee name=t t. ! queue leaky=downstream max-size-buffers=3 ! autovideosink name=seen "
        "t. ! x264enc bitrate=500 ! mp4mux ! filesink location=out.mp4"
    )
    queue = {"policy": "drop_oldest", "size": 3}
    assert steps(line)[1] == {
        "tee": {
            "queue0": [{"window": {"title": "seen", "sync": True, "name": "seen", "queue": queue}}],
            "x264enc0": [{"encode": {"codec": "h264", "bitrate": 500000}}, {"file": {"path": "out.mp4"}}],
        }
    }  # fmt: skip


def test_one_source_through_two_branches_is_joined_by_metamux() -> None:
    line = (
        f"{ENDS} ! tee name=t t. ! nvinfer config-file-path=net.txt ! x.sink_0 "
        "t. ! nvinfer config-file-path=net.txt ! x.sink_1 nvdsmetamux name=x active-pad=sink_1 ! fakesink"
    )
    tee, join = steps(line)[1:]
    assert list(tee["tee"]) == ["nvinfer0", "nvinfer1"]
    assert join == {"join": {"first": 1, "name": "x"}}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("videotestsrc pattern=ball num-buffers=9 ! video/x-raw,width=64,height=32,framerate=5/1",
         {"uri": "pattern:", "width": 64, "height": 32, "fps": 5.0, "frames": 9, "pattern": "ball"}),
        ("multifilesrc location=f/%04d.png index=4 caps=image/png,framerate=2/1 loop=true ! pngdec",
         {"uri": "f/%04d.png", "fps": 2.0, "loop": 0, "start": 2.0}),
        ("rtspsrc location=rtsp://h/x latency=200 protocols=tcp user-id=u user-pw=p ! rtph264depay ! avdec_h264",
         {"uri": "rtsp://u:p@h/x", "jitter": 0.2, "transport": "tcp"}),
        ("nvurisrcbin uri=rtsp://h/x rtsp-reconnect-interval=7 rtsp-reconnect-attempts=3 select-rtp-protocol=4",
         {"uri": "rtsp://h/x", "transport": "tcp", "timeout": 7.0, "reconnect": {"attempts": 3}}),
        ("filesrc location=a.mp4 ! qtdemux ! nvv4l2decoder drop-frame-interval=3 skip-frames=2",
         {"uri": "a.mp4", "drop_frame_interval": 3, "skip_frames": "non_key"}),
        ("v4l2src device=/dev/video2 ! image/jpeg,width=640,height=480,framerate=15/1 ! jpegdec",
         {"uri": "/dev/video2", "size": "640x480", "fps": 15.0, "pixels": "mjpeg"}),
        ("udpsrc port=5000 ! application/x-rtp,encoding-name=H264 ! rtph264depay ! h264parse ! avdec_h264",
         "gst:udpsrc port=5000 ! application/x-rtp,encoding-name=H264 ! rtph264depay"),
    ],
)  # fmt: skip
def test_sources(line: str, wanted: Any) -> None:
    (Path.cwd() / "f").mkdir()
    assert made(f"{line} ! fakesink")["streams"] == {"source0": wanted}


@pytest.mark.parametrize(
    ("between", "wanted"),
    [
        ("nvvideoconvert src-crop=8:8:32:32", [{"crop": {"box": [8.0, 8.0, 40.0, 40.0]}}]),
        ("nvvideoconvert dest-crop=0:0:32:32", [{"resize": {"box": [0.0, 0.0, 32.0, 32.0]}}]),
        ("nvvideoconvert interpolation-method=Algo-1 ! video/x-raw(memory:NVMM),width=32,height=32",
         [{"resize": {"width": 32, "height": 32, "method": "cubic"}}]),
        ("videoscale ! video/x-raw,width=32", [{"resize": {"width": 32}}]),
        ("videoconvert ! video/x-raw,format=GRAY8", [{"convert": {"format": "GRAY8"}}]),
        ("videoconvert ! video/x-raw,format=RGBA", []),
        ("videorate max-rate=5", [{"rate": {"fps": 5.0, "repeat": False}}]),
        ("videorate ! video/x-raw,framerate=10/1", [{"rate": {"fps": 10.0}}]),
        ("videocrop left=4 bottom=8", [{"crop": {"left": 4, "bottom": 8}}]),
        ("videoflip video-direction=ul-lr", [{"flip": {"direction": "transpose"}}]),
        ("identity eos-after=5", [{"limit": {"count": 5}}]),
        ("valve drop=true", ["discard"]),
        ("video/x-raw,width=[1,100]", [{"expect": {"width": [1, 100], "by": "caps"}}]),
        ("nvof ! nvofvisual", ["flow", "flowview"]),
        ("nvsegvisual width=64 height=32", [{"segview": {"width": 64, "height": 32}}]),
    ],
)  # fmt: skip
def test_pictures(between: str, wanted: list[Any]) -> None:
    assert steps(f"filesrc location=a.mp4 ! decodebin ! {between} ! fakesink") == wanted


@pytest.mark.parametrize(
    ("end", "wanted"),
    [
        ("x264enc speed-preset=1 key-int-max=30 pass=quant quantizer=20 ! matroskamux ! filesink location=o.mkv",
         [{"encode": {"codec": "h264", "quality": 20, "preset": "ultrafast", "gop": 30}}, {"file": {"path": "o.mkv"}}]),
        ("nvv4l2h265enc bitrate=1000000 ! h265parse ! matroskamux ! filesink location=o.mp4",
         [{"encode": {"codec": "hevc", "bitrate": 1000000}}, {"file": {"path": "o.mp4", "format": "matroska"}}]),
        ("jpegenc quality=100 ! filesink location=o.jpg",
         [{"encode": {"codec": "mjpeg", "quality": 2}}, {"file": {"path": "o.jpg", "format": "mjpeg"}}]),
        ("jpegenc quality=70 ! multifilesink location=f%05d.jpg",
         [{"images": {"path": "f{index:05d}.jpg", "quality": 70}}]),
        ("pngenc snapshot=true ! filesink location=o.png", [{"limit": {"count": 1}}, {"images": {"path": "o.png"}}]),
        ("videoconvert ! video/x-raw,format=RGBA ! filesink location=o.rgba",
         [{"raw": {"path": "o.rgba", "format": "RGBA"}}]),
        ("nvrtspoutsinkbin rtsp-port=9000 bitrate=500000",
         [{"encode": {"codec": "h264", "bitrate": 500000}}, {"rtsp": {"port": 9000, "name": "ds-test"}}]),
        ("x264enc ! splitmuxsink location=o%02d.mp4 max-size-time=5000000000",
         [{"encode": {"codec": "h264", "bitrate": 2048000}}, {"segments": {"path": "o%02d.mp4", "seconds": 5.0}}]),
        ("nvmsgconv payload-type=1 frame-interval=5 ! nvmsgbroker proto-lib=libnvds_mqtt_proto.so conn-str=h;1883",
         [{"publish": {"payload": "deepstream-minimal", "every": 5, "options": {"newapi": False, "dummy": False},
                       "broker": "mqtt://h:1883/?qos=1"}}]),
        ("fpsdisplaysink video-sink=fakesink", []),
        ("textoverlay text=\"a b\" ! fakesink", [{"gst": {"launch": 'textoverlay text="a b"'}}]),
        ("x264enc ! mpegtsmux ! srtsink uri=srt://:9000",
         [{"encode": {"codec": "h264", "bitrate": 2048000}}, {"gstout": {"launch": "mpegtsmux ! srtsink uri=srt://:9000"}}]),
        ("x264enc ! flvmux ! rtmpsink location='rtmp://h/app/key live=1'",
         [{"encode": {"codec": "h264", "bitrate": 2048000}}, {"push": {"url": "rtmp://h/app/key"}}]),
        ("x264enc ! rtspclientsink location=rtsp://h/x user-id=u user-pw=p protocols=udp",
         [{"encode": {"codec": "h264", "bitrate": 2048000}}, {"push": {"url": "rtsp://u:p@h/x", "transport": "udp"}}]),
        ("x264enc ! rtph264pay ! udpsink host=10.0.0.9 port=5000 sync=false",
         [{"encode": {"codec": "h264", "bitrate": 2048000}}, {"push": {"url": "rtp://10.0.0.9:5000", "sync": False}}]),
        ("x264enc ! hlssink2 target-duration=4 location=s%03d.ts",
         [{"encode": {"codec": "h264", "bitrate": 2048000}},
          {"segments": {"path": "s%03d.ts", "playlist": "playlist.m3u8", "seconds": 4.0, "keep": 10}}]),
        ("avenc_mpeg4 bitrate=300000 ! avimux ! filesink location=o.avi",
         [{"encode": {"codec": "mpeg4", "bitrate": 300000}}, {"file": {"path": "o.avi"}}]),
    ],
)  # fmt: skip
def test_ends(end: str, wanted: list[Any]) -> None:
    assert steps(f"filesrc location=a.mp4 ! decodebin ! {end}") == wanted


def test_playbin_is_a_whole_line() -> None:
    assert steps(f"playbin uri=file://{Path.cwd()}/a.mp4") == ["window"]


def test_packets_go_into_a_file_undecoded() -> None:
    assert steps("filesrc location=a.mp4 ! qtdemux ! h264parse ! matroskamux ! filesink location=o.mkv") == [
        {"expect": {"codec": ["h264"], "by": "h264parse"}}, {"file": {"path": "o.mkv"}}
    ]  # fmt: skip


WRONG = [
    (
        "filesrc location=a.mp4 ! decodebin ! nvinfr ! fakesink",
        38,
        "there is no element 'nvinfr'. Did you mean 'nvinfer'?",
    ),
    ("filesrc locaton=a.mp4 ! decodebin ! fakesink", 9, "filesrc has no property 'locaton'. Did you mean 'location'?"),
    ("videotestsrc num-buffers=many ! fakesink", 26, "num-buffers='many' is not a whole number"),
    ("videotestsrc ! identity name=a ! identity name=b ! a.", 52, "the pad 'sink' of a is linked twice"),
    ("identity name=a ! identity name=b ! a.", 17, "the links go in a circle: "),
    ("videotestsrc name=a a. ! fakesink a. ! fakesink", 35, "the pad 'src' of a is linked twice; put a tee between"),
    (
        "videotestsrc ! m.sink_0 videotestsrc ! m.sink_0 nvstreammux name=m ! fakesink",
        40,
        "'sink_0' of m is linked twice",
    ),
    ("videotestsrc ! m.src_0 nvstreammux name=m ! fakesink", 16, "nvstreammux has no pad 'src_0'. Its pads are sink_0"),
    ("videotestsrc fakesink", 1, "videotestsrc leads nowhere"),
    ("videotestsrc ! fakesink ! fakesink", 25, "fakesink is a sink"),
    ("fakesink", 1, "nothing feeds fakesink"),
    ("filesrc location=a.mp4! decodebin ! fakesink", 18, "a blank is missing before the `!`"),
    (
        "filesrc location=a.mp4 ! autovideosink",
        26,
        "takes pictures, and filesrc gives the bytes of a file: put decodebin",
    ),
    ("filesrc location=a.mp4 ! decodebin ! mp4mux ! filesink location=o.mp4", 38, "put an encoder between"),
    ("videotestsrc ! x265enc ! h265parse ! h264parse ! fakesink", 38, "takes h264, and h265parse gives hevc"),
    ("filesrc location=c.mkv ! qtdemux ! fakesink", 26, "qtdemux reads mp4, and the file is matroska"),
    ("filesrc location=a.mp4 ! h264parse ! fakesink", 26, "the file is mp4: put a demuxer between"),
    ("videotestsrc ! video/x-raw,format=I42O ! fakesink", 16, "Did you mean 'I420'?"),
    ("videotestsrc ! video/x-raw,width=64 ! identity ! video/x-raw,width=32 ! fakesink", 50, "caps behind it ask"),
    ("videotestsrc ! x264enc ! video/x-h265 ! fakesink", 26, "video/x-h265, and h264 comes"),
    ("videotestsrc ! audio/x-raw ! fakesink", 16, "sound and subtitles"),
    ("appsrc ! fakesink", 1, "appsrc is not used here: it is for a program"),
    (
        "videotestsrc ! nvinfer config-file-path=net.txt infer-on-gie-id=7 ! fakesink",
        65,
        "has the unique-id 7; there are: none",
    ),
    ("videotestsrc ! nvmultistreamtiler show-source=3 ! fakesink", 47, "there is no stream 3"),
    ("videotestsrc ! nvinfer ! fakesink", 16, "config-file-path: is missing"),
    (
        "videotestsrc ! nvstreammux name=m width=9 height=9 ! nvstreamdemux name=d d.src_4 ! fakesink",
        83,
        "no stream for src_4",
    ),
    ("videotestsrc ! tee name=t t. ! m.sink_0 t. ! m.sink_1 nvstreammux name=m ! fakesink", 44, "comes to m twice"),
    ("videotestsrc ! x264enc ! filesink location=o.mp4 ! fakesink", 50, "is a sink"),
]


@pytest.mark.parametrize(("line", "column", "message"), WRONG)
def test_what_is_wrong_has_a_column(line: str, column: int, message: str) -> None:
    with pytest.raises(LaunchError) as caught:
        load_launch(line)
    assert message in str(caught.value)
    assert caught.value.column == column, str(caught.value)


def test_what_is_missing_is_told_and_can_be_substituted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "filesrc location=/opt/nvidia/deepstream/deepstream/samples/streams/sample_720p.mp4 ! decodebin ! fakesink"
    [missing] = load_launch(line).missing
    assert "launch column 18: filesrc location: there is no file" in str(missing)
    assert paths.ROOT in str(missing) and paths.SUBSTITUTIONS in str(missing)
    (folder / "subst.yaml").write_text("sample_720p.mp4: a.mp4\n")
    monkeypatch.setenv(paths.SUBSTITUTIONS, str(folder / "subst.yaml"))
    found = load_launch(line)
    assert not found.missing
    assert Path(str(found.plan.streams[0].uri)) == folder / "a.mp4"


def test_places_to_fill_in_are_missing() -> None:
    for line in ("rtspsrc location=rtsp://<host>/x ! decodebin ! fakesink", "uridecodebin uri=URI1 ! fakesink"):
        assert len(load_launch(line).missing) == 1


def test_what_became_of_each_property() -> None:
    found = load_launch(f"gst-launch-1.0 -e {ENDS} ! nvvideoconvert gpu-id=0 flip-method=2 ! fakesink sync=0")
    status = {(each.group, each.key): each.status for each in found.findings}
    assert status == {
        ("gst-launch-1.0", "-e"): "ignored", ("filesrc0", "location"): "applied",
        ("nvvideoconvert0", "gpu-id"): "ignored",
        ("nvvideoconvert0", "flip-method"): "applied", ("fakesink0", "sync"): "applied",
    }  # fmt: skip
    assert "5 properties: 3 applied, 2 ignored" in found.report()


def test_the_new_batcher_does_not_scale() -> None:
    line = f"USE_NEW_NVSTREAMMUX=yes gst-launch-1.0 {ENDS} ! m.sink_0 nvstreammux name=m width=64 height=64 ! fakesink"
    assert [next(iter(step)) for step in steps(line)] == ["expect"]


def test_passwords_are_not_shown() -> None:
    with pytest.raises(LaunchError) as caught:
        load_launch("rtspsrc location=rtsp://user:secret@h/x user-pw=secret ! decodbin ! fakesink")
    assert "secret" not in str(caught.value)
    assert "/x user-pw=****** ! decodbin" in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "qtdemux name=d d.video_0 ! h264parse ! m.video_0 d.audio_0 ! queue ! aacparse ! m.audio_0",
        "qtdemux name=d d. ! h264parse ! m. d. ! queue ! decodebin ! audioconvert ! avenc_aac ! m.",
        "qtdemux name=d d.video_0 ! h264parse ! m. d.audio_0 ! m.audio_0",
        "qtdemux name=d d.video_0 ! h264parse ! m. d.audio_0 ! queue ! avdec_aac ! audioconvert ! autoaudiosink",
    ],
)
def test_sound_goes_into_files_as_it_is(line: str) -> None:
    found = load_launch(f"filesrc location=a.mp4 ! {line} matroskamux name=m ! filesink location=o.mkv")
    assert [step.element for step in found.plan.line] == ["expect", "file"]  # type: ignore[union-attr]
    assert "sound goes into files as it is" in found.remarks[0]


@pytest.mark.parametrize(
    "line",
    [
        "filesrc location=a.mp4 ! qtdemux name=d d.audio_0 ! queue ! aacparse ! avdec_aac ! fakesink",
        "filesrc location=a.mp4 ! decodebin ! audioconvert ! autoaudiosink",
        "videotestsrc ! fakesink alsasrc ! audioconvert ! fakesink",
    ],
)
def test_sound_alone_is_refused(line: str) -> None:
    with pytest.raises(LaunchError, match="there is no analysis of sound"):
        load_launch(line)
