"""smart-record and [message-consumerN]: what the keys amount to, and a whole application whose cameras are recorded."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest
import yaml

import millrace
from millrace.brokers import open_broker
from millrace.brokers.base import Message
from millrace.config import loads
from millrace.config.build import build
from millrace.config.deepstream import load_app
from millrace.config.plan import Select, Step, Tee
from millrace.config.write import dumps
from millrace.core.errors import ConfigError
from millrace.elements.rtsp import Rtsp
from millrace.summary import Run
from millrace.testing.brokers import Mosquitto
from millrace.testing.clips import numbered_clip, read_frame_number
from millrace.testing.ports import free_port

SOURCE = """
[source{n}]
enable=1
type=4
uri={uri}
smart-record={mode}
{more}
"""
CONSUMER = """
[message-consumer0]
enable=1
proto-lib=/opt/nvidia/deepstream/deepstream/lib/libnvds_mqtt_proto.so
conn-str=127.0.0.1;{port}
subscribe-topic-list=commands;more
sensor-list-file=sensors.txt
"""


def until(true: Callable[[], Any], seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(true())


def recorders(line: list[Any]) -> dict[str, dict[str, Any]]:
    tee = line[0]
    assert isinstance(tee, Tee) and tee.side
    found = {}
    for select, record in tee.branches.values():
        assert isinstance(select, Select) and isinstance(record, Step) and record.element == "recorder"
        found[select.stream] = dict(record.settings)
    return found


def test_every_key_has_its_setting(write: Any, folder: Path) -> None:
    more = (
        "camera-id=7\nsmart-rec-dir-path=rec\nsmart-rec-file-prefix={gate}\nsmart-rec-cache=20\nsmart-rec-container=1\n"
        "smart-rec-start-time=4\nsmart-rec-default-duration=9\nsmart-rec-duration=6\nsmart-rec-interval=12\n"
    )
    (folder / "rec").mkdir()
    uri = "rtsp://127.0.0.1:1/x"
    path = write(SOURCE.format(n=0, uri=uri, mode=2, more=more), SOURCE.format(n=3, uri=uri, mode=1, more=""))
    app = load_app(path)
    assert app.report.warnings() == [] and app.missing == []
    assert recorders(app.plan.line) == {
        "source0": {
            "path": "rec/{{gate}}_7_{number:05d}_{time}_{pid}.mkv", "cache": 20.0, "before": 4.0, "after": 6.0,
            "interval": 12.0, "known_as": "recorder-source0",
        },
        "source1": {
            "path": "./Smart_Record_3_{number:05d}_{time}_{pid}.mp4", "cache": 30.0, "before": 1.0, "after": 10.0,
            "known_as": "recorder-source1",
        },
    }  # fmt: skip
    assert {finding.status for finding in app.report.findings() if "smart" in finding.key} == {"applied"}
    ours = loads(dumps(app.plan))
    assert recorders([Tee({n: b for n, b in ours.line[0].branches.items() if n != "main"}, side=True)]) == recorders(
        app.plan.line
    )
    build(ours)


def test_only_rtsp_sources_are_recorded_and_a_folder_must_be_there(write: Any) -> None:
    file = "[source0]\nenable=1\ntype=3\nuri=file://street.mp4\nsmart-record=2\nsmart-rec-cache=10\n"
    app = load_app(write(file))
    assert app.recorders == {}
    whys = {f.key: f.why for f in app.report.findings() if "smart" in f.key}
    assert set(whys.values()) == {"only sources of type 4 (RTSP) are recorded, as in DeepStream"}
    with pytest.raises(ConfigError, match=r"smart-rec-dir-path: /nowhere is no folder that can be written to"):
        load_app(write(SOURCE.format(n=0, uri="rtsp://127.0.0.1:1/x", mode=1, more="smart-rec-dir-path=/nowhere")))


def test_consumers_say_who_may_start_and_stop(write: Any, folder: Path) -> None:
    (folder / "sensors.txt").write_text("[sensor0]\nenable=1\nid=GATE\n[sensor5]\nenable=1\nid=FAR\n")
    (folder / "cfg.txt").write_text(
        '[message-broker]\nconsumer-group-id=mine\nproto-cfg="a=b"\nclient-id=me\nconsumergroup=g\nconsumername=c\n'
    )
    source = SOURCE.format(n=0, uri="rtsp://127.0.0.1:1/x", mode=1, more="")
    app = load_app(write(source, CONSUMER.format(port=1883)))
    [listen] = app.plan.listen
    assert listen.broker == "mqtt://127.0.0.1:1883/?qos=1" and listen.topics == ("commands", "more")
    assert listen.sensors == {"GATE": "source0"} and listen.allow == ("start-recording", "stop-recording")
    for kind, wanted in (
        ("kafka", "kafka://127.0.0.1:1883/?auto.offset.reset=earliest&group.id=mine&a=b"),
        ("redis", "redis://127.0.0.1:1883/?group=g&consumer=c"),
        ("mqtt", "mqtt://127.0.0.1:1883/?qos=1"),
    ):
        text = CONSUMER.format(port=1883).replace("mqtt", kind) + "config-file=cfg.txt\n"
        [listen] = load_app(write(source, text)).plan.listen
        assert listen.broker.rstrip("&") == wanted
    blank = CONSUMER.format(port=1).replace("127.0.0.1;1", "<host>;<port>")
    assert "is a place to fill in" in load_app(write(source, blank)).missing[0].text
    off = load_app(write(source, CONSUMER.format(port=1).replace("enable=1", "enable=0")))
    assert off.plan.listen == [] and off.missing == []


@pytest.fixture
def cameras(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Serves a numbered clip for ever by RTSP."""
    runs: list[Run] = []

    def serve(name: str) -> str:
        clip = numbered_clip(tmp_path / f"{name}.mp4", 100, 160, 120, gop=10)
        element = Rtsp(port=0)
        run = millrace.open(str(clip), name=name, loop=0).add(element).start()
        runs.append(run)
        assert until(lambda: element.server.mounts)
        return f"rtsp://127.0.0.1:{element.listens_on}/{name}"

    yield serve
    for run in runs:
        run.close()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    if missing := Mosquitto.missing():
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    (tmp_path / "broker").mkdir()
    server = Mosquitto(tmp_path / "broker")
    server.start()
    server.prepare()
    yield server
    server.close()


