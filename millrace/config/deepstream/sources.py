"""[sourceN], [source-list] with [source-attr-all], `source: csv-file-path`, and the sources of sample applications."""

from __future__ import annotations

import csv
import os
import re
from typing import Any

from ...core.errors import ConfigError
from ...deepstream import Report, Section, resolve
from ...deepstream.keyfile import Entry, Group
from ...deepstream.paths import substitute
from ..plan import Stream
from .parts import MEMORY, App, At
from .recording import smart_record

SOUND = "sound is saved and played beside pictures; there is no analysis of it"
TYPES = {
    1: "camera", 2: "uri", 3: "uris", 4: "rtsp", 5: "csi", 6: "a sound file", 7: "sound of a URI", 8: "a microphone",
    9: "IPC",
}  # fmt: skip
_SEI = "user data in SEI is read always: frames have it in extras, and `extract` takes it"
_DECODER = "the decoder looks after its own buffers"
_NUMBERS = "streams are numbered in their order"
_LIST = "the REST interface of nvmultiurisrcbin is not there: streams are added by `millrace.Run.streams` in Python"


def read_sources(app: App) -> None:
    """Put the streams of the file into the plan."""
    report = app.report
    shared = report.section("source-attr-all")
    listed = report.section("source-list")
    if listed.given:
        _list(app, listed, shared)
    elif shared.given:
        shared.ignore("there is no [source-list]", *(entry.key for entry in shared.group.entries))
    for _, section in report.sections(r"source\d+"):
        if app.on(section):
            number = int(section.group.name.removeprefix("source"))
            _source(app, section, number)
    plain = report.section("source")
    if plain.given:
        _plain(app, plain)


def _source(app: App, section: Section, number: int) -> None:
    kind = section.integer("type", None)
    count = section.integer("num-sources", 1, least=1)
    uri = section.text("uri", "") or ""
    if not uri and kind in (2, 3, 4):
        uri, app.uri = app.uri, ""
    options, live = _options(section), {}
    before = len(app.plan.streams)
    if kind is None and "type" in section:
        return  # it is no number, which is noted
    if kind not in TYPES:
        known = ", ".join(f"{n} ({name})" for n, name in TYPES.items())
        section.reject("type", f"{kind} is not one of {known}" if "type" in section else f"is missing: one of {known}")
        return
    if kind in (6, 7, 8, 9):
        section.reject("type", f"{TYPES[kind]}: " + (SOUND if kind != 9 else "frames of another process are not read"))
        return
    if kind in (1, 5):
        _camera(app, section, number, kind)
        smart_record(app, section, (), number, False)
        return
    if not uri:
        section.reject("uri", "is missing")
        return
    for index in range(count if kind == 3 else 1):
        try:
            one = uri % index if kind == 3 and re.search(r"%\d*d", uri) else uri
        except (ValueError, TypeError):
            section.reject("uri", f"{uri!r}: only one %d can stand for the number")
            return
        live = options if one.startswith(("rtsp://", "rtsps://")) else {}
        add_stream(app, section, "uri", one, {**_common(section), **live})
    smart_record(app, section, app.plan.streams[before:], number, kind == 4)
    if kind != 3:
        section.ignore("only type 3 has several", "num-sources")


def add_stream(
    app: App, section: Section, key: str, uri: str, options: dict[str, Any] | None = None, name: str = ""
) -> None:
    """A stream of a URI; a path is relative to the file. Files that are not there are noted."""
    where, taken = At(section, {"uri": key}), {stream.name for stream in app.plan.streams}
    name = name if name and name not in taken else f"source{len(app.plan.streams)}"
    other = substitute(uri)
    if other is None and ("://" not in uri or uri.startswith("file://")):
        path = resolve(uri.removeprefix("file://"), app.report.file.path)
        if not os.path.isfile(path):
            app.lack(section, key, str(path), uri.removeprefix("file://"))
        other = os.fspath(path)
    address, options = other or uri, options or {}
    if "://" not in address:
        options = {k: v for k, v in options.items() if k not in ("transport", "jitter", "timeout", "reconnect")}
    app.plan.streams.append(Stream(name, address, options, where=where))


def _common(section: Section) -> dict[str, Any]:
    """What goes for every coded stream."""
    out: dict[str, Any] = {}
    drop = section.integer("drop-frame-interval", 0, least=0)
    if drop > 1:
        out["drop_frame_interval"] = drop
    if section.integer("intra-decode-enable", 0):
        out["skip_frames"] = "non_key"
    if section.integer("low-latency-decode", 0):
        out["low_latency"] = True
    return out


def _options(section: Section) -> dict[str, Any]:
    """What goes for cameras over the network, and the keys that have no effect."""
    wait = section.integer("rtsp-reconnect-interval-sec", 0, least=0)
    attempts = section.integer("rtsp-reconnect-attempts", -1)
    out: dict[str, Any] = {"jitter": section.integer("latency", 100, least=0) / 1000}
    protocol = section.integer("select-rtp-protocol", None)
    protocol = section.integer("set-rtp-protocol", protocol)
    if protocol == 4:
        out["transport"] = "tcp"
    if wait:
        out["timeout"] = float(wait)
    out["reconnect"] = {"attempts": max(attempts, 0)}
    _common(section)
    section.ignore("a stream that does not come at first is tried again, too", "init-rtsp-reconnect-interval-sec")
    section.ignore(_DECODER, "num-decode-surfaces", "num-extra-surfaces", "copy-hw", "udp-buffer-size", "buffer-mode")
    section.ignore("late packets are dropped after `latency`", "drop-on-latency")
    section.ignore("queues between elements have bounds of their own", "leaky", "max-size-buffers")
    section.ignore(MEMORY, "gpu-id", "cudadec-memtype", "nvbuf-memory-type")
    section.ignore(_NUMBERS, "camera-id", "source-id", "sensorID-padID-mapping")
    section.ignore("pictures keep the format that they are decoded to", "video-format")
    section.ignore(_SEI, "extract-sei-type5-data", "sei-uuid")
    section.ignore("the source is no camera of this machine", "camera-width", "camera-height", "camera-fps-n",
                   "camera-fps-d", "camera-v4l2-dev-node", "camera-csi-sensor-id")  # fmt: skip
    section.ignore("`pace` reads files at their own speed", "simulate-fps-interval-ms")
    section.ignore(SOUND, "alsa-device")
    return out


