"""[sinkN]: nothing, a window, a file, RTSP, a broker; and the sinks of sample applications."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...brokers.nvmsgbroker import address
from ...core.errors import ConfigError
from ...deepstream import Section
from ...deepstream.paths import substitute
from ..plan import Line, Select, Tee
from .parts import MEMORY, App, At, step

TYPES = {1: "fake", 2: "window", 3: "file", 4: "rtsp", 5: "window", 6: "broker"}
PAYLOADS = {0: "deepstream", 1: "deepstream-minimal", 2: "deepstream-protobuf"}
_CODECS = {1: "h264", 2: "h265", 3: "mpeg4"}
_ENCODING = ("codec", "bitrate", "iframeinterval", "profile", "enc-type", "sw-preset", "container", "output-file",
             "rtsp-port", "udp-port", "udp-buffer-size", "copy-meta", "output-io-mode")  # fmt: skip
_BROKER = ("topic", "disable-msgconv", "new-api", "sleep-time", "multiple-payloads", "debug-payload-dir")


@dataclass(slots=True)
class Sink:
    """Where frames of one stream or of the tiles go. `broker`: it wants what was found, not the picture."""

    name: str
    line: Line
    source: int = 0
    single: bool = False  # link-to-demux
    broker: bool = False


def read_sinks(app: App) -> list[Sink]:
    """The sinks that are on, in the order of the file."""
    found: list[Sink] = []
    for _, section in app.report.sections(r"sink\d+"):
        if app.on(section):
            found += _sink(app, section)
    return found


def _sink(app: App, section: Section) -> list[Sink]:
    kind = section.choice("type", None, TYPES)
    if kind is None:
        section.need("type")
        return []
    sync = bool(section.integer("sync", 0))
    source = section.integer("source-id", 0, least=0)
    single = bool(section.integer("link-to-demux", 0))
    _no_effect(section, kind)
    lines = {"fake": _fake, "window": _window, "file": _file, "rtsp": _rtsp}
    line = _broker(app, section) if kind == "broker" else lines[kind](section, sync)
    return [Sink(section.group.name, line, source, single, kind == "broker")]


def _no_effect(section: Section, kind: str) -> None:
    section.ignore(MEMORY, "gpu-id", "nvbuf-memory-type", "compute-hw", "copy-meta", "output-io-mode")
    section.ignore("nothing is dropped for being late", "qos")
    if kind != "window":
        section.ignore("the sink has no window", "width", "height")
    section.ignore("rates and latencies are shown by `--perf` and the summary", "nvdslogger", "show-fps",
                   "show-latency")  # fmt: skip
    section.ignore("it is for Jetson's display", "color-range", "conn-id", "plane-id", "set-mode")
    if kind not in ("file", "rtsp"):
        section.ignore("the sink encodes nothing", *_ENCODING)
    if kind != "broker":
        keys = [key for _, key in section.keys(r"msg-(conv|broker)-.*")]
        section.ignore("the sink sends no messages", *keys, *_BROKER)


def _fake(section: Section, sync: bool) -> Line:
    if sync:
        section.ignore("nothing waits where nothing is shown", "sync")
    return []


def _window(section: Section, sync: bool) -> Line:
    size = {key: section.integer(key, 0, least=0) or None for key in ("width", "height")}
    given = {"sync": sync, "title": f"millrace {section.group.name}", **size}
    return [step(section, "window", given, {key: key for key in size})]


def _encode(section: Section) -> Line:
    codec = section.choice("codec", "h264", _CODECS)
    bitrate = section.integer("bitrate", 0, least=0)
    gop = section.integer("iframeinterval", 0, least=0)
    section.ignore("the encoder is the one there is on this machine", "enc-type", "sw-preset")
    section.ignore("the encoder chooses the profile", "profile")
    settings = {"codec": codec, "bitrate": max(bitrate, 1000) if bitrate else None, "gop": gop or None}
    return [step(section, "encode", settings, {"gop": "iframeinterval", **{k: k for k in ("codec", "bitrate")}})]


def _file(section: Section, sync: bool) -> Line:
    line = _encode(section)
    path = section.text("output-file", "")
    container = section.choice("container", ".mp4", {1: ".mp4", 2: ".mkv"})
    if not path:
        section.reject("output-file", "is missing")
    elif Path(path).suffix.lower() not in (".mp4", ".mkv", ".mov", ".webm", ".ts", ".avi"):
        path += container
        section.note("output-file", f"{path}: the ending names the container")
    elif "container" in section and Path(path).suffix.lower() != container:
        section.ignore("the ending of output-file names the container", "container")
    if sync:
        section.ignore("a file is written as fast as it can be; its times are those of the stream", "sync")
    section.ignore("it belongs to type 4", "rtsp-port", "udp-port", "udp-buffer-size")
    return [*line, step(section, "file", {"path": path}, {"path": "output-file"})]


def _rtsp(section: Section, sync: bool) -> Line:
    line = _encode(section)
    port = section.integer("rtsp-port", 8554, least=0, most=65535)
    section.note("rtsp-port", f"rtsp://127.0.0.1:{port}/ds-test; others may watch where `host` of rtsp lets them")
    section.ignore("there is no hop over UDP inside", "udp-port", "udp-buffer-size")
    section.ignore("it belongs to type 3", "output-file", "container")
    settings = {"port": port, "name": "ds-test", "sync": sync}
    return [*line, step(section, "rtsp", settings, {"port": "rtsp-port"})]


def _broker(app: App, section: Section) -> Line:
    """[sinkN] of type 6; what it leaves to [message-converter] is taken from there."""
    library = section.text("msg-broker-proto-lib", "") or section.text("proto-lib", "") or ""
    connection = section.text("msg-broker-conn-str", "") or section.text("conn-str", "") or ""
    topic = section.text("topic", "") or ""
    config = app.file(section, "msg-broker-config")
    shared = bool(section.integer("disable-msgconv", 0))
    converter = app.report.section("message-converter") if shared else section
    if shared:
        keys = [key for _, key in section.keys(r"msg-conv-.*")]
        section.ignore("[message-converter] makes the messages (disable-msgconv)", *keys)
    settings = payload(app, converter, "msg-conv-", 0 if shared else 30)
    section.ignore("the delivery paces itself", "sleep-time", "new-api")
    section.ignore("components have no numbers here", "msg-broker-comp-id", "msg-conv-comp-id")
    if not library:
        section.reject("msg-broker-proto-lib", "is missing: the path of DeepStream's adapter")
        return []
    return publish(app, section, settings, "msg-broker-conn-str", (library, connection, config, topic))


def publish(
    app: App, section: Section, settings: dict[str, Any], key: str, parts: tuple[str, str, str | None, str]
) -> Line:
    """The step that sends messages. `parts`: the adapter, its connection string (of this key), its file, the topic.

    The file of substitutions may give an address of ours for the connection string or the adapter; one whose
    connection string is still a place to fill in (`<host>;<port>`) counts as missing.
    """
    library, connection, _, _ = parts
    other = substitute(connection, library, Path(library).name)
    if other is not None:
        settings["broker"] = other
    elif connection.startswith("<"):
        why = f"{connection} is a place to fill in: the broker's address"
        app.lack(section, key, connection, connection, why)
        return []
    else:
        try:
            settings["broker"], _ = address(*parts)
        except ConfigError as error:
            if "azure_edge" in library:
                app.lack(section, key.replace("conn-str", "proto-lib"), library, library, str(error))
                return []
            section.reject(key if "connection" in str(error) else key.replace("conn-str", "proto-lib"), str(error))
            return []
    return [step(section, "publish", settings, {"broker": key})]


def payload(app: App, section: Section, prefix: str, interval: int) -> dict[str, Any]:
    """The settings of publish that a message converter's keys amount to."""
    kind = section.choice(f"{prefix}payload-type", "deepstream", PAYLOADS)
    new = section.integer(f"{prefix}msg2p-new-api", 0) or section.integer(f"{prefix}msg2p-newapi", 0)
    every = section.integer(f"{prefix}frame-interval", interval, least=0)
    config = app.file(section, f"{prefix}config")
    options: dict[str, Any] = {"config": config} if config else {}
    if kind == "deepstream-minimal":
        options |= {"newapi": bool(new), "dummy": bool(section.integer(f"{prefix}dummy-payload", 0))}
    section.ignore("compiled converters are not loaded: `payload: module:function` names one in Python",
                   f"{prefix}msg2p-lib")  # fmt: skip
    section.ignore("components have no numbers here", f"{prefix}comp-id")
    section.ignore("it belongs to embeddings and to payloads of a program's own", f"{prefix}embedding-filter",
                   f"{prefix}dummy-payload", "multiple-payloads", "debug-payload-dir")  # fmt: skip
    kind = "deepstream-new" if new and kind == "deepstream" else kind
    return {"payload": kind, "every": max(every, 1), "options": options or None}


def branch(app: App, sinks: list[Sink], draw: Line) -> dict[str, Line]:
    """A branch for each single stream that sinks show: the stream, what is drawn on it, its sinks."""
    streams, out = app.streams(), {}
    for number in sorted({sink.source for sink in sinks}):
        mine = [sink for sink in sinks if sink.source == number]
        section = app.report.section(mine[0].name)
        if number >= len(streams):
            section.note("source-id", f"there is no stream {number}: the sink shows nothing, as in DeepStream")
            continue
        chosen = Select(streams[number], At(section, {"stream": "source-id"}))
        if line := outs(mine, draw):
            out[streams[number]] = [chosen, *line]
    return out


def outs(sinks: list[Sink], draw: Line) -> Line:
    """What is drawn, and the sinks beside each other; nothing is drawn where nobody sees it."""
    lines = {sink.name: sink.line for sink in sinks if sink.line}
    if not lines:
        return []
    if len(lines) == 1:
        return [*draw, *next(iter(lines.values()))]
    return [*draw, Tee(dict(lines), side=True)]
