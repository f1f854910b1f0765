"""Sample applications whose file has groups of its own: deepstream-3d-action-recognition, lists of Service Maker."""

from __future__ import annotations

from ..plan import Step, Stream, Tee
from .parts import App, At, step
from .sources import add_stream

ACTION = "action-recognition"
LISTED = r"source-list\.\d+"  # a YAML list of mappings


def source_list(app: App) -> None:
    """The streams of a list that an application of Service Maker is given: names and addresses, and nothing else."""
    properties = app.report.section("source-config.properties")
    loop = properties.boolean("file-loop", False)
    for _, section in app.report.sections(LISTED):
        uri = section.text("uri", "") or ""
        name = section.text("sensor-name", None) or section.text("sensor-id", None) or ""
        if not uri:
            section.reject("uri", "is missing")
            continue
        add_stream(app, section, "uri", uri, {"loop": 0} if loop and "rtsp" not in uri[:5] else {}, name)
        section.ignore("streams are called by their sensor-name", "sensor-id")
    app.report.section("source-config").ignore("each address has its own source", "source-bin")
    rest = [entry.key for entry in properties.group.entries if entry.key != "file-loop"]
    properties.ignore("it is a property of DeepStream's own source", *rest)


def action_recognition(app: App) -> None:
    """Put the whole application into the plan: streams, one size, sequences of regions, a model of actions, tiles."""
    section = app.report.section(ACTION)
    for uri in section.texts("uri-list", ()):
        add_stream(app, section, "uri-list", uri)
    if not app.plan.streams and app.uri:
        app.plan.streams.append(Stream("source0", app.uri, where=At(section)))
    line = app.plan.line
    width, height = section.integer("muxer-width", 0, least=0), section.integer("muxer-height", 0, least=0)
    if width and height:
        keys = {"width": "muxer-width", "height": "muxer-height"}
        line.append(step(section, "resize", {"width": width, "height": height}, keys, "streammux"))
    prepared = app.file(section, "preprocess-config")
    if prepared is not None:
        line.append(step(section, "preprocess", {"config": prepared}, {"config": "preprocess-config"}))
    model = app.file(section, "triton-infer-config", "infer-config")
    if model is None:
        section.reject("infer-config", "is missing: an nvinfer or nvinferserver file (triton-infer-config)")
    else:
        key = "triton-infer-config" if "triton-infer-config" in section else "infer-config"
        given = {"model": model, "prepared": True if prepared is not None else None}
        line.append(step(section, "infer", given, {"model": key}))
    tiles = {
        "width": section.integer("tiler-width", 1280, least=16),
        "height": section.integer("tiler-height", 720, least=16),
    }
    shown = step(section, "window", {"sync": bool(section.integer("display-sync", 1))})
    if section.integer("fakesink", 0) == 0:
        keys = {"width": "tiler-width", "height": "tiler-height"}
        draw = Step("draw", {"confidence": False, "trails": 0.0})
        line.append(Tee({"tiles": [step(section, "tile", {**tiles, "labels": False}, keys), draw, shown]}, side=True))
    if section.integer("enable-fps", 0):
        app.perf = 5.0
    section.ignore("frames of files wait for each other, those of live streams do not", "muxer-batch-timeout")
    section.ignore("-v tells more", "debug")
