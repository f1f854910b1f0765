"""How objects look: for all, and for each class as a configuration says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..media import Object
from .base import Colour
from .palette import colour_of, parse_colour

EVERY = "*"  # stands for all classes; what a class has of its own goes before
Edges = tuple[tuple[int, int], ...]
KEYS = {  # of a class's style, with what is allowed
    "colour": "#rrggbb",
    "thickness": "pixels, 1 or more",
    "text_size": "pixels, 6 or more",
    "fill": "0 to 1",
    "mask_opacity": "0 to 1",
    **dict.fromkeys(("boxes", "labels", "confidence", "ids", "masks", "keypoints"), "true or false"),
}


@dataclass(slots=True)
class Style:
    """How things look; sizes are pixels of the picture."""

    thickness: int = 2
    text_size: int = 16
    boxes: bool = True
    labels: bool = True
    confidence: bool = True
    ids: bool = True
    masks: bool = True
    keypoints: bool = True
    fill: float = 0.0  # opacity of the inside of boxes
    mask_opacity: float = 0.45
    keypoint_confidence: float = 0.3
    by_identity: bool = False  # one colour per identity, else per class
    colours: Mapping[str, Colour] = field(default_factory=dict)  # of labels
    skeletons: Mapping[str, Edges] = field(default_factory=dict)  # of labels
    classes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # label or EVERY: what differs
    one: Colour | None = None  # the colour that a class's style gives
    _known: dict[str, Style] = field(default_factory=dict)

    def fitted(self, width: int, height: int, thickness: int | None, text_size: int | None) -> Style:
        """This style for a picture's size, where sizes are not given."""
        short = min(width, height)
        return replace(
            self,
            thickness=thickness or max(2, 2 * round(short / 540)),
            text_size=text_size or max(16, round(short / 38)),
            _known={},
        )

    def of(self, label: str) -> Style:
        """The style of a class."""
        known = self._known.get(label)
        if known is None:
            own = {**self.classes.get(EVERY, {}), **self.classes.get(label, {})}
            known = replace(self, classes={}, _known={}, **own) if own else self
            if len(self._known) < 1024:
                self._known[label] = known
        return known

    def colour(self, found: Object) -> Colour:
        given = self.colours.get(found.label, self.one)
        if given is not None:
            return given
        return colour_of(found.id if self.by_identity and found.id is not None else found.class_id)

    def caption(self, found: Object) -> str:
        """`car 12 0.87`, then what classifiers and readers said."""
        parts = [found.label] if self.labels else []
        if self.ids and found.id is not None:
            parts.append(str(found.id))
        if self.confidence:
            parts.append(f"{found.confidence:.2f}")
        if self.labels:
            parts.extend(answer.value for answer in found.labels)
            parts.extend([found.text] if found.text else [])
            parts.extend(_said(found.extras.get("analytics", {})))
            parts.extend([f"{found.depth:.3g} deep"] if found.depth is not None else [])
        return " ".join(parts)


def _said(analytics: Mapping[str, Any]) -> list[str]:
    """What analytics says of an object, in words: its speed on the ground, and what is wrong with it."""
    words = [f"{analytics['speed']:.1f} m/s"] if "speed" in analytics and "position" in analytics else []
    return words + [
        key.replace("_", " ") for key in ("loitering", "stopped", "wrong_way", "speeding") if key in analytics
    ]


def colours_from(given: Mapping[str, str]) -> dict[str, Colour]:
    """`{"car": "#ff8000"}` as colours. Raises ValueError naming the wrong one."""
    return {label: parse_colour(text) for label, text in given.items()}


def styles_from(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`{"person": {"colour": "#ff8800", "thickness": 3, "fill": 0.2}}` as what differs in a Style.

    Raises ValueError naming the class and the key that is wrong.
    """
    return {label: _class_style(label, table) for label, table in given.items()}


def _class_style(label: str, table: Any) -> dict[str, Any]:
    if not isinstance(table, Mapping):
        raise ValueError(f"the style of {label} is a table of {', '.join(KEYS)}")
    out: dict[str, Any] = {}
    for key, value in table.items():
        if key not in KEYS:
            raise ValueError(f"{label}.{key} is not known; a style has {', '.join(KEYS)}")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if key == "colour":
            out["one"] = parse_colour(value)
            continue
        if key in ("thickness", "text_size"):
            right = isinstance(value, int) and number and value >= (1 if key == "thickness" else 6)
        elif key in ("fill", "mask_opacity"):
            right = number and 0 <= value <= 1
        else:
            right = isinstance(value, bool)
        if not right:
            raise ValueError(f"{label}.{key}={value!r}: it is {KEYS[key]}")
        out[key] = value
    return out


def skeletons_from(given: Mapping[str, Sequence[Sequence[int]]]) -> dict[str, Edges]:
    """`{"hand": [[0, 1], [1, 2]]}` as edges between keypoints. Raises ValueError naming the wrong one."""
    out = {}
    for label, edges in given.items():
        pairs = [tuple(edge) if isinstance(edge, list | tuple) else () for edge in edges]
        if any(len(p) != 2 or not all(isinstance(i, int) and i >= 0 for i in p) for p in pairs):
            raise ValueError(f"the skeleton of {label} is a list of pairs of keypoint numbers, [[0, 1], [1, 2]]")
        out[label] = tuple((p[0], p[1]) for p in pairs)
    return out
