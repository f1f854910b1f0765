"""smart-record keys of sources → `recorder`, and [message-consumerN] → who may start and stop it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...brokers.msgconv import Msgconv
from ...brokers.nvmsgbroker import address
from ...core.errors import ConfigError
from ...deepstream import Section
from ...deepstream.paths import substitute
from ..plan import Line, Listen, Select, Step, Stream, Tee
from .parts import App, At, step

CONTAINERS = {0: ".mp4", 1: ".mkv"}
PREFIX = "Smart_Record"
CACHE, DURATION, BEFORE, INTERVAL = 30, 10, 1, 10  # seconds where a key is 0 (libnvdsgst_smartrecord, deepstream-app)
_KEYS = ("smart-rec-dir-path", "smart-rec-file-prefix", "smart-rec-cache", "smart-rec-video-cache",
         "smart-rec-container", "smart-rec-start-time", "smart-rec-default-duration", "smart-rec-duration",
         "smart-rec-interval")  # fmt: skip


def smart_record(app: App, section: Section, streams: Sequence[Stream], number: int, records: bool) -> None:
    """Note the recorder that a source asks for; only RTSP sources (`records`) have one, as in DeepStream."""
    mode = section.integer("smart-record", 0, least=0, most=2)
    if not mode or not records:
        why = "smart-record is off" if not mode else "only sources of type 4 (RTSP) are recorded, as in DeepStream"
        section.ignore(why, *_KEYS)
        if mode:
            section.ignore(why, "smart-record")
        return
    camera = section.integer("camera-id", number, least=0)
    section.note("camera-id", "it stands in the names of recordings") if "camera-id" in section else None
    folder = section.text("smart-rec-dir-path", "") or "."
    if not (os.path.isdir(folder) and os.access(folder, os.W_OK)):
        section.reject("smart-rec-dir-path", f"{folder} is no folder that can be written to")
    prefix = section.text("smart-rec-file-prefix", "") or PREFIX
    ending = section.choice("smart-rec-container", ".mp4", CONTAINERS)
    cache = section.integer("smart-rec-video-cache", 0, least=0)
    cache = section.integer("smart-rec-cache", cache, least=0)
    usual = section.integer("smart-rec-default-duration", 0, least=0)
    duration = section.integer("smart-rec-duration", 0, least=0)
    interval = section.integer("smart-rec-interval", INTERVAL, least=0)
    base = os.path.join(folder, f"{prefix}_{camera}").replace("{", "{{").replace("}", "}}")
    settings = {
        "path": f"{base}_{{number:05d}}_{{time}}_{{pid}}{ending}",
        "cache": float(cache or CACHE),
        "before": float(section.integer("smart-rec-start-time", 0, least=0) or BEFORE),
        "after": float(duration or usual or DURATION),
        "interval": float(interval or INTERVAL) if mode == 2 else None,
    }
    for stream in streams:
        known = {**settings, "known_as": f"recorder-{stream.name}"}
        app.recorders[stream.name] = step(section, "recorder", known, {"path": "smart-rec-dir-path"})


def recorders(app: App) -> Line:
    """The branches of packets that are recorded, before anything is decoded."""
    branches: dict[str, Line] = {}
    for name, record in app.recorders.items():
        where = record.where
        branches[f"record-{name}"] = [Select(name, where), Step(record.element, record.settings, where=where)]
    return [Tee(branches, side=True)] if branches else []


def consumers(app: App) -> None:
    """[message-consumerN]: brokers whose messages start and stop recordings."""
    for _, section in app.report.sections(r"message-consumer\d+"):
        if not app.on(section):
            continue
        library, connection = section.text("proto-lib", "") or "", section.text("conn-str", "") or ""
        topics = section.texts("subscribe-topic-list", ())
        listed = app.file(section, "sensor-list-file")
        config = app.file(section, "config-file") if "<" not in (section.text("config-file", "") or "") else None
        if not library:
            section.reject("proto-lib", "is missing: the path of DeepStream's adapter")
            continue
        if (broker := _broker(app, section, library, connection, config)) is None:
            continue
        topics = tuple(topic for topic in topics if not topic.startswith("<"))
        sensors = _sensors(app, section, listed) if listed and os.path.isfile(listed) else {}
        app.plan.listen.append(Listen(broker, topics, sensors=sensors, where=At(section, {"broker": "conn-str"})))
        if not app.recorders:
            section.note("enable", "no source has smart-record: there is nothing that its messages could start")


def _broker(app: App, section: Section, library: str, connection: str, config: str | None) -> str | None:
    other = substitute(connection, library, os.path.basename(library))
    if other is not None:
        return other
    if connection.startswith("<"):
        why = f"{connection} is a place to fill in: the broker's address"
        app.lack(section, "conn-str", connection, connection, why)
        return None
    try:
        return address(library, connection, config, consume=True)[0]
    except ConfigError as error:
        section.reject("conn-str" if "connection" in str(error) else "proto-lib", str(error))
        return None


def _sensors(app: App, section: Section, path: str) -> dict[str, str]:
    """The streams of the sensors that a file lists, by their ids."""
    names = [stream.name for stream in app.plan.streams]
    try:
        listed = Msgconv(path).ids()
    except ConfigError as error:
        section.reject("sensor-list-file", str(error))
        return {}
    return {id: names[number] for number, id in listed.items() if number < len(names)}
