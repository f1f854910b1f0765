"""Caps filters: what they decide of the elements before them, and what is only checked."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from ...core.errors import did_you_mean
from .caps import Range, Structure
from .graph import Node, upstream
from .sources import FORMATS
from .work import Work

_KEEPS = "pictures keep the format that they are decoded to; where bytes are written it is made"
_FRAMES = ("width", "height", "framerate", "format")
_CODECS = {
    "video/x-h264": "h264", "video/x-h265": "hevc", "image/jpeg": "mjpeg", "image/png": "png", "video/x-av1": "av1",
    "video/x-vp8": "vp8", "video/x-vp9": "vp9", "video/mpeg": "mpeg4",
}  # fmt: skip
_CONTAINERS = ("video/quicktime", "video/mpegts", "video/x-matroska", "video/webm", "video/x-msvideo", "video/x-flv")
_STOPS = ("nvmultistreamtiler", "compositor", "nvstreammux", "nvdewarper", "videorate")  # they have a size of their own


def shape(work: Work, node: Node) -> None:
    """Tell the elements before a caps filter what it asks of them. Called before anything is made."""
    found: Structure | None = None
    for each in node.props.get("caps", ()):
        found = found or each
    if found is None:
        raise work.graph.error(node.part.at, f"{node.part.element}: caps are missing: caps=video/x-raw,width=640")
    if found.media in _CODECS:
        camera = next(upstream(node), None)
        if camera is not None and camera.alias.make == "camera":
            camera.shape["codec"] = (_CODECS[found.media], node.part.at)
    elif found.media == "video/x-raw":
        _known_format(work, node, found)
    elif found.media.startswith(("audio/", "text/")):
        raise work.graph.error(
            node.part.at, f"{found.media}: sound and subtitles are not worked on, only saved with pictures"
        )
    for key in _FRAMES:
        if key in found.fields:
            _typed(work, node, found, key)
            target = _shaper(node, "size" if key in ("width", "height") else "rate" if key == "framerate" else "format")
            value = found.fields[key]
            if target is None or isinstance(value, Range):
                continue
            value = value[0] if isinstance(value, list) and value else value
            before = target.shape.get(key)
            if before is not None and before[0] != value:
                raise work.graph.error(
                    node.part.at, f"{key}={value}: caps behind it ask {target.part.element} for {before[0]}"
                )
            target.shape[key] = (value, node.part.at)


def _typed(work: Work, node: Node, found: Structure, key: str) -> None:
    """Raise for a size that is no whole number, and a rate that is no fraction."""
    value = found.fields[key]
    singles = [value.least, value.most] if isinstance(value, Range) else value if isinstance(value, list) else [value]
    kinds: tuple[type, ...] = {"framerate": (int, Fraction), "format": (str,)}.get(key, (int,))
    for each in singles:
        negative = isinstance(each, (int, Fraction)) and each < 0
        if not singles or not isinstance(each, kinds) or isinstance(each, bool) or negative:
            wanted = {"framerate": "a fraction, as in 30/1", "format": "the name of a format"}.get(
                key, "a whole number"
            )
            at = work.graph.place(node, "caps") + found.places[key]
            raise work.graph.error(at, f"caps: {key}={each}: it is {wanted}")


def _known_format(work: Work, node: Node, found: Structure) -> None:
    given = found.fields.get("format")
    for name in given if isinstance(given, list) else [given] if given is not None else []:
        if name not in FORMATS:
            near = did_you_mean(str(name), FORMATS)
            raise work.graph.error(node.part.at, f"there is no format {name!r} of pictures.{near}")


def _shaper(node: Node, what: str) -> Node | None:
    """The nearest element before that can decide a picture's size, format or rate."""
    for each in upstream(node):
        if what in each.alias.shapes:
            return each
        if each.alias.name in _STOPS or (
            each.alias.gives and each.alias.kind != "source" and each.alias.gives != "raw"
        ):
            return None
    return None


def caps(work: Work, node: Node) -> None:
    """What caps ask for and nobody before them decides is checked when the stream comes."""
    found: Structure = node.props["caps"][0]
    kind, key = node.fed.kind, "caps"
    if found.media in _CODECS:
        if kind == "raw":
            raise work.graph.error(node.part.at, f"caps: {found.media}, and pictures come: put an encoder before")
        codec = _CODECS[found.media]
        if node.fed.codecs and codec not in node.fed.codecs:
            raise work.graph.error(node.part.at, f"caps: {found.media}, and {' or '.join(node.fed.codecs)} comes")
        if not node.fed.codecs:
            work.add(node, "expect", {"codec": [codec], "by": found.media})
        node.gives.codecs = (codec,)
        work.note(node, key, "applied", "it is checked; how packets lie in a stream is the writer's own")
        return
    if found.media == "video/x-raw" and kind in ("bytes", "coded", "rtp"):
        raise work.graph.error(node.part.at, f"caps: video/x-raw, and {kind} comes: put decodebin before")
    if found.media == "application/x-rtp" or found.media in _CONTAINERS or found.media in ("ANY", "NONE"):
        return
    if found.media != "video/x-raw":
        known = ["video/x-raw", *_CODECS]
        raise work.graph.error(node.part.at, f"caps: {found.media} is not known.{did_you_mean(found.media, known)}")
    _check(work, node, found)


def _check(work: Work, node: Node, found: Structure) -> None:
    wanted: dict[str, Any] = {}
    said = []
    for key in ("width", "height", "framerate"):
        if key not in found.fields:
            continue
        value = found.fields[key]
        target = _shaper(node, "size" if key != "framerate" else "rate")
        if target is not None and not isinstance(value, Range):
            said.append(f"{key}: {target.part.element}")
            continue
        if key == "framerate":  # 0/1 stands for any
            continue
        wanted[key] = _bounds(value)
        said.append(f"{key}: checked")
    if wanted:
        work.add(node, "expect", {**wanted, "by": "caps"})
    given = found.fields.get("format")
    if given is not None:
        node.gives.format = str(given[0] if isinstance(given, list) else given)
        grey = _shaper(node, "format") is not None and node.gives.format == "GRAY8"
        said.append("format: GRAY8 is made" if grey else f"format: {_KEEPS}")
    work.note(node, "caps", "applied" if wanted or len(said) > (given is not None) else "ignored", "; ".join(said))


def _bounds(value: Any) -> list[int]:
    """Least and most."""
    if isinstance(value, Range):
        return [int(value.least), int(value.most)]
    values = [int(each) for each in (value if isinstance(value, list) else [value])]
    return [min(values), max(values)]
