"""What changes, draws and joins pictures in a launch line → steps."""

from __future__ import annotations

import math
from typing import Any

from ...core.errors import did_you_mean
from .caps import Range, Structure
from .graph import Node, upstream
from .sources import FORMATS
from .work import Work

_FLIPS = {1: "counterclockwise", 2: "half", 3: "clockwise", 4: "horizontal", 5: "transverse", 6: "vertical", 7: "transpose"}
_GST_FLIPS = {1: "clockwise", 2: "half", 3: "counterclockwise", 4: "horizontal", 5: "vertical", 6: "transpose", 7: "transverse"}
_DIRECTIONS = {1: "clockwise", 2: "half", 3: "counterclockwise", 4: "horizontal", 5: "vertical", 6: "transpose", 7: "transverse"}
_INTERPOLATIONS = {0: "nearest", 1: "bilinear", 2: "cubic", 3: "area", 4: "lanczos", 5: "auto", 6: "auto"}
_SCALES = {0: "nearest", 1: "bilinear", 2: "cubic", 3: "lanczos", 4: "area", 5: "lanczos", 6: "cubic", 7: "cubic", 8: "cubic", 9: "cubic"}
_KEEPS = "pictures keep the format that they are decoded to; where bytes are written it is made"
_FRAMES = ("width", "height", "framerate", "format")
_CODECS = {
    "video/x-h264": "h264", "video/x-h265": "hevc", "image/jpeg": "mjpeg", "image/png": "png", "video/x-av1": "av1",
    "video/x-vp8": "vp8", "video/x-vp9": "vp9", "video/mpeg": "mpeg4",
}  # fmt: skip
_CONTAINERS = ("video/quicktime", "video/mpegts", "video/x-matroska", "video/webm", "video/x-msvideo", "video/x-flv")
_STOPS = ("nvmultistreamtiler", "compositor", "nvstreammux", "nvdewarper", "videorate")  # they have a size of their own


# caps


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
        raise work.graph.error(node.part.at, f"{found.media}: sound and subtitles are not worked on, only saved with pictures")
    for key in _FRAMES:
        if key in found.fields:
            target = _shaper(node, "size" if key in ("width", "height") else "rate" if key == "framerate" else "format")
            value = found.fields[key]
            if target is None or isinstance(value, Range):
                continue
            value = value[0] if isinstance(value, list) and value else value
            before = target.shape.get(key)
            if before is not None and before[0] != value:
                raise work.graph.error(node.part.at, f"{key}={value}: caps behind it ask {target.part.element} for {before[0]}")
            target.shape[key] = (value, node.part.at)


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
        if each.alias.name in _STOPS or (each.alias.gives and each.alias.kind != "source" and each.alias.gives != "raw"):
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


# changing pictures


def nvconvert(work: Work, node: Node) -> None:
    """nvvideoconvert: cut, turned, scaled, in this order."""
    if box := node.props.get("src-crop"):
        _crop(work, node, "src-crop", box)
    if turn := _FLIPS.get(node.props.get("flip-method", 0)):
        work.add(node, "flip", {"direction": turn}, direction="flip-method")
    method = _INTERPOLATIONS[node.props.get("interpolation-method", 6)]
    box = node.props.get("dest-crop")
    area = [float(box[0]), float(box[1]), float(box[0] + box[2]), float(box[1] + box[3])] if box and any(box) else None
    scaled_to(work, node, method, area)
    if not any(getattr(step, "element", "") == "resize" for step in node.steps):
        work.note(node, "interpolation-method", "ignored", "the pictures are not scaled here")
    _format(work, node)


def convert(work: Work, node: Node) -> None:
    _format(work, node)


def scale(work: Work, node: Node) -> None:
    padding = "centre" if node.props.get("add-borders", True) else None
    scaled_to(work, node, _SCALES[node.props.get("method", 1)] if "method" in node.props else "auto", None, padding)
    _format(work, node)


