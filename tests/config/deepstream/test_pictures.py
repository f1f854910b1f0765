"""[streammux], [dewarperN], [segvisual], [replay], [ds-example]."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from config.deepstream.conftest import BOX, FRAMES, MODELS, SOURCES

from millrace.config.deepstream import load_app
from millrace.config.plan import Step
from millrace.core.errors import ConfigError
from millrace.summary import Run

SINK = "[sink0]\nenable=1\ntype=1\n"


def settings(app, element: str) -> dict:
    (found,) = [step for step in app.plan.line if isinstance(step, Step) and step.element == element]
    return dict(found.settings)


def lines(app, place: int) -> list[dict]:
    """What is known at a place of the line."""
    app.plan.line.insert(place, Step("json", {"path": "found-{stream}.jsonl"}))
    assert not Run(app.plan).run().errors
    return [json.loads(each) for path in sorted(Path().glob("found-*.jsonl")) for each in path.read_text().splitlines()]


def test_boxes_are_in_the_pixels_of_the_muxer(write):
    app = load_app(write(SOURCES.replace("width=64", "width=128"), MODELS, SINK))
    assert settings(app, "resize") == {"width": 128, "height": 64}
    found = lines(app, len(app.plan.line))
    assert {(line["width"], line["height"]) for line in found} == {(128, 64)} and len(found) == 2 * FRAMES
    (car,) = found[5]["objects"]
    wanted = [2 * BOX[0], BOX[1], 2 * BOX[2], BOX[3]]
    assert all(abs(a - b) <= 2 for a, b in zip(car["box"], wanted, strict=True))


def test_padding_and_methods(write):
    text = "streammux: {width: 256, height: 64, enable-padding: 1, interpolation-method: 2}\n"
    app = load_app(write("application: {enable-perf-measurement: 0}\n", text, name="app.yml"))
    assert settings(app, "resize") == {"width": 256, "height": 64, "padding": "centre", "method": "cubic"}
    assert not [step for step in load_app(write("[application]\n[streammux]\nwidth=64\n")).plan.line]


def test_the_new_muxer_does_not_scale(write, folder, monkeypatch):
    monkeypatch.setenv("USE_NEW_NVSTREAMMUX", "yes")
    (folder / "mux.txt").write_text("[property]\nbatch-size=2\nadaptive-batching=0\nmax-same-source-frames=1\n")
    app = load_app(write(SOURCES, "config-file-path=mux.txt\n", MODELS, SINK))
    assert app.missing == [] and settings(app, "batch") == {"config": str(folder / "mux.txt")}
    assert not Run(app.plan).run().errors
    app = load_app(write(SOURCES, "config-file-path=none.txt\n"))
    assert "none.txt" in str(app.missing[0])
    monkeypatch.delenv("USE_NEW_NVSTREAMMUX")
    app = load_app(write(SOURCES, "config-file-path=none.txt\n"))
    assert app.missing == [] and "resize" in [step.element for step in app.plan.line]


DEWARPER = """[property]
output-width=48
output-height=32
num-batch-buffers=2
[surface0]
projection-type=4
width=96
height=64
src-fov=120
top-angle=30
bottom-angle=-30
[surface1]
projection-type=6
width=96
height=64
src-fov=120
top-angle=30
bottom-angle=-30
"""


def test_a_dewarper_makes_streams_of_a_source(write, folder):
    (folder / "dewarper.txt").write_text(DEWARPER)
    group = "[dewarper0]\nenable=1\nconfig-file=dewarper.txt\nnum-surfaces-per-frame=2\n[dewarper1]\nenable=0\n"
    tiles = "[tiled-display]\nenable=1\nrows=0\ncolumns=0\n"
    app = load_app(write(SOURCES.replace("[streammux]", "[unused]"), group, tiles, SINK))
    wanted = {"config": str(folder / "dewarper.txt"), "streams": ["source0", "source1"]}
    assert settings(app, "dewarp") == wanted
    found = lines(app, 1)
    assert {line["stream"] for line in found} == {"source0.0", "source0.1", "source1.0", "source1.1"}
    assert {(line["width"], line["height"]) for line in found} == {(48, 32)} and len(found) == 4 * FRAMES
    sinks = "".join(f"[sink{n}]\nenable=1\ntype=3\noutput-file=out{n}.mp4\nsource-id={n}\n" for n in (0, 3))
    single = load_app(write(SOURCES, group, "[tiled-display]\nenable=0\n", sinks))
    assert list(single.plan.line[-1].branches) == ["source0.0", "source1.1"]
    assert not Run(single.plan).run().errors and Path("out3.mp4").stat().st_size > 0
    with pytest.raises(ConfigError, match=r"\[dewarper0\] config-file: is missing"):
        load_app(write(SOURCES, "[dewarper0]\nenable=1\n"))


def test_labels_in_the_place_of_the_model(write, folder):
    (folder / "labels").mkdir()
    for name, left in (("one.txt", 5), ("two.txt", 9)):
        (folder / "labels" / name).write_text(f"1,-1,{left},5,9,9,0.5\n2,-1,{left},5,9,9,0.5\n")
    group = "[replay]\nenable=1\nlabel-dir=labels\nfile-names=one.txt;two.txt\nlabel-width=64\nlabel-height=64\n"
    group += "interval=1\n"
    app = load_app(write(SOURCES, MODELS, group, SINK))
    given = settings(app, "labels")
    assert given["files"] == ["one.txt", "two.txt"] and given["every"] == 2 and given["loop"]
    assert [step.element for step in app.plan.line] == ["resize", "labels", "track", "infer"]
    found = [line for line in lines(app, 2) if line["stream"] == "source1"]
    assert [len(line["objects"]) for line in found] == [1, 0] * (FRAMES // 2)
    assert found[0]["objects"][0]["box"] == [8, 4, 17, 13] and found[0]["objects"][0]["label"] == "Person"
    app = load_app(write(SOURCES, group.replace("two.txt", "none.txt")))
    assert "none.txt" in str(app.missing[0])


def test_class_maps_and_the_example(write):
    more = "[segvisual]\nenable=1\nwidth=128\nheight=128\nalpha=0.5\noriginal-background=1\n"
    more += "[ds-example]\nenable=1\nfull-frame=1\nprocessing-width=64\nunique-id=7\n"
    app = load_app(write(SOURCES, MODELS, more, SINK))
    assert settings(app, "segview") == {"width": 128, "height": 128, "alpha": 0.5, "original": True}
    assert settings(app, "dsexample")["unique_id"] == 7 and settings(app, "dsexample")["full_frame"]
    assert app.report.warnings() == []
    found = lines(app, len(app.plan.line))
    assert found[3]["width"] == 128 and [each["label"] for each in found[3]["objects"]] == ["car", "Obj0", "Obj1"]
    without = load_app(write(SOURCES, more, SINK))
    said = {each.key: each.why for each in without.report.findings() if each.group == "segvisual"}
    assert "there is no [primary-gie] that is on" in said["alpha"]


ACTION = """[action-recognition]
uri-list=file://street.mp4;street.mp4
display-sync=0
fakesink=0
infer-config=primary.txt
muxer-width=128
muxer-height=64
muxer-batch-timeout=40000
tiler-width=256
tiler-height=128
debug=0
enable-fps=1
"""


def test_the_application_of_actions(write):
    app = load_app(write(ACTION))
    assert app.missing == [] and app.report.warnings() == [] and app.perf == 5
    assert [step.element for step in app.plan.line[:-1]] == ["resize", "infer"]
    assert [step.element for step in app.plan.line[-1].branches["tiles"]] == ["tile", "draw", "window"]
    app = load_app(write(ACTION.replace("fakesink=0", "fakesink=1")))
    found = lines(app, len(app.plan.line))
    assert len(found) == 2 * FRAMES and found[0]["width"] == 128 and found[0]["objects"][0]["label"] == "car"
    with pytest.raises(ConfigError, match=r"\[action-recognition\] infer-config: is missing"):
        load_app(write(ACTION.replace("infer-config=primary.txt", "")))


def test_a_list_of_sources(write):
    text = """
source-list:
- uri: file://street.mp4
  sensor-id: id1
  sensor-name: gate
- uri: rtsp://10.0.0.7/main
  sensor-id: yard
source-config:
  source-bin: nvurisrcbin
  properties:
    file-loop: true
    latency: 100
"""
    app = load_app(write(text, name="list.yaml"))
    gate, yard = app.plan.streams
    assert (gate.name, gate.options, yard.name, yard.uri) == ("gate", {"loop": 0}, "yard", "rtsp://10.0.0.7/main")
    assert app.report.warnings() == [] and app.plan.line == []
    with pytest.raises(ConfigError, match=r"list.yaml:2: \[source-list.0\] uri: is missing"):
        load_app(write("source-list:\n- sensor-id: a\n", name="list.yaml"))
