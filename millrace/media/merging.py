"""Copies of one frame that were changed apart from each other become one frame again."""

from __future__ import annotations

from collections.abc import Sequence

from .frame import Frame
from .objects import Object

_ONCE = (
    "id", "detected_box", "track_confidence", "mask", "keypoints", "angle", "embedding", "text", "depth", "velocity",
)  # fmt: skip


def merged(copies: Sequence[Frame]) -> Frame:
    """The first of the copies (`Frame.fork`), with all that the others know more.

    An object of which several have a copy stays one: it keeps what the first says of it, and gets the labels, extras
    and other facts that only a later one has. An object that a single copy has is kept; so one stays that any branch
    has left in. A parent is the object of the merged frame, whichever copy of it was meant. The pixels are the
    first's.
    """
    frame, *others = copies
    known = {id(_root(found)): found for found in frame.objects}
    for other in others:
        for found in other.objects:
            twin = known.setdefault(id(_root(found)), found)
            if twin is found:
                frame.objects.append(found)
            else:
                _add(twin, found)
        for name in ("events", "readings"):  # copies share them, so each is known by itself
            mine = getattr(frame, name)
            there = {id(each) for each in mine}
            mine += [each for each in getattr(other, name) if id(each) not in there]
        frame.inferred += [name for name in other.inferred if name not in frame.inferred]
        models = {**other.extras.get("models", {}), **frame.extras.get("models", {})}
        frame.extras = {**other.extras, **frame.extras}
        if models:  # each branch knows the numbers of its own
            frame.extras["models"] = models
    for found in frame.objects:
        if found.parent is not None:
            found.parent = known.get(id(_root(found.parent)), found.parent)
    return frame


def _root(found: Object) -> Object:
    return found.origin or found


def _add(into: Object, other: Object) -> None:
    for name in _ONCE:
        if getattr(into, name) is None:
            setattr(into, name, getattr(other, name))
    into.labels += [label for label in other.labels if label not in into.labels]
    into.extras = {**other.extras, **into.extras}
