"""What a tracker is: the detections of one stream, frame by frame → identities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.errors import SettingError
from ..media import Object
from ..media.objects import Trajectory
from .appearance import Appearance
from .reassociation import Terms
from .rules import Life, Stage

REPORTS = ("terminated", "shadows", "past")


@dataclass(slots=True, eq=False)
class Past:
    """A target as it was: one that ended, or what happened before one had its identity. Times are pts."""

    id: int
    class_id: int
    label: str
    stage: str | None
    first_seen: int
    last_seen: int
    detections: int
    trajectory: Trajectory | None = None


@dataclass(slots=True, eq=False)
class Reports:
    """What a frame tells beside its objects; each list is filled only where `report` asks for it.

    `terminated`: identities that ended in this frame. `shadows`: objects of identities that this look did not find,
    where they should be. `past`: what was seen, before, of the identities that begin with this frame.
    """

    terminated: list[Past] = field(default_factory=list)
    shadows: list[Object] = field(default_factory=list)
    past: list[Past] = field(default_factory=list)


class Tracker(Protocol):
    """One per stream. Motion-only trackers ignore `image`."""

    rules: Rules
    reports: Reports  # of the last frame
    ids: int  # identities that were given

    def update(
        self,
        objects: list[Object],
        pts: int,
        inferred: bool,
        image: object = None,
        warp: NDArray[np.float64] | None = None,
    ) -> list[Object]:
        """The objects of this frame with `id`, `box`, `track_confidence`, `velocity` and `age` set.

        `objects` are the detections of this frame (source pixels); `inferred` is False when no model looked at the
        frame: tracks are then carried by prediction alone and returned as objects without `detected_box`.
        `pts` is ns of stream time and grows. Ids start at 1 and are never used twice in a stream.
        `warp` [2, 3] is how the camera's motion moved what stands still, from the frame before to this one.
        """
        ...

    def discontinuity(self) -> None:
        """The stream jumped (loop, reconnect): forget motion, keep counting ids."""
        ...

    def wanting(self, objects: list[Object], pts: int) -> list[Object]:
        """Those of a frame's detections that shall have an embedding when `update` comes, and have none."""
        ...


@dataclass(kw_only=True)
class Rules(ABC):
    """What can be set of every tracker; each has a subclass that adds its own and says what they mean for a step.

    `smooth`: objects take the filter's box (`detected_box` keeps the detector's). `coast`: so many seconds an identity
    that a look did not find is still reported, where it should be. `reassociate`: so many seconds an identity that
    ended can be taken up by a new target that its motion leads to. `classes`: only these class numbers or labels are
    tracked, others pass. `max_targets`: that many in a stream. `trajectory`: places that an object remembers.
    `report`: any of terminated, shadows, past: further lists for each frame (`Reports`).
    """

    smooth: bool = True
    coast: float = 0.0
    reassociate: float = 0.0
    classes: list[int | str] | None = None
    max_targets: int = 1000
    trajectory: int = 0
    report: list[str] = field(default_factory=list)

    name: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for key in self.report:
            if key not in REPORTS:
                raise SettingError(f"tracker {self.name}", "report", key, f"there are {', '.join(REPORTS)}")
        for key, value in vars(self).items():
            if isinstance(value, (int, float)) and not value >= 0:
                raise SettingError(f"tracker {self.name}", key, value, "it must not be below 0")

    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """The rounds of association."""

    @abstractmethod
    def life(self) -> Life:
        """Filter and life cycle."""

    def appearance(self) -> Appearance | None:
        """How embeddings are used; None: by motion alone."""
        return None

    def terms(self) -> Terms:
        """When a new target takes up an identity that ended."""
        return Terms(within=self.reassociate)

    def open(self) -> Any:
        """A tracker for one stream that keeps these rules."""
        from .motion import MotionTracker

        return MotionTracker(self)
