"""Sources of a launch line → streams of the plan."""

from __future__ import annotations

import os
import re
from fractions import Fraction
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from ...deepstream.paths import substitute
from ...elements.raw import FORMATS as WRITTEN
from ..plan import Step, Stream
from .caps import Range, Structure
from .files import container_of
from .graph import Node, upstream
from .work import At, Work, locate

_SKIP = {0: None, 1: "non_reference", 2: "non_key"}
_PATTERNS = ("smpte", "mandelbrot", "gradient")


def file(work: Work, node: Node) -> None:
    path = work.file(node, "location")
    if path is None:
        raise work.error(node, "location", "is missing: location=FILE")
    _stream(work, node, "location", path)
    _limit(work, node)
    node.gives.container = container_of(path)


def pictures(work: Work, node: Node) -> None:
    """multifilesrc: a numbered sequence of pictures."""
    text = node.props.get("location")
    if not text:
        raise work.error(node, "location", "is missing: location=frames/%04d.png")
    caps: list[Structure] = node.props.get("caps", [])
    fps = next((each.fields["framerate"] for each in caps if "framerate" in each.fields), None)
    options: dict[str, Any] = {"fps": float(fps)} if isinstance(fps, (Fraction, int)) and fps else {}
    if node.props.get("loop"):
        options["loop"] = 0
    rate = float(options.get("fps", 25.0))
    start = max(node.props.get("start-index", 0), node.props.get("index", 0))
    if start:
        options["start"] = start / rate
    stop = node.props.get("stop-index", -1)
    if stop >= 0:
        options["stop"] = (stop + 1) / rate
    path = locate(text)
    if "%" not in path and "://" not in path and not os.path.exists(path):
        work.lack(node, "location", path, text)
    _stream(work, node, "location", path, options)
    _limit(work, node)


def uri(work: Work, node: Node) -> None:
    key = "uri" if "uri" in node.alias.applied else "location"
    text = node.props.get(key)
    if not text:
        raise work.error(node, key, f"is missing: {key}=file:///path or rtsp://…")
    path = address(work, node, key, text)
    _stream(work, node, key, path)
    _limit(work, node)
    node.gives.container = container_of(path)
    if not node.out:  # playbin shows it, too
        work.add(node, "window")
    if node.gives.kind == "bytes" and path.startswith(("rtsp://", "rtsps://")):
        node.gives.kind = "rtp"


def rtsp(work: Work, node: Node) -> None:
    text = node.props.get("location")
    if not text:
        raise work.error(node, "location", "is missing: location=rtsp://host/path")
    options: dict[str, Any] = {}
    if "latency" in node.props:
        options["jitter"] = node.props["latency"] / 1000
    protocols = str(node.props.get("protocols", "")).strip().lower()
    if protocols in ("4", "tcp", "0x00000004"):
        options["transport"] = "tcp"
    elif protocols in ("1", "udp", "0x00000001"):
        options["transport"] = "udp"
    elif protocols:
        work.note(node, "protocols", "ignored", "the source tries UDP and TCP by itself")
    for key in ("timeout", "tcp-timeout"):
        if node.props.get(key):
            options["timeout"] = node.props[key] / 1e6
    place = address(work, node, "location", text)
    if "user-id" in node.props and "://" in place:
        place = with_user(place, node.props["user-id"], node.props.get("user-pw", ""))
    _stream(work, node, "location", place, options if "://" in place else {})
    node.gives.container = container_of(place)


def nvuri(work: Work, node: Node) -> None:
    text = node.props.get("uri")
    if not text:
        raise work.error(node, "uri", "is missing: uri=file:///path or rtsp://…")
    place = address(work, node, "uri", text)
    _stream(work, node, "uri", place, _options(work, node, place))
    _limit(work, node)


def nvmulti(work: Work, node: Node) -> None:
    """nvmultiurisrcbin: several streams and the batcher."""
    uris = [part.strip() for part in node.props.get("uri-list", "").split(",") if part.strip()]
    if not uris:
        raise work.error(node, "uri-list", "is missing: uri-list=file:///a.mp4,rtsp://…")
    names = [part.strip() for part in node.props.get("sensor-name-list", "").split(",") if part.strip()]
    names = names or [part.strip() for part in node.props.get("sensor-id-list", "").split(",") if part.strip()]
    if names and len(names) != len(uris):
        key = "sensor-name-list" if "sensor-name-list" in node.props else "sensor-id-list"
        raise work.error(node, key, f"there are {len(names)} names for {len(uris)} addresses")
    for index, one in enumerate(uris):
        place = address(work, node, "uri-list", one)
        where = At(work.graph, node, {"uri": "uri-list"})
        name = names[index] if names else ""
        node.streams.append(Stream(name, place, _options(work, node, place), where=where))
    from .pictures import scaled

    scaled(work, node)