def numbers(path: Path) -> list[int]:
    with av.open(str(path)) as file:
        first = next(packet for packet in file.demux(video=0))
        assert first.is_keyframe
        file.seek(0)
        return [read_frame_number(frame.to_ndarray(format="gray")) for frame in file.decode(video=0)]


def watched(url: str) -> tuple[int, int] | None:
    """The width of what a player sees, and how many of 30 pictures; None before anything is served."""
    try:
        with av.open(url, options={"rtsp_transport": "tcp"}, timeout=(20, 20)) as shown:
            frames = shown.decode(video=0)
            return shown.streams.video[0].width, sum(1 for _, _ in zip(range(30), frames, strict=False))
    except av.error.HTTPNotFoundError:
        return None


def test_an_application_records_serves_and_publishes(
    write: Any, folder: Path, cameras: Any, mosquitto: Mosquitto
) -> None:
    (folder / "sensors.txt").write_text("[sensor0]\nenable=1\nid=GATE\n")
    (folder / "rec").mkdir()
    more = "smart-rec-dir-path=rec\nsmart-rec-file-prefix=clip\nsmart-rec-start-time=1\nsmart-rec-duration=1\n"
    port = free_port()
    sinks = (
        f"[sink0]\nenable=1\ntype=4\ncodec=1\nrtsp-port={port}\n[sink1]\nenable=1\ntype=6\nmsg-conv-payload-type=1\n"
        f"msg-conv-msg2p-new-api=1\nmsg-conv-frame-interval=5\nmsg-broker-proto-lib=libnvds_mqtt_proto.so\n"
        f"msg-broker-conn-str=127.0.0.1;{mosquitto.port}\ntopic=cams\n[tiled-display]\nenable=1\nrows=1\ncolumns=2\n"
        "width=320\nheight=120\n"
    )
    path = write(
        SOURCE.format(n=0, uri=cameras("gate"), mode=1, more=more),
        SOURCE.format(n=1, uri=cameras("yard"), mode=2, more=more + "smart-rec-interval=2\nsmart-rec-container=1"),
        CONSUMER.format(port=mosquitto.port),
        sinks,
    )
    app = load_app(path)
    assert app.missing == []
    run = Run(app.plan)
    said: list[str] = []
    run.pipeline.bus.subscribe(lambda m: said.append(m.text) if m.kind in ("warning", "error") else None)
    run.start()
    try:
        assert until(lambda: watched(f"rtsp://127.0.0.1:{port}/ds-test") == (320, 30)), said
        broker = open_broker(mosquitto.url)
        broker.connect()
        start = json.dumps({"command": "start-recording", "sensor": {"id": "GATE"}})
        broker.send([Message("c1", "commands", "k", start.encode())])
        broker.close()
        gate = folder / "rec"
        assert until(lambda: list(gate.glob("clip_0_00001_*.mp4"))), said
        assert until(lambda: len(list(gate.glob("clip_1_*.mkv"))) >= 2), said
        time.sleep(2.5)
    finally:
        run.close()
    assert said == []
    [clip] = gate.glob("clip_0_00001_*.mp4")
    seen = numbers(clip)
    assert seen[0] % 10 == 0 and 40 <= len(seen) <= 75  # a second before, one after, whole groups of pictures
    assert all((after - before) % 100 == 1 for before, after in pairwise(seen))
    timed = numbers(sorted(gate.glob("clip_1_00001_*.mkv"))[0])
    assert timed[0] % 10 == 0 and 40 <= len(timed) <= 75
    bodies = [json.loads(each.body) for each in mosquitto.received(4)]
    assert {body["sensorId"] for body in bodies} == {"source0", "source1"} and bodies[0]["version"] == "4.0"