def _camera(app: App, section: Section, number: int, kind: int) -> None:
    width, height = section.integer("camera-width", 0, least=0), section.integer("camera-height", 0, least=0)
    numerator, denominator = section.integer("camera-fps-n", 0, least=0), section.integer("camera-fps-d", 0, least=0)
    fps = numerator / denominator if numerator and denominator else None
    node = section.integer("camera-v4l2-dev-node", 0, least=0)
    uri, options = f"/dev/video{node}", {"size": f"{width}x{height}" if width and height else None, "fps": fps}
    if kind == 5:
        uri, options = "pattern:", {"width": width or None, "height": height or None, "fps": fps}
        app.remarks.append(f"[{section.group.name}] type 5: a test pattern, as DeepStream has it on x86")
    replaced = substitute(uri)
    given = {key: value for key, value in options.items() if value is not None} if replaced is None else {}
    where = At(section, {"uri": "camera-v4l2-dev-node"})
    app.plan.streams.append(Stream(f"source{len(app.plan.streams)}", replaced or uri, given, where=where))
    _options(section)
    for key in ("camera-width", "camera-height", "camera-fps-n", "camera-fps-d", "camera-v4l2-dev-node"):
        section.note(key, "")
    section.ignore("a camera has no address", "uri", "num-sources", "latency")


def _list(app: App, listed: Section, shared: Section) -> None:
    """[source-list]: a list of URIs, whose attributes [source-attr-all] gives. Sample applications have it alone."""
    uris = listed.texts("list", ())
    names = listed.texts("sensor-name-list", ())
    ids = listed.texts("sensor-id-list", ())
    count = listed.integer("num-source-bins", len(uris), least=0)
    if not app.sample and not shared.given:
        listed.reject("list", "needs the group [source-attr-all]")
    if "num-source-bins" in listed and count != len(uris):
        listed.reject("num-source-bins", f"is {count}, and `list` has {len(uris)}")
    if names and len(names) != len(uris):
        listed.reject("sensor-name-list", f"has {len(names)} names, and `list` has {len(uris)} addresses")
    if ids and not names:
        names = ids
    options = {**_options(shared), **_common(shared)}
    shared.ignore("the list gives each address and its kind", "type", "uri", "num-sources")
    shared.integer("enable", 1)
    for index, uri in enumerate(uris):
        add_stream(app, listed, "list", uri, options, names[index] if index < len(names) else "")
        smart_record(app, shared, app.plan.streams[-1:], index, uri.startswith(("rtsp://", "rtsps://")))
    listed.ignore(_LIST, "use-nvmultiurisrcbin", "http-ip", "http-port", "max-batch-size")
    listed.ignore("names of streams stand in all outputs", "stream-name-display", "sensor-id-list")
    listed.ignore("batches are made as the device takes them best", "sgie-batch-size")
    listed.ignore(_SEI, "extract-sei-type5-data", "sei-uuid")
    listed.ignore("`low_latency` of a stream says it", "low-latency-mode")
    listed.ignore("the payload of messages is set at the sink", "dummy-payload", "custom-ts-to-rfc",
                  "batched-sensor-name")  # fmt: skip
    listed.ignore("errors of streams go to the log and to `millrace.Run`, not to a broker", "enable-error-propagation",
                  "proto-lib", "conn-str", "topic")  # fmt: skip


def _plain(app: App, section: Section) -> None:
    """`source`: in YAML a CSV of sources; in sample applications a file or a list."""
    table = section.path("csv-file-path", None)
    if table is not None:
        if not os.path.isfile(table):
            app.lack(section, "csv-file-path", str(table), section.text("csv-file-path", ""))
        else:
            _table(app, str(table))
    for key in ("location", "uri-list", "list"):
        for uri in section.texts(key, ()):
            add_stream(app, section, key, uri, {})
    section.ignore(_LIST, "ip-address", "port", "max-batch-size")
    section.ignore("it is a setting of the batcher, which has none here", "drop-pipeline-eos", "live-source",
                   "batched-push-timeout", "width", "height")  # fmt: skip
    section.note("enable", "") if "enable" in section else None


def _table(app: App, path: str) -> None:
    """A CSV whose header names keys of [sourceN], one row for each source."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = [(number, row) for number, row in enumerate(csv.reader(file), 1)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    lines = [(number, row) for number, row in lines if row and not row[0].lstrip().startswith("#")]
    if not lines:
        raise ConfigError(f"{path}: it has no header: a row of keys of [sourceN]")
    header = [cell.strip() for cell in lines[0][1]]
    report = Report(type(app.report.file)(path, app.report.file.notation))
    for index, (number, row) in enumerate(lines[1:]):
        group = Group(f"source{index}", number)
        cells = zip(header, row, strict=False)
        group.entries = [Entry(key, cell.strip(), number) for key, cell in cells if cell.strip()]
        report.file.groups[group.name] = group
        section = report.section(group.name)
        one = App(report, app.plan, app.missing, app.remarks, sample=app.sample)
        if one.on(section):
            _source(one, section, index)
    report.finish()
    app.remarks += report.warnings()
