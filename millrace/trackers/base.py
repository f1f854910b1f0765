"""What a tracker is: the detections of one stream, frame by frame → identities."""

from __future__ import annotations

from typing import Protocol

from ..media import Object


class Tracker(Protocol):
    """One per stream. Motion-only trackers ignore `image`."""

    def update(self, objects: list[Object], pts: int, inferred: bool, image: object = None) -> list[Object]:
        """The objects of this frame with `id`, `box`, `track_confidence` and `velocity` set.

        `objects` are the detections of this frame (source pixels); `inferred` is False when no model looked at the
        frame: tracks are then carried by prediction alone and returned as objects without `detected_box`.
        `pts` is ns of stream time and grows. Ids start at 1 and are never used twice in a stream.
        """
        ...

    def discontinuity(self) -> None:
        """The stream jumped (loop, reconnect): forget motion, keep counting ids."""
        ...
