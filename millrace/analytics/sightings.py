"""What the rules look at: where each identity was seen in a frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from ..media import Object

Anchor = Literal["bottom", "centre"]
ANCHORS = ("bottom", "centre")
SECOND = 1_000_000_000
MEMORY = 60 * SECOND  # an identity that was not seen for so long is forgotten


class Sighting(NamedTuple):
    """One identity in one frame. Source pixels, y down."""

    id: int
    label: str
    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def height(self) -> float:
        return self.y2 - self.y1

    def point(self, anchor: Anchor) -> tuple[float, float]:
        """What stands for the object: the middle of its lower side (where it meets the ground), or its centre."""
        return (self.x1 + self.x2) / 2, self.y2 if anchor == "bottom" else (self.y1 + self.y2) / 2


def sightings(objects: Iterable[Object]) -> list[Sighting]:
    """The objects that have an identity and were detected in this very frame: predictions are no evidence."""
    return [
        Sighting(found.id, found.label, *found.box.tolist())
        for found in objects
        if found.id is not None and found.detected_box is not None
    ]
