"""Sinks: what each kind becomes, and where several go."""

from __future__ import annotations

import json

import pytest
from config.deepstream.conftest import FRAMES, MODELS, SOURCES

from millrace.config.deepstream import load_app
from millrace.core.errors import ConfigError
from millrace.summary import Run

BROKER = """[sink0]
enable=1
type=6
msg-conv-payload-type=1
msg-conv-frame-interval=5
msg-broker-proto-lib=/opt/nvidia/deepstream/deepstream/lib/libnvds_kafka_proto.so
msg-broker-conn-str=127.0.0.1;9092
topic=found
"""


def branches(app):
    return app.plan.line[-1].branches


def test_rtsp(write):
    app = load_app(write(SOURCES, "[sink0]\nenable=1\ntype=4\ncodec=2\nbitrate=500000\nrtsp-port=8600\nsync=1"))
    [_, encode, serve] = branches(app)["source0"]
    assert dict(encode.settings) == {"codec": "h265", "bitrate": 500000}
    assert dict(serve.settings) == {"port": 8600, "name": "ds-test", "sync": True}


def test_broker(write):
    app = load_app(write(SOURCES, MODELS, BROKER))
    [publish] = branches(app)["sink0"]
    assert publish.settings["broker"] == "kafka://127.0.0.1:9092/found"
    assert (publish.settings["payload"], publish.settings["every"]) == ("deepstream-minimal", 5)


def test_messages_of_the_common_converter(write):
    shared = "disable-msgconv=1\n[message-converter]\nenable=1\nmsg-conv-payload-type=0\nmsg-conv-frame-interval=2\n"
    app = load_app(write(SOURCES, MODELS, BROKER, shared))
    [publish] = branches(app)["sink0"]
    assert (publish.settings["payload"], publish.settings["every"]) == ("deepstream", 2)


def test_a_place_to_fill_in_is_missing(write, folder, monkeypatch):
    text = BROKER.replace("127.0.0.1;9092", "<host>;<port>;<topic>")
    app = load_app(write(SOURCES, MODELS, text))
    assert "<host>;<port>;<topic> is a place to fill in" in str(app.missing[0])
    (folder / "subst.yaml").write_text(f'"<host>;<port>;<topic>": file://{folder}/sent.jsonl')
    monkeypatch.setenv("MILLRACE_SUBSTITUTIONS", str(folder / "subst.yaml"))
    app = load_app(write(SOURCES, MODELS, text))
    assert app.missing == []
    Run(app.plan).run()
    sent = [json.loads(line) for line in (folder / "sent.jsonl").read_text().splitlines()]
    assert len(sent) == 2 * -(-FRAMES // 5)


def test_adapters_that_are_none(write):
    with pytest.raises(ConfigError, match=r"app.txt:\d+: \[sink0\] msg-broker-proto-lib: .*libnvds_kafka_proto.so"):
        load_app(write(SOURCES, MODELS, BROKER.replace("libnvds_kafka", "libmine")))


def test_several_windows(write):
    sinks = "".join(f"[sink{n}]\nenable=1\ntype=2\nsource-id={n}\nsync=0\nwidth=320\n" for n in (0, 1))
    app = load_app(write(SOURCES, sinks))
    made = branches(app)
    assert list(made) == ["source0", "source1"] and app.remarks == []
    assert [line[-1].settings for line in made.values()] == [
        {"sync": False, "title": f"millrace sink{n}", "width": 320} for n in (0, 1)
    ]


@pytest.mark.parametrize(("container", "path"), [(1, "out.mp4"), (2, "out.mkv")])
def test_files_without_an_ending(write, container, path):
    sink = f"[sink0]\nenable=1\ntype=3\noutput-file=out\ncontainer={container}"
    assert branches(load_app(write(SOURCES, sink)))["source0"][-1].settings["path"] == path
