"""Encoders, containers and sinks of a launch line → steps; and queues."""

from __future__ import annotations

import os
import re
from typing import Any

from ...brokers.nvmsgbroker import address as broker_address
from ...core.errors import ConfigError
from ...deepstream.paths import substitute
from ...elements.raw import FORMATS as WRITTEN
from ..deepstream.sinks import PAYLOADS
from ..plan import Queue
from .graph import Node, upstream
from .sources import address, with_user
from .work import Work

_SPEEDS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")
_CONTAINERS = {  # of muxers → (FFmpeg's name, the endings that say it)
    "mp4": ("mp4", (".mp4", ".m4v", ".mov")), "mkv": ("matroska", (".mkv",)), "webm": ("webm", (".webm",)),
    "ts": ("mpegts", (".ts",)), "avi": ("avi", (".avi",)), "flv": ("flv", ()),
}  # fmt: skip
_STREAMS = {"h264": ("h264", (".h264", ".264")), "hevc": ("hevc", (".h265", ".265", ".hevc")), "mjpeg": ("mjpeg", ())}
_CODEC_NUMBERS = {1: "h264", 2: "hevc", 3: "mpeg4"}


# encoders


def encode(work: Work, node: Node) -> None:
    codec = node.alias.codecs[0]
    bitrate = node.props.get("bitrate")
    gop = node.props.get("iframeinterval", node.props.get("gop-size"))
    keys = {"bitrate": "bitrate", "gop": "iframeinterval" if "iframeinterval" in node.props else "gop-size"}
    _encode(work, node, {"codec": codec, "bitrate": max(bitrate, 1000) if bitrate else None, "gop": gop or None}, keys)


def x264(work: Work, node: Node) -> None:
    """x264enc and x265enc: kilobits, and a quantizer where pass asks for it."""
    props = node.props
    quality = (
        props.get("quantizer") if props.get("pass") in (4, 5) else props.get("qp") if props.get("qp", -1) >= 0 else None
    )
    if quality is None:
        work.note(node, "quantizer", "ignored", "it counts where pass is quant or qual")
    speed = props.get("speed-preset", 0)
    bitrate = props.get("bitrate", 2048) if quality is None else None
    settings = {
        "codec": node.alias.codecs[0], "bitrate": bitrate * 1000 if bitrate else None, "quality": quality,
        "preset": _SPEEDS[speed - 1] if speed else None, "gop": max(props.get("key-int-max", 0), 0) or None,
    }  # fmt: skip
    keys = {"bitrate": "bitrate", "gop": "key-int-max", "preset": "speed-preset", "quality": "quantizer"}
    _encode(work, node, settings, keys)


def av1(work: Work, node: Node) -> None:
    props = node.props
    bitrate = props.get("target-bitrate")
    preset = props.get("preset", props.get("cpu-used"))
    settings = {
        "codec": "av1", "bitrate": bitrate * 1000 if bitrate else None, "gop": props.get("keyframe-max-dist") or None,
        "preset": None if preset is None else str(preset),
    }  # fmt: skip
    _encode(work, node, settings, {"bitrate": "target-bitrate", "gop": "keyframe-max-dist"})


def jpeg(work: Work, node: Node) -> None:
    """Quality of 0 to 100 → the codec's own scale, 31 to 2."""
    percent = node.props.get("quality", 85)
    if not 0 <= percent <= 100:
        raise work.error(node, "quality", f"{percent} is not 0 to 100")
    _snapshot(work, node)
    if _pictures_follow(node):
        node.props["percent"] = max(1, percent)
        return
    _encode(work, node, {"codec": "mjpeg", "quality": round(31 - 29 * percent / 100)}, {"quality": "quality"})


def png(work: Work, node: Node) -> None:
    """Nothing here: the sink writes pictures."""
    _snapshot(work, node)


def _snapshot(work: Work, node: Node) -> None:
    if node.props.get("snapshot"):
        work.add(node, "limit", {"count": 1})


def _pictures_follow(node: Node) -> bool:
    here = node
    while len(here.out) == 1:
        here = here.out[0].target
    return here.alias.make == "multifile"


def _encode(work: Work, node: Node, settings: dict[str, Any], keys: dict[str, str]) -> None:
    node.steps.append(work.step(node, "encode", settings, keys))


# containers and files


def mux(work: Work, node: Node) -> None:
    """A muxer names the container of the file behind it, and checks what it is fed."""
    codecs = node.alias.codecs
    if codecs and node.fed.codecs and not set(codecs) & set(node.fed.codecs):
        said = " or ".join(node.fed.codecs)
        raise work.graph.error(node.part.at, f"{node.part.element} holds {', '.join(codecs)}, not {said}")


