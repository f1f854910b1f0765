"""[tiled-display], [osd]: how frames look when they leave."""

from __future__ import annotations

import math
from typing import Any

from ...deepstream import Section
from ..plan import Line
from .parts import MEMORY, App, step

_COLOURS = "captions have the colour of their box, with text that can be read on it"


def tiler(app: App, section: Section) -> tuple[int, Line]:
    """The kind of [tiled-display] (0 off, 1 tiles, 2 tiles and single streams, 3 all streams) and its step."""
    report = app.report
    kind = section.integer("enable", 1 if app.sample else 0, least=0, most=3) if section.given else 0
    if not kind:
        section.ignore("the group is off (enable)", *(e.key for e in section.group.entries if e.key != "enable"))
        return 0, []
    rows, columns = section.integer("rows", 0, least=0), section.integer("columns", 0, least=0)
    names = app.streams()
    count = max(1, len(names))
    if section.boolean("square-seq-grid", False):
        columns = rows = math.ceil(math.sqrt(count))
    if rows * columns < count:
        wanted, columns = (rows, columns), columns or int(math.sqrt(count) + 0.5)
        rows = math.ceil(count / columns)
        if any(wanted):
            app.remarks.append(
                f"{report.file.path}:{section.group.line}: [tiled-display] {wanted[0]} x {wanted[1]} tiles are too few "
                f"for {count} streams: {rows} rows and {columns} columns are taken"
            )
    show = section.integer("show-source", -1)
    if names and show >= count:
        section.reject("show-source", f"there is no stream {show}; there are 0 to {count - 1}")
        show = -1
    settings = {
        "rows": rows, "columns": columns, "width": section.integer("width", 0, least=0) or 1920,
        "height": section.integer("height", 0, least=0) or 1080, "labels": False,
        "show": names[show] if 0 <= show < len(names) else None,
    }  # fmt: skip
    section.ignore(MEMORY, "gpu-id", "nvbuf-memory-type", "compute-hw", "buffer-pool-size")
    keys = {key: key for key in ("rows", "columns", "width", "height")}
    return kind, [] if kind == 3 else [step(section, "tile", settings, keys, "tiler")]


def osd(app: App, section: Section, styles: dict[str, Any], tiled: bool) -> Line:
    """The step of [osd]; none where it is off. Captions are hidden where several streams share a picture."""
    if not app.on(section):
        return []
    border = section.integer("border-width", 0, least=0)
    text = section.integer("text-size", 0, least=0)
    shown = section.boolean("display-text", True)
    boxes = section.boolean("display-bbox", True)
    hidden = tiled and len(app.streams()) > 1 and not app.captions
    if hidden:
        section.note("display-text", "captions are hidden where several streams share a picture; -t shows them")
    ids = app.report.section("tracker").boolean("display-tracking-id", True)
    settings: dict[str, Any] = {
        **_plain(),
        "boxes": boxes and ("border-width" not in section or border > 0),
        "labels": shown and not hidden,
        "ids": shown and not hidden and bool(ids),
        "masks": section.boolean("display-mask", False),
        "maps": 0.0,
        "thickness": border or None,
        "text_size": max(text, 6) if text else None,
        "clock": "wall" if section.integer("show-clock", 0) else None,
        "styles": styles or None,
    }
    section.ignore("there is one way to draw", "process-mode", "hw-blend-color-attr")
    section.ignore(_COLOURS, "text-color", "text-bg-color", "clock-color")
    section.ignore("the clock stands at the top left, its size follows text-size", "clock-x-offset", "clock-y-offset",
                   "clock-text-size")  # fmt: skip
    section.ignore("`draw` brings its own fonts; its setting `font` names another", "font")
    section.ignore(MEMORY, "gpu-id", "nvbuf-memory-type")
    keys = {"text_size": "text-size", "thickness": "border-width", "styles": "enable"}
    return [step(section, "draw", settings, keys)]


def _plain() -> dict[str, Any]:
    return {"confidence": False, "trails": 0.0}