def camera(work: Work, node: Node) -> None:
    device = str(node.props.get("device", node.props.get("device-index", "/dev/video0")))
    options: dict[str, Any] = {}
    width, height = _shape(work, node, "width"), _shape(work, node, "height")
    if width and height:
        options["size"] = f"{width}x{height}"
    if rate := _shape(work, node, "framerate"):
        options["fps"] = float(rate)
    if codec := _shape(work, node, "codec"):
        options["pixels"] = codec
        node.gives.kind, node.gives.codecs = "coded", (str(codec),)
    _shape(work, node, "format")
    other = substitute(device)
    _stream(work, node, "device", other or device, options if other is None else {})
    _limit(work, node)


def screen(work: Work, node: Node) -> None:
    rate = _shape(work, node, "framerate")
    _stream(work, node, "display-name", "screen://", {"fps": float(rate)} if rate else {})
    _limit(work, node)


def pattern(work: Work, node: Node) -> None:
    """videotestsrc."""
    names = {number: name for name, number in work_types("pattern").items()}
    shown = names[node.props.get("pattern", 0)]
    _pattern(work, node, shown, 30)


def nvpattern(work: Work, node: Node) -> None:
    """nvvideotestsrc: a pattern, or the raw pictures of a file."""
    if "location" in node.props:
        options = raw_options(work, node)
        if node.props.get("file-loop"):
            options["loop"] = 0
        if node.props.get("is-live"):
            options["pace"] = True
        work.note(node, "pattern", "ignored", "the pictures come from a file")
        _stream(work, node, "location", raw_uri(work.file(node, "location") or ""), options)
        _limit(work, node)
        return
    _pattern(work, node, _PATTERNS[node.props.get("pattern", 0)], 30)


def _pattern(work: Work, node: Node, shown: str, rate: int) -> None:
    fps = _shape(work, node, "framerate") or Fraction(rate)
    options: dict[str, Any] = {
        "width": _shape(work, node, "width") or 320, "height": _shape(work, node, "height") or 240,
        "fps": float(fps) or float(rate),
    }  # fmt: skip
    count = node.props.get("num-buffers", -1)
    if count >= 0:
        options["frames"] = max(1, count)
    if node.props.get("is-live"):
        options["pace"] = True
    options |= _picture(work, node, shown)
    _stream(work, node, "pattern", "pattern:", options)
    grey = _shape(work, node, "format") == "GRAY8"
    if grey:
        work.add(node, "convert", {"format": "GRAY8"})


def _picture(work: Work, node: Node, shown: str) -> dict[str, Any]:
    """The settings of the source for one of GStreamer's patterns."""
    from ...sources.patterns import NAMES

    out: dict[str, Any] = {"pattern": shown}
    if shown not in NAMES:
        out = {}
        work.note(node, "pattern", "ignored", f"there is no picture {shown!r}: bars that move are shown")
    if speed := node.props.get("horizontal-speed", 0):
        out["speed"] = speed
    if "foreground-color" in node.props and shown == "solid-color":
        out["colour"] = f"#{node.props['foreground-color'] & 0xFFFFFF:06x}"
    return out


# raw pictures of files


_AS = {"P010_10LE": "P010", "GRAY16_LE": "GRAY16", "RGBx": "RGBA", "BGRx": "BGRA"}  # what raw:// calls them
FORMATS = (
    *WRITTEN, "UYVP", "NV16", "NV24", "NV61", "v210", "v308", "AYUV", "Y41B", "YVU9", "YUV9", "RGB16", "BGR16", "RGB15",
    "BGR15", "A420", "ARGB64", "r210", "RGB10A2_LE", "GRAY10_LE32", "NV12_10LE32", "P016_LE", "P012_LE", "Y210", "Y410",
    "VUYA", "IYU1", "IYU2", "GBRA", "NV12_64Z32", "ABGR64_LE", "RGBP", "BGRP", "AV12",
)  # fmt: skip


def rawparse(work: Work, node: Node) -> None:
    """videoparse: the file before it holds raw pictures."""
    source = next((each for each in upstream(node) if each.alias.kind == "source"), None)
    if source is None or not source.streams:
        raise work.graph.error(
            node.part.at, f"{node.part.element} reads raw pictures of a file: filesrc ! {node.part.element}"
        )
    names = {number: name for name, number in work_types("rawformat").items()}
    given = names[node.props.get("format", 2)].upper().replace("-", "_")
    known = {name.upper(): name for name in WRITTEN}
    kind = _read_as(work, node, "format", known.get(given, given))
    width, height = node.props.get("width", 320), node.props.get("height", 240)
    fps = float(node.props.get("framerate", Fraction(25)))
    stream = source.streams[0]
    stream.uri = raw_uri(str(stream.uri))
    own = {"width": width, "height": height, "format": kind, "fps": fps or 25.0}
    stream.options = {**stream.options, **own}
    stream.where = At(work.graph, node, {key: key for key in ("width", "height", "format")} | {"fps": "framerate"})
    node.gives.format = known.get(given, given)


def raw_uri(path: str) -> str:
    """The address of a file of raw pictures; a file of another kind that stands for it is read as what it is."""
    return path if "://" in path or (os.path.isfile(path) and container_of(path)) else f"raw://{path}"