def scaled_to(
    work: Work, node: Node, method: str, area: list[float] | None = None, padding: str | None = None
) -> None:  # fmt: skip
    """`resize` where caps behind an element say a size."""
    width, height = node.shape.get("width", (None, 0))[0], node.shape.get("height", (None, 0))[0]
    if width is None and height is None and area is None:
        return
    settings = {
        "width": width, "height": height, "method": method if method != "auto" else None, "box": area,
        "padding": padding if width and height and area is None else None,
    }  # fmt: skip
    for key in ("width", "height"):
        value = settings[key]
        if value is not None and (not isinstance(value, int) or not 16 <= value <= 16384):
            raise work.graph.error(node.shape[key][1], f"caps: {key}={value}: a picture has 16 to 16384 pixels a side")
    work.add(node, "resize", settings, box="dest-crop")


def _format(work: Work, node: Node) -> None:
    """Grey is made, for everybody sees it; other formats only where bytes are written."""
    given, _ = node.shape.get("format", (None, 0))
    if given == "GRAY8":
        work.add(node, "convert", {"format": "GRAY8"})
    if given is not None:
        node.gives.format = str(given)


def _crop(work: Work, node: Node, key: str, box: tuple[int, int, int, int]) -> None:
    left, top, width, height = box
    if not any(box):
        return
    if not width or not height:
        raise work.error(node, key, "the part has no size: it is left:top:width:height")
    # at least one of them above 1, so that they are pixels
    work.add(node, "crop", {"box": [float(left), float(top), float(left + width), float(top + height)]}, box=key)


def crop(work: Work, node: Node) -> None:
    sides = {key: node.props.get(key, 0) for key in ("left", "right", "top", "bottom")}
    for key, value in sides.items():
        if value < 0:
            raise work.error(node, key, f"{value} would add a border: `resize` has `padding`")
    if any(sides.values()):
        work.add(node, "crop", {key: value for key, value in sides.items() if value}, **{key: key for key in sides})


def flip(work: Work, node: Node) -> None:
    key = "video-direction" if "video-direction" in node.props else "method"
    value = node.props.get(key, 0)
    if value >= 8:
        work.note(node, key, "ignored", "pictures are turned as their stream says when they are decoded")
        return
    if turn := (_DIRECTIONS if key == "video-direction" else _GST_FLIPS).get(value):
        work.add(node, "flip", {"direction": turn}, direction=key)


def rate(work: Work, node: Node) -> None:
    fps, _ = node.shape.get("framerate", (None, 0))
    most = node.props.get("max-rate")
    if isinstance(fps, (list, Range)) or not fps:
        fps = None
    if fps is None and most is None:
        return
    settings = {
        "fps": float(fps if fps is not None else most),
        "repeat": False if node.props.get("drop-only") or fps is None else None,
    }
    work.add(node, "rate", settings, fps="max-rate")


def dewarper(work: Work, node: Node) -> None:
    path = work.file(node, "config-file")
    if path is None:
        raise work.error(node, "config-file", "is missing: a file of nvdewarper")
    work.add(node, "dewarp", {"config": path, "most": node.props.get("num-output-buffers")}, config="config-file")
    node.merged = True  # its streams have other names: nobody behind it can choose one


def flow(work: Work, node: Node) -> None:
    presets = {0: "fast", 1: "medium", 2: "slow"}
    given = node.props.get("preset-level")
    work.add(node, "flow", {"preset": presets.get(given)} if given is not None else {}, preset="preset-level")


def flowview(work: Work, node: Node) -> None:
    work.add(node, "flowview")


def segvisual(work: Work, node: Node) -> None:
    over = node.props.get("original-background", False)
    settings = {
        "width": node.props.get("width") or None, "height": node.props.get("height") or None,
        "opacity": node.props.get("alpha", 0.5) if over or "alpha" in node.props else None,
    }  # fmt: skip
    work.add(node, "segview", settings, width="width", height="height", opacity="alpha")


# drawing


def osd(work: Work, node: Node) -> None:
    props = node.props
    blurred = str(props.get("blur-on-gie-class-ids", "")).strip()
    if blurred and props.get("blur-bbox", 1):
        classes = [part.rpartition(":")[2] for part in blurred.split(";") if part.strip()]
        wanted = [int(one) for one in classes if one.strip().lstrip("-").isdigit() and int(one) >= 0]
        work.add(node, "blur", {"classes": wanted or None}, classes="blur-on-gie-class-ids")
    text = props.get("display-text", True)
    settings = {
        "confidence": False, "trails": 0.0, "boxes": props.get("display-bbox", True), "labels": text,
        "ids": bool(text and work.ids), "masks": props.get("display-mask", True),
        "clock": "wall" if props.get("display-clock") else None,
    }  # fmt: skip
    work.add(node, "draw", settings)


