"""What the rules look at: where each identity was seen in a frame."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Literal, NamedTuple

from ..media import Object

Anchor = Literal[
    "bottom", "centre", "top", "left", "right", "bottom_left", "bottom_right", "top_left", "top_right"
]  # fmt: skip
_PLACES: dict[str, tuple[float, float]] = {  # shares of the box's width and height
    "bottom": (0.5, 1.0), "centre": (0.5, 0.5), "top": (0.5, 0.0), "left": (0.0, 0.5), "right": (1.0, 0.5),
    "bottom_left": (0.0, 1.0), "bottom_right": (1.0, 1.0), "top_left": (0.0, 0.0), "top_right": (1.0, 0.0),
}  # fmt: skip
ANCHORS = tuple(_PLACES)
SECOND = 1_000_000_000
MEMORY = 60 * SECOND  # an identity that was not seen for so long is forgotten
SURE = 3.0  # so many deviations of its trembling must a point be past a boundary

Point = tuple[float, float]


class Sighting(NamedTuple):
    """One object in one frame. Source pixels, y down. `id` is 0 where it has no identity (see `everything`)."""

    id: int
    label: str
    x1: float
    y1: float
    x2: float
    y2: float
    class_id: int = 0
    doubt: float = 0.0  # by how many pixels its points tremble (one deviation); see analytics.paths
    object: Object | None = None

    @property
    def height(self) -> float:
        return self.y2 - self.y1

    def point(self, anchor: Anchor) -> Point:
        """What stands for the object: the middle of its lower side (where it meets the ground), its centre, …"""
        if anchor == "bottom":
            return (self.x1 + self.x2) / 2, self.y2
        x, y = _PLACES[anchor]
        return self.x1 + (self.x2 - self.x1) * x, self.y1 + (self.y2 - self.y1) * y

    def least(self, margin: float) -> float:
        """How far past a boundary is sure, in pixels: `margin` heights, or more where its box trembles more."""
        return max(margin * (self.y2 - self.y1), SURE * self.doubt)


def packed(anchor: Anchor, margin: float) -> bytes:
    """How the C part is told the point that counts, and the margin: whether it is "bottom", its place, the margin."""
    return struct.pack("4d", anchor == "bottom", *_PLACES[anchor], margin)


def sightings(objects: Iterable[Object], predicted: bool = False) -> list[Sighting]:
    """The objects that have an identity and were detected in this very frame: predictions are no evidence.

    With `predicted` those too that a tracker alone sees: right for trackers that look at pixels.
    """
    return [
        _sighting(found.id, found)
        for found in objects
        if found.id is not None and (predicted or found.detected_box is not None)
    ]


def everything(objects: Iterable[Object]) -> list[Sighting]:
    """All objects of a frame but parts of others, with an identity or without."""
    return [_sighting(found.id or 0, found) for found in objects if found.parent is None]


def _sighting(key: int, found: Object) -> Sighting:
    x1, y1, x2, y2 = found.box.tolist()
    return Sighting(key, found.label, x1, y1, x2, y2, found.class_id, 0.0, found)
