"""Groups that have no step of their own here, and the sinks of sample applications."""

from __future__ import annotations

from ..plan import Line
from .parts import MEMORY, App, step
from .sinks import Sink, payload, publish

_NMOS = "deepstream-nmos takes its streams from an NMOS registry by SDP: name the stream as a source instead"
_EMBEDDINGS = "embeddings for search by text are not there"
_GROUPS = {
    r"message-converter|msgconv": "messages are made at the sink",
    r"img-save": "deepstream-app reads the group and does nothing with it; the element `images` saves pictures",
    r"visionencoder|text-embedder": _EMBEDDINGS,
    r"audio-.*": "analysis of sound is out of scope: sound is saved and played only",
    r"receiver\d+": _NMOS,
    r"nvxfer": MEMORY,
    r"video-template": "it runs a compiled library (nvocdr): take models of text, `parser: dbnet` and `parser: text`",
    r"secondary-postprocess\d+": "compiled post-processing is not loaded: how outputs are read is recognised",
    r"meta-mux": "the branches of all models are joined frame by frame",
}


def pass_over(app: App) -> None:
    """Note why the groups that are left have no effect."""
    report = app.report
    for pattern, why in _GROUPS.items():
        for _, section in report.sections(pattern):
            given = [entry.key for entry in section.group.entries if entry.key not in section.taken]
            section.ignore(why, *given)
    application = report.section("application")
    if any(report.sections(r"receiver\d+")):
        application.ignore(_NMOS, "seed", "host-name", "http-port")


def sample_sinks(app: App) -> list[Sink]:
    """What a sample application shows: its window, file or nothing. [] for files of deepstream-app itself."""
    report = app.report
    if not app.sample:
        return []
    found = _broker(app)
    chosen = [name for name in ("eglsink", "filesink", "fakesink") if app.on(report.section(name))]
    sink, output = report.section("sink"), report.section("output")
    sync = bool(sink.integer("sync", 1))
    shows = sink.choice("sink-type", "window", {1: "window", 2: "file", 3: "fake"})
    sink.ignore("nothing is dropped for being late", "qos")
    sink.ignore("the encoder is the one there is on this machine", "enc-type")
    sink.ignore(MEMORY, "gpu-id")
    if output.given:
        chosen = ["output"]
    if not chosen:
        chosen = {"window": ["eglsink"], "file": ["filesink"], "fake": ["fakesink"]}[shows]
    lines: dict[str, Line] = {
        "eglsink": [step(sink, "window", {"sync": sync})], "filesink": _file(app, "filesink", "location", "out.mp4"),
        "output": _file(app, "output", "filename", "out"), "fakesink": [],
    }  # fmt: skip
    return found + [Sink(name, lines[name]) for name in chosen]


def _file(app: App, group: str, key: str, default: str) -> Line:
    section = app.report.section(group)
    path = section.text(key, default) or default
    bitrate = section.integer("bitrate", None, least=1000)
    codec = section.choice("codec", "h264", {0: "h264", 1: "h264", 2: "h265"})
    section.integer("type", 1)
    section.ignore("the encoder is the one there is on this machine", "enc-type", "enc")
    section.ignore("a file is written as fast as it can be; its times are those of the stream", "sync")
    path = path if "." in path.rpartition("/")[2] else f"{path}.mp4"
    encode = step(section, "encode", {"codec": codec, "bitrate": bitrate}, {"bitrate": "bitrate"})
    return [encode, step(section, "file", {"path": path}, {"path": key})]


def _broker(app: App) -> list[Sink]:
    """`msgbroker` and `msgconv` of deepstream-test4."""
    section = app.report.section("msgbroker")
    if not section.given:
        return []
    settings = payload(app, app.report.section("msgconv"), "", 30)
    texts = [section.text(key, "") or "" for key in ("proto-lib", "conn-str", "topic")]
    section.ignore("the delivery paces itself", "sync")
    parts = (texts[0], texts[1], app.file(section, "config"), texts[2])
    return [Sink("msgbroker", publish(app, section, settings, "conn-str", parts), broker=True)]
