"""Files of nvdsmetamux: of which streams what each model found is kept where branches meet."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from ..deepstream import Report, read


@dataclass(frozen=True, slots=True)
class Metamux:
    """What such a file says: the number of the branch whose picture goes on, and models → numbers of streams."""

    first: int
    keep: dict[int, tuple[int, ...]] = field(default_factory=dict)
    report: Report | None = None


def read_metamux(path: str | os.PathLike[str]) -> Metamux:
    """The settings in a file. Raises ConfigError with a line for each value that is wrong."""
    report = Report(read(path))
    section = report.section("property")
    enabled = section.boolean("enable", True)
    pad = section.text("active-pad", None)
    section.ignore("copies of one frame are known to be that: times are not compared", "pts-tolerance")
    match = re.fullmatch(r"sink_(\d+)", pad or "sink_0")
    if match is None:
        section.reject("active-pad", f"{pad!r} is not sink_N")
    keep: dict[int, tuple[int, ...]] = {}
    for _, group in report.sections(r"group-\d+"):
        for found, key in group.keys(r"src-ids-model-(\d+)"):
            numbers = group.integers(key, ())
            if numbers:
                keep[int(found[1])] = numbers
    report.section("user-configs").ignore("no library of its own is loaded", *_keys(report, "user-configs"))
    report.finish()
    return Metamux(int(match[1]) if match else 0, keep if enabled else {}, report)


def _keys(report: Report, group: str) -> list[str]:
    return [entry.key for entry in report.section(group).group.entries]
