"""Configuration files of nvdewarper: surfaces, and the size that they leave in."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..deepstream import Report, Section, read
from .dewarp import AXES, Surface

PROJECTIONS = {  # NvDsSurfaceType
    1: "fisheye-pushbroom", 2: "fisheye-vertical-cylinder", 3: "perspective-perspective", 4: "fisheye-perspective",
    5: "fisheye-fisheye", 6: "fisheye-cylinder", 7: "fisheye-equirect", 8: "fisheye-panini",
    9: "perspective-equirect", 10: "perspective-panini", 11: "equirect-cylinder", 12: "equirect-equirect",
    13: "equirect-fisheye", 14: "equirect-panini", 15: "equirect-perspective", 16: "equirect-pushbroom",
    17: "equirect-stereographic", 18: "equirect-vertical-cylinder",
}  # fmt: skip
_MOST = 4  # surfaces of a frame


@dataclass(frozen=True, slots=True)
class Dewarper:
    """What such a file says: surfaces in their order, and the width and height of every picture that leaves."""

    surfaces: list[Surface]
    size: tuple[int, int]
    report: Report


def read_nvdewarper(path: str | os.PathLike[str], most: int | None = None) -> Dewarper:
    """The surfaces of a file. Raises ConfigError with a line for each value that is wrong.

    `most`: how many surfaces there are at most, where the element says it and the file does not (num-batch-buffers).
    """
    report = Report(read(path))
    section = report.section("property")
    size = section.integer("output-width", 960, least=1), section.integer("output-height", 752, least=1)
    count = section.integer("num-batch-buffers", _MOST if most is None else most, least=0, most=_MOST)
    section.ignore("memory is not chosen by hand here", "cuda-memory-type")
    section.ignore("`images` or `record` keep frames", "dewarp-dump-frames")
    why = "tables of a garage's cameras are not read: the groups [surfaceN] are taken"
    section.ignore(why, "aisle-calibration-file", "spot-calibration-file")
    if not section.given:
        section.reject("output-width", "the group [property] is missing")
    surfaces: list[Surface] = []
    for _, each in report.sections(r"surface\d+"):
        surface = _surface(each)
        if surface is not None and len(surfaces) < count:
            surfaces.append(surface)
        elif surface is not None:
            why = f"num-batch-buffers is {count}: more surfaces are left out"
            each.ignore(why, *(entry.key for entry in each.group.entries))
    if not surfaces and not any(finding.status == "wrong" for finding in report.findings()):
        section.reject("surface0", "there is no group [surfaceN] that is taken")
    report.finish()
    return Dewarper(surfaces, size, report)


def _surface(section: Section) -> Surface | None:
    projection = section.choice("projection-type", None, PROJECTIONS)
    if projection is None:
        if "projection-type" not in section:
            section.reject("projection-type", "is missing: 1 to 18")
        return None
    x, y = section.number("src-x0", 0.0), section.number("src-y0", 0.0)
    axes = section.text("rot-axes", "") or "YXZ"
    if axes not in AXES:
        section.note("rot-axes", f"it is not one of {', '.join(AXES)}: YXZ is taken, as in DeepStream")
        axes = "YXZ"
    matrix, point = section.numbers("rot-matrix", ()), section.numbers("dst-principal-point", ())
    if len(matrix) not in (0, 9):
        section.ignore("it has not 9 numbers: DeepStream passes over it, too", "rot-matrix")
    if len(point) not in (0, 2):
        section.ignore("it has not 2 numbers: DeepStream passes over it, too", "dst-principal-point")
    border = section.integer("cuda-address-mode", 0)
    if border not in (0, 1):
        section.note("cuda-address-mode", "it is neither 0 nor 1: 0 is taken, as in DeepStream")
    surface = Surface(
        projection,
        section.integer("width", 0, least=0),
        section.integer("height", 0, least=0),
        _lengths(section.numbers("focal-length", ())),
        section.number("src-fov", 0.0),
        (x or None, y or None),
        section.numbers("distortion", ())[:5],
        section.number("pitch", 0.0),
        section.number("yaw", 0.0),
        section.number("roll", 0.0),
        axes,
        matrix if len(matrix) == 9 else None,
        section.number("top-angle", 0.0),
        section.number("bottom-angle", 0.0),
        section.number("control", 0.6),
        border == 1,
        _lengths(section.numbers("dst-focal-length", ())),
        (point[0], point[1]) if len(point) == 2 and all(point) else None,
        section.integer("surface-index", 0),
    )
    try:
        surface.check()
    except ValueError as error:
        section.reject("projection-type", str(error))
        return None
    return surface


def _lengths(values: tuple[float, ...]) -> tuple[float, ...]:
    """One or two focal lengths; those that are 0 are not given."""
    first = values[:2]
    if not first or not first[0]:
        return ()
    return first if len(first) == 2 and first[1] else first[:1]
