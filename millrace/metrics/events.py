"""Events of a run → precision, recall and the error of counts, by a list of what truly happened.

A true event says what is known of it: kind and time, and where it matters name, direction, stream and label; what it
does not say may be anything. A found event fits a true one when all that was said agrees and its time is within the
tolerance. Pairs are chosen so that as many as possible fit, and then those nearest in time (optimal assignment).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import ConfigError
from ..trackers.matching import assign

_SAID = ("kind", "name", "direction", "stream", "label")
_TRUTH = 'it is {"events": [{"kind": "line", "time": 3.2, "name", "direction", "stream", "label"}]}'
SECOND = 1e9


@dataclass(frozen=True, slots=True)
class Happening:
    """One event, found or true; `time` in seconds. None: not said."""

    time: float
    kind: str
    name: str | None = None
    direction: str | None = None
    stream: str | None = None
    label: str | None = None

    def fits(self, said: Happening) -> bool:
        """Whether it agrees with all that was said."""
        return all(getattr(said, key) in (None, getattr(self, key)) for key in _SAID)


@dataclass(slots=True)
class Verdict:
    """The figures of one sort of event. `late` are seconds from the true to the found time of the pairs."""

    true: int = 0
    found: int = 0
    right: int = 0
    late: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """Shares 0..1; a share of nothing is 1. `count_error` is the difference of counts."""
        return {
            "true": self.true,
            "found": self.found,
            "right": self.right,
            "precision": self.right / self.found if self.found else 1.0,
            "recall": self.right / self.true if self.true else 1.0,
            "count_error": abs(self.found - self.true),
            "late": round(float(np.mean(self.late)), 3) if self.late else None,
        }


def judge(found: Iterable[Happening], true: Iterable[Happening], tolerance: float = 1.0) -> dict[str, Verdict]:
    """A verdict for each sort of true event ("line door in"), and "together".

    Events of a kind that the truth does not speak of are not judged.
    """
    real, kinds = list(true), {each.kind for each in true}
    mine = [each for each in found if each.kind in kinds]
    cost = np.full((len(mine), len(real)), np.inf)
    for n, each in enumerate(mine):
        for m, said in enumerate(real):
            away = abs(each.time - said.time)
            if away <= tolerance and each.fits(said):
                cost[n, m] = away
    rows, columns = assign(cost, 1e6) if cost.size else ([], [])
    pairs = dict(zip(rows, columns, strict=True))
    out: dict[str, Verdict] = {}
    for said in real:
        out.setdefault(sort_of(said), Verdict()).true += 1
    for n, each in enumerate(mine):
        if n in pairs:
            said = real[pairs[n]]
            verdict = out[sort_of(said)]
            verdict.right += 1
            verdict.late.append(each.time - said.time)
        else:
            verdict = out.setdefault(next((sort_of(s) for s in real if each.fits(s)), sort_of(each)), Verdict())
        verdict.found += 1
    out["together"] = together(out.values())
    return out


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """Sums; the counts' errors of the parts do not cancel out in `count_error` of the parts, but they do here."""
    whole = Verdict()
    for each in list(verdicts):
        whole.true += each.true
        whole.found += each.found
        whole.right += each.right
        whole.late += each.late
    return whole


def sort_of(event: Happening) -> str:
    return " ".join(word for word in (event.stream, event.kind, event.name, event.direction, event.label) if word)


def read_truth(path: Path) -> list[Happening]:
    """True events from a file: our own form, or the truth of a generated scene (its crossings). Raises ConfigError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}: is not JSON: {error.msg}") from error
    if isinstance(data, dict) and {"crossings", "fps"} <= set(data):
        return [Happening(each["frame"] / data["fps"], "line", None, each["direction"]) for each in data["crossings"]]
    if not isinstance(data, dict) or not isinstance(data.get("events"), list):
        raise ConfigError(f"{path}: {_TRUTH}")
    return [_happening(path, n, each) for n, each in enumerate(data["events"])]


def read_run(path: Path) -> Iterator[Happening]:
    """The events of JSON lines: moments, and the beginnings of those that last (a zone's leaving too)."""
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            try:
                line = json.loads(text)
                events = line.get("events", ())
            except (json.JSONDecodeError, AttributeError) as error:
                raise ConfigError(f"{path}:{number}: no line of a run's JSON") from error
            for event in events:
                yield from happenings(line, event)


def happenings(line: Mapping[str, Any], event: Mapping[str, Any]) -> Iterator[Happening]:
    """What an event of a line says has happened, and when: one that was told late began when it began."""
    phase, direction = event.get("phase"), event.get("direction")
    if phase == "update" or (phase == "end" and direction is None):
        return
    late = event.get("facts", {}).get("seconds", 0.0) if phase == "new" else 0.0
    yield Happening(
        line["pts"] / SECOND - late, event["kind"], event["name"], direction, line["stream"], event.get("label")
    )


def _happening(path: Path, number: int, given: Any) -> Happening:
    if not isinstance(given, dict) or "kind" not in given or not isinstance(given.get("time"), int | float):
        raise ConfigError(f"{path}: events[{number}]: kind and time (seconds) are needed; {_TRUTH}")
    wrong = sorted(set(given) - {*_SAID, "time"})
    if wrong:
        raise ConfigError(f"{path}: events[{number}].{wrong[0]} is not known; there are time, {', '.join(_SAID)}")
    return Happening(float(given["time"]), **{key: given[key] for key in _SAID if key in given})
