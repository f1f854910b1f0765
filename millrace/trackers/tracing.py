"""Which tracks a look did not find, and what was there instead: the facts, for who asks why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media import Object
from ..media.geometry import iou
from .base import Tracker

SECOND = 1e9
FORGOTTEN = 60 * SECOND


@dataclass(slots=True)
class Last:
    """A track as it was when a detection last fitted it."""

    box: NDArray[Any]
    velocity: tuple[float, float] | None
    label: str
    pts: int


class Misses:
    """Watches one stream's tracker from outside: what it was given, and what it made of it.

    A track that was detected in the last look and is not in this one is a miss. Its predicted place is its last box
    moved by its velocity; a tracker that knows better may offer `why_missed(id)`, a dict whose keys replace these:
    `predicted` (x1 y1 x2 y2), `least_overlap`, and `costs` (one for each detection, in their order).
    """

    def __init__(self, tracker: Tracker, name: str) -> None:
        self.tracker = tracker
        self.name = name
        self.known: dict[int, Last] = {}
        self.looked: set[int] = set()  # the identities that the last look found
        self.number = 0

    def update(self, objects: Sequence[Object], pts: int) -> list[dict[str, Any]]:
        """The misses of a frame that a model looked at. `objects` are those that the tracker gave back."""
        detected = [found for found in objects if found.detected_box is not None]
        here = {found.id for found in detected if found.id is not None}
        out = [self._miss(key, detected, pts) for key in sorted(self.looked - here)]
        for found in detected:
            if found.id is not None:
                box = found.box if found.detected_box is None else found.detected_box
                self.known[found.id] = Last(box, found.velocity, found.label, pts)
        self.looked = here
        self.known = {key: last for key, last in self.known.items() if pts - last.pts <= FORGOTTEN}
        return out

    def _miss(self, key: int, detected: list[Object], pts: int) -> dict[str, Any]:
        last = self.known[key]
        seconds = (pts - last.pts) / SECOND
        moved = np.tile(np.array(last.velocity or (0.0, 0.0)) * seconds, 2)
        facts: dict[str, Any] = {
            "predicted": last.box + moved,
            "least_overlap": getattr(self.tracker.rules, "iou", None),
        }
        why = getattr(self.tracker, "why_missed", None)
        told = dict(why(key) or {}) if why is not None else {}
        costs = told.pop("costs", None)
        facts |= told
        boxes = np.array([found.detected_box for found in detected], dtype=np.float64).reshape(-1, 4)
        overlaps = iou(np.asarray(facts["predicted"], dtype=np.float64)[None], boxes)[0].tolist()
        others = []
        for n in sorted(range(len(detected)), key=lambda n: -overlaps[n])[:8]:
            found = detected[n]
            other = {"box": _plain(boxes[n]), "label": found.label, "confidence": round(float(found.confidence), 4),
                     "overlap": round(overlaps[n], 4), "id": found.id}  # fmt: skip
            penalty = getattr(self.tracker.rules, "class_penalty", None)
            if penalty and found.label != last.label:
                other["penalty"] = penalty
            others.append(other if costs is None else {**other, "cost": round(float(costs[n]), 4)})
        self.number += 1
        facts |= {"box": _plain(last.box), "predicted": _plain(facts["predicted"]), "unseen": seconds,
                  "detections": others}  # fmt: skip
        return {
            "miss": f"t{self.number}", "kind": "track", "name": self.name, "id": key, "label": last.label,
            "reason": "no detection was taken for it" if detected else "nothing was detected",
            "facts": {name: value for name, value in facts.items() if value is not None},
        }  # fmt: skip


def _plain(box: Any) -> list[float]:
    return [round(float(value), 2) for value in box]