def clock(work: Work, node: Node) -> None:
    _overlay(work, node, "wall")


def time(work: Work, node: Node) -> None:
    _overlay(work, node, "pts")


def _overlay(work: Work, node: Node, kind: str) -> None:
    plain = dict.fromkeys(("boxes", "labels", "masks", "keypoints", "rules", "ids"), False)
    work.add(node, "draw", {**plain, "maps": 0.0, "trails": 0.0, "clock": kind})


# many streams


def streammux(work: Work, node: Node) -> None:
    if work.new_mux:
        why = "the new batcher does not scale (USE_NEW_NVSTREAMMUX=yes)"
        for key in ("width", "height", "enable-padding", "interpolation-method"):
            work.note(node, key, "ignored", why)
        return
    if not node.props.get("width") or not node.props.get("height"):
        place = work.graph.line.column(node.part.at)
        work.remarks.append(
            f"launch column {place}: nvstreammux has no width and height: DeepStream asks for them; here each stream "
            "keeps its own size"
        )
    scaled(work, node)


def scaled(work: Work, node: Node) -> None:
    """The size to which nvstreammux brings all its streams."""
    width, height = node.props.get("width") or None, node.props.get("height") or None
    if width is None and height is None:
        return
    method = _INTERPOLATIONS[node.props.get("interpolation-method", 6)] if "interpolation-method" in node.props else None
    settings = {
        "width": width, "height": height, "padding": "centre" if node.props.get("enable-padding") else None,
        "method": method if method != "auto" else None,
    }  # fmt: skip
    work.add(node, "resize", settings, width="width", height="height")


def tiler(work: Work, node: Node) -> None:
    props, names = node.props, _entering(node)
    count = max(1, len(names))
    rows, columns = props.get("rows", 1) or 1, props.get("columns", 1) or 1
    if props.get("square-seq-grid"):
        rows = columns = math.ceil(math.sqrt(count))
    if rows * columns < count:
        asked, columns = (rows, columns), max(columns, round(math.sqrt(count)))
        rows = math.ceil(count / columns)
        if "rows" in props or "columns" in props:
            work.remarks.append(
                f"launch column {work.graph.line.column(node.part.at)}: {asked[0]} x {asked[1]} tiles are too few for "
                f"{count} streams: {rows} rows and {columns} columns are taken"
            )
    show = props.get("show-source", -1)
    if show >= count:
        raise work.error(node, "show-source", f"there is no stream {show}; there are 0 to {count - 1}")
    settings = {
        "rows": rows, "columns": columns, "width": props.get("width", 1920) or 1920,
        "height": props.get("height", 1080) or 1080, "labels": False, "show": names[show] if show >= 0 else None,
        "stream": _own(work, node),
    }  # fmt: skip
    work.add(node, "tile", settings, **{key: key for key in ("rows", "columns", "width", "height")}, show="show-source")
    node.carried, node.merged = [str(settings["stream"] or "tiles")], True


def _own(work: Work, node: Node) -> str | None:
    """The name of the stream of tiles, where there are several tilers."""
    tilers = [each for each in work.graph.nodes if each.alias.make in ("tiler", "compositor")]
    number = tilers.index(node)
    return f"tiles-{number + 1}" if number else None


def compositor(work: Work, node: Node) -> None:
    work.add(node, "tile", {"labels": False, "stream": _own(work, node)})
    node.carried, node.merged = [str(_own(work, node) or "tiles")], True


def _entering(node: Node) -> list[str]:
    return [name for edge in node.into for name in edge.source.carried]


def funnel(work: Work, node: Node) -> None:
    """Nothing: the streams go on beside each other."""


def metamux(work: Work, node: Node) -> None:
    work.file(node, "config-file")
    work.add(node, "join")


def dsexample(work: Work, node: Node) -> None:
    settings = {"full_frame": node.props.get("full-frame"), "blur_objects": node.props.get("blur-objects")}
    work.add(node, "dsexample", settings, full_frame="full-frame", blur_objects="blur-objects")


def metainsert(work: Work, node: Node) -> None:
    work.add(node, "metainsert")


def metaextract(work: Work, node: Node) -> None:
    work.add(node, "metaextract")


