"""What is remembered of one identity: by its path, by a line and by a zone. `_steps.c` has structs of these fields."""

from __future__ import annotations

from dataclasses import dataclass

from .native import struct


@struct
@dataclass(slots=True)
class Course:
    """Where a path leads, and how much its places tremble. Pixels and ns."""

    first_pts: int = 0  # the last place but one
    last_pts: int = 0
    held: int = 0  # how many of the two there are
    residuals: int = 0
    number: int = 0  # places by which it is known where it leads
    first_x: float = 0.0
    first_y: float = 0.0
    last_x: float = 0.0
    last_y: float = 0.0
    noise: float = 0.0  # variance of a coordinate, pixels²
    x: float = 0.0  # where its places lead
    y: float = 0.0
    vx: float = 0.0  # pixels per ns
    vy: float = 0.0
    share: float = 0.0  # the variance of (x, y), of that of a place


@struct
@dataclass(slots=True)
class Side:
    """How an identity moves about a line."""

    label: str = ""
    seen: int = 0  # pts
    x: float = 0.0  # last seen there
    y: float = 0.0
    distance: float = 0.0  # from the line through both ends, > 0 to the right
    height: float = 0.0
    home_x: float = 0.0  # where it last was on that side, and its distance there
    home_y: float = 0.0
    home_distance: float = 0.0
    strayed: float = 0.0  # how far it was past the line without being counted, pixels
    home: bool = False  # the side that it was last known to be on: True is the right one
    through: bool = False  # it last passed that line between the ends
    went_in: bool = False  # it has crossed before
    went_out: bool = False
    told: bool = False  # that it was lost near the line


@struct
@dataclass(slots=True)
class Visit:
    """What a zone knows of an identity."""

    label: str = ""
    seen: int = 0  # pts
    since: int = 0  # pts of its coming in
    x: float = 0.0
    y: float = 0.0
    inside: bool = False
    counted: bool = False  # among the unique identities