def test_a_file_of_nvidia_s_own_records_at_a_message(
    folder: Path, deepstream_corpus: Path, cameras: Any, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """test5_config_file_src_infer.txt with what its comments tell users to fill in, on a camera."""
    configs = deepstream_corpus / "DeepStream/src/apps/sample_apps/deepstream-test5/configs"
    text = (configs / "test5_config_file_src_infer.txt").read_text()
    text = text.replace("type=3\nuri=", "type=4\nsmart-record=1\nsmart-rec-cache=10\nuri=", 1)
    text = re.sub(r"(\[source1\]\n)enable=1", r"\1enable=0", text)
    text = re.sub(r"(\[message-consumer0\]\n)enable=0", r"\1enable=1", text)
    text = re.sub(r"(\[sink0\]\nenable=1\n#.*\n)type=2", rf"\1type=4\nrtsp-port={free_port()}", text)
    (folder / "app.txt").write_text(text)
    known = {
        "file:///opt/nvidia/deepstream/deepstream/samples/streams/sample_1080p_h264.mp4": cameras("gate"),
        "config_infer_primary.txt": "primary.txt", "labels.txt": "labels.txt",
        "config_tracker_NvDCF_perf.yml": "tracker.yml",
        "dstest5_msgconv_sample_config.txt": str(configs / "dstest5_msgconv_sample_config.txt"),
        "<host>;<port>;<topic>": f"mqtt://127.0.0.1:{mosquitto.port}/cams",
        "<host>;<port>": f"mqtt://127.0.0.1:{mosquitto.port}/commands",
    }  # fmt: skip
    (folder / "subst.yaml").write_text(yaml.safe_dump(known))
    monkeypatch.setenv("MILLRACE_SUBSTITUTIONS", str(folder / "subst.yaml"))
    monkeypatch.chdir(folder)
    app = load_app(folder / "app.txt")
    assert [str(each) for each in app.missing if each.key != "model-engine-file"] == []
    run = Run(app.plan)
    said: list[str] = []
    run.pipeline.bus.subscribe(lambda m: said.append(m.text) if m.kind in ("warning", "error") else None)
    run.start()
    try:
        assert until(lambda: run.frames > 10), said
        broker = open_broker(known["<host>;<port>"])
        broker.connect()
        start = {"command": "start-recording", "sensor": {"id": "0"}, "start": "", "end": ""}
        broker.send([Message("c1", "commands", "k", json.dumps(start).encode())])
        assert until(lambda: list(folder.glob("Smart_Record_0_00001_*.mp4"))), said
        time.sleep(0.5)
        broker.send([Message("c2", "commands", "k", b'{"command": "stop-recording", "sensor": {"id": "0"}}')])
        broker.close()
        time.sleep(0.5)
    finally:
        run.close()
    [clip] = folder.glob("Smart_Record_0_00001_*.mp4")
    assert said == []
    assert len(numbers(clip)) > 20
    [first, *_] = mosquitto.received(2)
    told = json.loads(first.body)
    assert told["sensor"]["id"].startswith("HWY_20_AND_LOCUST") and told["mdsversion"] == "1.0"
    assert "vehicle" in told["object"] and told["analyticsModule"]["id"]