def raw_options(work: Work, node: Node) -> dict[str, Any]:
    """Size, format and rate that caps behind the source say."""
    width, height = _shape(work, node, "width"), _shape(work, node, "height")
    given = str(_shape(work, node, "format") or "I420")
    if not width or not height:
        raise work.error(
            node, "location", "raw pictures need their size: ! video/x-raw,width=…,height=…,format=… ! behind it"
        )
    kind = _read_as(work, node, "location", given)
    node.gives.format = given
    rate = _shape(work, node, "framerate")
    return {"width": width, "height": height, "format": kind, "fps": float(rate or 0) or 30.0}


def _read_as(work: Work, node: Node, key: str, given: str) -> str:
    """The name that raw:// has for a format of GStreamer."""
    from ...sources import raw

    kind = _AS.get(given, given)
    if kind not in raw.FORMATS:
        known = [*(name for name in raw.FORMATS if name not in _AS.values()), *_AS]
        raise work.error(node, key, f"pictures of the format {given} are not read: one of {', '.join(known)}")
    return kind


# shared


def work_types(name: str) -> dict[str, int]:
    """An enumeration of the table."""
    from .table import table

    return table().types[name]


def _stream(work: Work, node: Node, key: str, uri: str, options: dict[str, Any] | None = None) -> None:
    name = node.name if node.part.named else ""
    if not uri.startswith("raw://") and not node.alias.make.endswith("pattern"):
        raw = {"width", "height", "format"}  # of what a file of another kind replaces
        if raw <= set(options or {}):
            options = {key: value for key, value in (options or {}).items() if key not in (*raw, "fps")}
    node.streams.append(Stream(name, uri, options or {}, where=At(work.graph, node, {"uri": key})))


def _limit(work: Work, node: Node) -> None:
    """num-buffers: pictures behind the decoder, which is where they are counted."""
    count = node.props.get("num-buffers", -1)
    if count < 0:
        return
    at = node
    while at.alias.gives != "raw" and len(at.out) == 1:
        at = at.out[0].target
    if at.alias.gives != "raw":
        work.note(node, "num-buffers", "ignored", "nothing behind it decodes pictures, which could be counted")
        return
    at.steps.append(work.step(node, "limit", {"count": max(1, count)}, {"count": "num-buffers"}, name=None))
    step = at.steps[-1]
    assert isinstance(step, Step)
    step.name = None


def _shape(work: Work, node: Node, key: str) -> Any:
    """What caps behind a source ask for: one value."""
    value, _ = node.shape.get(key, (None, 0))
    return None if isinstance(value, (list, Range)) else value


def address(work: Work, node: Node, key: str, text: str) -> str:
    """The address that an element is given, or what stands for it. One that is to be filled in counts as missing."""
    other = substitute(text, os.path.basename(text))
    if other is not None:
        return other
    try:
        urlsplit(text)
    except ValueError as error:
        raise work.error(node, key, f"{text} is no address: {error}") from None
    if text.startswith("file://"):
        return work.file(node, key, unquote(urlsplit(text).path) or text.removeprefix("file://")) or ""
    if re.search(r"[<>]", text):
        work.lack(node, key, text, text, f"{text} is a place to fill in")
    elif "://" not in text:
        work.lack(node, key, text, text, f"{text} is no address: file:///path or rtsp://host/path")
    return text


def with_user(place: str, user: str, password: str) -> str:
    parts = urlsplit(place)
    host = parts.netloc.rpartition("@")[2]
    login = f"{user}:{password}" if password else user
    return urlunsplit((parts.scheme, f"{login}@{host}", parts.path, parts.query, parts.fragment))


def _options(work: Work, node: Node, place: str) -> dict[str, Any]:
    """The settings of nvurisrcbin that fit the address."""
    props = node.props
    out: dict[str, Any] = {}
    if props.get("drop-frame-interval", 0) > 1:
        out["drop_frame_interval"] = props["drop-frame-interval"]
    if skip := _SKIP.get(props.get("dec-skip-frames", 0)):
        out["skip_frames"] = skip
    if props.get("low-latency-mode"):
        out["low_latency"] = True
    if place.startswith(("rtsp://", "rtsps://")):
        if "latency" in props:
            out["jitter"] = props["latency"] / 1000
        if props.get("select-rtp-protocol") == 4:
            out["transport"] = "tcp"
        if props.get("rtsp-reconnect-interval"):
            out["timeout"] = float(props["rtsp-reconnect-interval"])
        if "rtsp-reconnect-attempts" in props:
            out["reconnect"] = {"attempts": max(props["rtsp-reconnect-attempts"], 0)}
    elif "://" not in place and props.get("file-loop"):
        out["loop"] = 0
    return out


def decoder(work: Work, node: Node) -> None:
    """nvv4l2decoder: its settings are those of the streams that it decodes."""
    options: dict[str, Any] = {}
    if node.props.get("drop-frame-interval", 0) > 1:
        options["drop_frame_interval"] = node.props["drop-frame-interval"]
    if skip := _SKIP.get(node.props.get("skip-frames", 0)):
        options["skip_frames"] = skip
    if node.props.get("low-latency-mode"):
        options["low_latency"] = True
    from .graph import sources_of

    for source in sources_of(node) if options else ():
        for stream in source.streams:
            stream.options = {**stream.options, **options}