def filesink(work: Work, node: Node) -> None:
    path = _path(work, node, "location")
    fed = node.fed
    if fed.kind == "raw":
        given = fed.format or "I420"
        if given not in WRITTEN:
            raise work.error(
                node, "location", f"pictures of the format {given} are not written: one of {', '.join(WRITTEN)}"
            )
        work.add(node, "raw", {"path": path, "format": given if given != "I420" else None}, path="location")
        return
    codec = fed.codecs[0] if fed.codecs else ""
    if fed.kind == "bytes" and not fed.container:
        raise work.graph.error(node.part.at, "filesink: the file would be copied: put a demuxer and a muxer between")
    if codec == "png" and fed.kind == "coded":
        work.add(node, "images", {"path": path}, path="location")
        return
    known = _CONTAINERS.get(fed.container) if fed.kind == "bytes" else _STREAMS.get(codec)
    if known is None:
        said = codec or fed.container or "this stream"
        raise work.graph.error(node.part.at, f"filesink: {said} needs a container: put matroskamux or mp4mux before it")
    ending = os.path.splitext(path)[1].lower()
    work.add(node, "file", {"path": path, "format": None if ending in known[1] else known[0]}, path="location")


def multifile(work: Work, node: Node) -> None:
    path = _path(work, node, "location")
    codec = node.fed.codecs[0] if node.fed.codecs else ""
    if node.fed.kind == "bytes" or codec not in ("mjpeg", "png"):
        work.add(node, "segments", {"path": path if "%" in path else _numbered(path)}, path="location")
        return
    pattern = re.sub(r"%(0?)(\d*)d", lambda m: "{index:" + (f"0{m[2]}d" if m[1] and m[2] else "d") + "}", path, count=1)
    encoder = next((each for each in upstream(node) if "percent" in each.props), None)
    quality = encoder.props["percent"] if encoder is not None else None
    work.add(node, "images", {"path": pattern, "quality": quality}, path="location")


def splitmux(work: Work, node: Node) -> None:
    path = _path(work, node, "location")
    length = node.props.get("max-size-time", 0)
    work.add(node, "segments", {"path": path if "%" in path else _numbered(path), "seconds": length / 1e9 or None},
             path="location", seconds="max-size-time")  # fmt: skip


def _numbered(path: str) -> str:
    root, ending = os.path.splitext(path)
    return f"{root}-%05d{ending}"


def _path(work: Work, node: Node, key: str) -> str:
    path = str(node.props.get(key, "")).removeprefix("file://")
    if not path:
        raise work.error(node, key, f"is missing: {key}=PATH")
    return path


def push(work: Work, node: Node) -> None:
    """rtmpsink and rtspclientsink."""
    text = str(node.props.get("location", "")).split(" ")[0]
    if "://" not in text:
        raise work.error(node, "location", "is missing: location=rtmp://host/app/key or rtsp://host/path")
    place = address(work, node, "location", text)
    if "user-id" in node.props:
        place = with_user(place, node.props["user-id"], node.props.get("user-pw", ""))
    transport = "udp" if str(node.props.get("protocols", "")).strip().lower() in ("1", "udp") else None
    settings = {"url": place, "transport": transport, "sync": node.props.get("sync")}
    work.add(node, "push", settings, url="location")


def udp(work: Work, node: Node) -> None:
    """udpsink: RTP behind a payloader, MPEG-TS behind mpegtsmux."""
    host, port = node.props.get("host", "localhost"), node.props.get("port", 5004)
    if node.fed.kind == "bytes" and node.fed.container != "ts":
        raise work.graph.error(
            node.part.at, f"{node.part.element}: a file cannot be sent as it is: put mpegtsmux before it"
        )
    if node.fed.kind == "rtp" and node.fed.container == "ts":
        work.note(node, "host", "applied", "MPEG-TS goes without RTP around it: udp://")
    scheme = "rtp" if node.fed.kind == "rtp" and node.fed.container != "ts" else "udp"
    work.add(node, "push", {"url": f"{scheme}://{host}:{port}", "sync": node.props.get("sync")}, url="host")


def hls(work: Work, node: Node) -> None:
    if node.fed.kind == "bytes" and node.fed.container != "ts":
        raise work.graph.error(node.part.at, f"{node.part.element} takes MPEG-TS: put mpegtsmux before it, or nothing")
    path = str(node.props.get("location", "segment%05d.ts"))
    most = node.props.get("max-files", 10)
    settings = {
        "path": path, "playlist": str(node.props.get("playlist-location", "playlist.m3u8")),
        "seconds": float(node.props.get("target-duration", 15)), "keep": most if most > 1 else None,
    }  # fmt: skip
    work.add(node, "segments", settings, path="location", playlist="playlist-location", seconds="target-duration")


