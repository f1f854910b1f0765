"""Files of DeepStream's new nvstreammux (config-file-path): how frames are gathered into batches."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from ..deepstream import Report, Section, read

_ALGORITHMS = {0: "none", 1: "round-robin", 2: "priority"}


@dataclass(frozen=True, slots=True)
class Streammux:
    """What such a file says. `size` None: one frame of each open stream; `per_stream` by the number of the source."""

    size: int | None
    max_fps: float | None
    min_fps: float
    per_stream: int
    sources: dict[int, int] = field(default_factory=dict)
    report: Report | None = None


def read_streammux(path: str | os.PathLike[str]) -> Streammux:
    """The settings in a file. Raises ConfigError with a line for each value that is wrong."""
    report = Report(read(path))
    section = report.section("property")
    size = section.integer("batch-size", 1, least=1, most=1024)
    adaptive = section.boolean("adaptive-batching", True)
    controlled = section.boolean("max-fps-control", False)
    fastest, slowest = _rate(section, "overall-max-fps", 120.0), _rate(section, "overall-min-fps", 5.0)
    per_stream = section.integer("max-same-source-frames", 1, least=1)
    algorithm = section.choice("algorithm-type", "round-robin", _ALGORITHMS)
    if algorithm != "round-robin":
        section.ignore("streams take turns, none goes before others", "algorithm-type")
    if not controlled:
        section.ignore("max-fps-control is off", "overall-max-fps-n", "overall-max-fps-d")
    if adaptive:
        section.ignore("adaptive-batching: a batch has a frame of each open stream", "batch-size")
    section.ignore("a source's own speed is kept: `pace`, and drop_frame_interval of a stream",
                   "enable-source-rate-control")  # fmt: skip
    sources = {}
    for match, each in report.sections(r"source-config-(\d+)"):
        most = each.integer("max-num-frames-per-batch", None, least=1)
        if most is not None:
            sources[int(match[1])] = most
        each.ignore("a source's own speed is kept", "max-fps-n", "max-fps-d", "min-fps-n", "min-fps-d")
        each.ignore("streams take turns, none goes before others", "priority")
    report.finish()
    return Streammux(
        None if adaptive else size, fastest if controlled else None, slowest, per_stream, sources, report
    )  # fmt: skip


def _rate(section: Section, key: str, default: float) -> float:
    """Batches a second, from a numerator and a denominator."""
    above, below = section.integer(f"{key}-n", None, least=1), section.integer(f"{key}-d", 1, least=1)
    return default if above is None else above / below
