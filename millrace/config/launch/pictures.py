"""What changes, draws and joins pictures in a launch line → steps."""

from __future__ import annotations

import math

from .caps import Range
from .graph import Node, pad_number
from .work import Work

_FLIPS = {  # of nvvideoconvert
    1: "counterclockwise", 2: "half", 3: "clockwise", 4: "horizontal", 5: "transverse", 6: "vertical", 7: "transpose",
}  # fmt: skip
_GST_FLIPS = {  # of videoflip
    1: "clockwise", 2: "half", 3: "counterclockwise", 4: "horizontal", 5: "vertical", 6: "transpose", 7: "transverse",
}  # fmt: skip
_INTERPOLATIONS = {0: "nearest", 1: "bilinear", 2: "cubic", 3: "area", 4: "lanczos", 5: "auto", 6: "auto"}
_SCALES = {0: "nearest", 1: "bilinear", 3: "lanczos", 4: "area", 5: "lanczos"}  # of videoscale; others are cubic


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
    scaled_to(
        work, node, _SCALES.get(node.props["method"], "cubic") if "method" in node.props else "auto", None, padding
    )
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
    if turn := _GST_FLIPS.get(value):
        work.add(node, "flip", {"direction": turn}, direction=key)


def rate(work: Work, node: Node) -> None:
    fps, _ = node.shape.get("framerate", (None, 0))
    most = node.props.get("max-rate")
    if isinstance(fps, (list, Range)) or not fps:
        fps = None
    if fps is None and most is None:
        return
    settings = {
        "fps": float(fps or most or 0),
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
    settings = {
        "width": node.props.get("width") or None, "height": node.props.get("height") or None,
        "alpha": node.props.get("alpha"), "original": node.props.get("original-background"),
    }  # fmt: skip
    work.add(node, "segview", settings, width="width", height="height", alpha="alpha")


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
        if config := work.file(node, "config-file-path"):
            work.add(node, "batch", {"config": config}, config="config-file-path")
        return
    work.note(
        node, "config-file-path", "ignored", "it is for the new batcher: USE_NEW_NVSTREAMMUX=yes before the command"
    )
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
    method = (
        _INTERPOLATIONS[node.props.get("interpolation-method", 6)] if "interpolation-method" in node.props else None
    )
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
    config = work.file(node, "config-file")
    pad = str(node.props.get("active-pad", ""))
    if pad and pad not in [edge.target_pad for edge in node.into]:
        raise work.error(
            node, "active-pad", f"{pad!r} is none of its pads: {', '.join(e.target_pad for e in node.into)}"
        )
    first = sorted(pad_number(edge.target_pad) for edge in node.into).index(pad_number(pad)) if pad else None
    work.add(node, "join", {"config": config, "first": None if config else first}, config="config-file")


def dsexample(work: Work, node: Node) -> None:
    settings = {"full_frame": node.props.get("full-frame"), "blur_objects": node.props.get("blur-objects")}
    work.add(node, "dsexample", settings, full_frame="full-frame", blur_objects="blur-objects")


def metainsert(work: Work, node: Node) -> None:
    work.add(node, "insert")


def metaextract(work: Work, node: Node) -> None:
    work.add(node, "extract")
