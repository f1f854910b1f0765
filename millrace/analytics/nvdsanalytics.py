"""Configuration files of DeepStream's nvdsanalytics, unchanged, as lines, zones and directions of ours.

Every key is applied, or reported with the reason why not. Points are scaled from config-width and config-height to the
picture, streams are numbered as in the configuration, classes are numbers of the model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..deepstream import Report, Section, read
from .directed_lines import MODES
from .settings import Described

WINDOW = 50  # ms that objects are counted over where nobody says
_STREAM = r"{}-stream-(\d+)"
_SHOW = {0: "none", 1: "shape", 2: "all"}
_COLOURS = {"roi": (255, 255, 0), "crowd": (255, 128, 0), "direction": (255, 0, 0), "line": (0, 255, 0)}


@dataclass(slots=True)
class Analytics:
    """What a file asks for. `window` is in ns; `shown` says that the counts of classes are drawn."""

    described: list[Described] = field(default_factory=list)
    window: int = WINDOW * 1_000_000
    shown: bool = False
    report: Report | None = None


def read_nvdsanalytics(path: str, *, time_threshold: bool = False) -> Analytics:
    """The analytics of a file. Raises ConfigError with file and line for each value that is wrong.

    `time_threshold` applies the key of that name, in seconds, which DeepStream reads and does not use.
    """
    report = Report(read(path))
    top = report.section("property")
    if not top.given:
        top.reject("enable", "is missing: a file of nvdsanalytics begins with [property]")
    enabled = top.boolean("enable", True)
    size = (top.integer("config-width", 0, 0), top.integer("config-height", 0, 0))
    window = top.integer("obj-cnt-win-in-ms", WINDOW, 1, 1_000_000_000)
    made = Analytics([], window * 1_000_000, top.boolean("display-obj-cnt", False), report)
    shared: dict[str, Any] = {"show": top.choice("osd-mode", "all", _SHOW)}
    if all(size):
        shared["size"] = list(size)
    top.ignore("`draw` has text_size", "display-font-size")
    readers = (("roi-filtering", _regions), ("overcrowding", _crowds), ("line-crossing", _lines),
               ("direction-detection", _directions))  # fmt: skip
    for name, reader in readers:
        for match, section in report.sections(_STREAM.format(name)):
            on = section.boolean("enable", True)
            section.note("enable", "" if on else "off: the group is read and not used")
            given = {**shared, "streams": [int(match[1])], **_classes(section)}
            found = reader(section, given, time_threshold)
            if not found:
                section.reject(f"{_LABEL[name]}-<label>", "is missing: nothing would be counted")
            made.described += found if on and enabled else []
    report.finish()
    made.described = _told_apart(made.described)
    return made


_LABEL = {
    "roi-filtering": "roi", "overcrowding": "roi", "line-crossing": "line-crossing", "direction-detection": "direction",
}  # fmt: skip


def _classes(section: Section) -> dict[str, Any]:
    numbers = section.integers("class-id", ())
    return {"classes": list(numbers)} if numbers and -1 not in numbers else {}


def _points(section: Section, prefix: str, least: int, most: int | None) -> list[tuple[str, list[list[int]]]]:
    """(label, points) of every key prefix-<label> whose number of points is right."""
    out = []
    for match, key in section.keys(rf"{prefix}-(.+)"):
        numbers = section.integers(key, ())
        wanted = f"{least} points" if most else f"{least} points or more"
        if len(numbers) % 2 or len(numbers) < 2 * least or (most and len(numbers) > 2 * most):
            section.reject(key, f"holds {len(numbers)} numbers; it is x;y;x;y;… of {wanted}")
            continue
        out.append((match[1], [list(numbers[n : n + 2]) for n in range(0, len(numbers), 2)]))
    return out


def _regions(section: Section, given: dict[str, Any], timed: bool) -> list[Described]:
    inverse = section.boolean("inverse-roi", False)
    return [
        Described("zone", label, given | {"points": points, "instant": True, "inverse": inverse,
                                          "colour": _COLOURS["roi"]})
        for label, points in _points(section, "roi", 3, None)
    ]  # fmt: skip


def _crowds(section: Section, given: dict[str, Any], timed: bool) -> list[Described]:
    section.need("object-threshold")
    crowd = section.integer("object-threshold", 1, 0)
    after = section.integer("time-threshold", 0, 0)
    if not timed:
        section.ignore(
            "DeepStream does not use it either; time_threshold: true applies it, in seconds", "time-threshold"
        )
    more = {"instant": True, "crowd": max(1, crowd), "crowd_for": float(after if timed else 0)}
    return [
        Described("zone", label, given | more | {"points": points, "colour": _COLOURS["crowd"]})
        for label, points in _points(section, "roi", 3, None)
    ]


def _lines(section: Section, given: dict[str, Any], timed: bool) -> list[Described]:
    mode = section.text("mode", "loose")
    if mode not in MODES:
        section.note("mode", f"{mode!r} is none of {', '.join(MODES)}: loose, as DeepStream takes it")
    more = {"mode": mode if mode in MODES else "loose", "extended": section.boolean("extended", False)}
    return [
        Described("line", label, given | more | {"direction": p[:2], "points": p[2:], "colour": _COLOURS["line"]})
        for label, p in _points(section, "line-crossing", 4, 4)
    ]


def _directions(section: Section, given: dict[str, Any], timed: bool) -> list[Described]:
    section.text("mode", "balanced")
    section.note("mode", "read, and all modes are the same, as in DeepStream")
    return [
        Described("direction", label, given | {"points": points, "colour": _COLOURS["direction"]})
        for label, points in _points(section, "direction", 2, 2)
    ]


def _told_apart(described: list[Described]) -> list[Described]:
    """A region and a crowd of one stream may bear one label; here their names must differ."""
    seen: set[tuple[str, str, int]] = set()
    out = []
    for each in described:
        key = (each.kind, each.name, each.given["streams"][0])
        if key in seen:
            each = each._replace(name=f"{each.name}-crowd" if "crowd" in each.given else f"{each.name}-2")
        seen.add(key)
        out.append(each)
    return out