def encfile(work: Work, node: Node) -> None:
    path = _path(work, node, "output-file")
    if os.path.splitext(path)[1].lower() not in (".mp4", ".mkv"):
        path += ".mkv" if node.props.get("container") == 2 else ".mp4"
    _encode(work, node, _sink_encoder(work, node), {"bitrate": "bitrate"})
    work.add(node, "file", {"path": path}, path="output-file")


def rtspout(work: Work, node: Node) -> None:
    _encode(work, node, _sink_encoder(work, node), {"bitrate": "bitrate"})
    port = node.props.get("rtsp-port", 8554)
    name = str(node.props.get("rtsp-mount-point", "/ds-test")).lstrip("/") or "ds-test"
    work.note(node, "rtsp-port", "applied", f"rtsp://127.0.0.1:{port}/{name}; `host` of rtsp lets others watch")
    work.add(node, "rtsp", {"port": port, "name": name, "sync": node.props.get("sync")}, port="rtsp-port")


def _sink_encoder(work: Work, node: Node) -> dict[str, Any]:
    codec = node.props.get("codec", 1)
    if codec not in _CODEC_NUMBERS:
        raise work.error(node, "codec", f"{codec} is not one of 1 (h264), 2 (hevc), 3 (mpeg4)")
    bitrate = node.props.get("bitrate", 0)
    return {"codec": _CODEC_NUMBERS[codec], "bitrate": max(bitrate, 1000) if bitrate else None}


# windows, brokers


def window(work: Work, node: Node) -> None:
    title = node.name if node.part.named else None
    work.add(node, "window", {"title": title, "sync": node.props.get("sync", True)})


def fpswindow(work: Work, node: Node) -> None:
    work.perf = max(0.1, node.props.get("fps-update-interval", 500) / 1000)
    shown = str(node.props.get("video-sink", ""))
    if "fakesink" not in shown and "fakevideosink" not in shown:
        window(work, node)


def msgconv(work: Work, node: Node) -> None:
    work.file(node, "config")


def msgbroker(work: Work, node: Node) -> None:
    library = str(node.props.get("proto-lib", ""))
    connection = str(node.props.get("conn-str", ""))
    if not library:
        raise work.error(node, "proto-lib", "is missing: the path of DeepStream's adapter")
    settings = _payload(work, next((each for each in upstream(node) if each.alias.make == "msgconv"), None))
    config = work.file(node, "config")
    other = substitute(connection, library, os.path.basename(library))
    if other is not None:
        settings["broker"] = other
    elif "<" in connection:
        work.lack(node, "conn-str", connection, connection, f"{connection} is a place to fill in: the broker's address")
        return
    else:
        try:
            settings["broker"], _ = broker_address(library, connection, config, str(node.props.get("topic", "")))
        except ConfigError as error:
            raise work.error(node, "conn-str" if "connection" in str(error) else "proto-lib", str(error)) from None
    work.add(node, "publish", settings, broker="conn-str")


def _payload(work: Work, node: Node | None) -> dict[str, Any]:
    if node is None:
        return {"payload": "deepstream", "every": 30}
    props = node.props
    number = props.get("payload-type", 0)
    if number not in PAYLOADS:
        raise work.error(
            node, "payload-type", "payloads of a library's own are Python here: `payload: module:function`"
        )
    kind, new = PAYLOADS[number], bool(props.get("msg2p-newapi"))
    options: dict[str, Any] = {"config": work.file(node, "config")} if props.get("config") else {}
    if kind == "deepstream-minimal":
        options |= {"newapi": new, "dummy": bool(props.get("dummy-payload"))}
    kind = "deepstream-new" if new and kind == "deepstream" else kind
    return {"payload": kind, "every": max(props.get("frame-interval", 30), 1), "options": options or None}


# between


def queue(work: Work, node: Node) -> None:
    """A leaky queue drops where the next step is late; all others wait, as every link does."""
    leaky = node.props.get("leaky", 0)
    if not leaky:
        why = "elements that wait have bounded queues of their own; this one drops nothing (leaky)"
        work.note(node, "max-size-buffers", "ignored", why)
        return
    size = node.props.get("max-size-buffers", 200)
    node.queue = Queue(size or None, "drop_oldest" if leaky == 2 else "drop_newest")


def identity(work: Work, node: Node) -> None:
    count = node.props.get("eos-after", -1)
    if count > 0:
        work.add(node, "limit", {"count": count}, count="eos-after")


def valve(work: Work, node: Node) -> None:
    if node.props.get("drop"):
        work.add(node, "discard")
