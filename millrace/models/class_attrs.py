"""`[class-attrs-all]` and `[class-attrs-N]`: which objects count, in files of nvinfer and nvdspostprocess."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from ..deepstream import Report, Section
from .card import ClassCard, Clustering, Shade

GROUPS = r"class-attrs-(all|\d+)"
CLUSTERING: dict[int, Clustering] = {0: "groups", 1: "dbscan", 2: "nms", 3: "hybrid", 4: "none"}

# Without OpenCV, as DeepStream's library is built, group rectangles become NMS with these numbers for every class.
INSTEAD_OF_GROUPS = ClassCard(iou=0.5, top_k=20)
NOT_IN_YAML = "DeepStream's YAML files have no such key: it is an old one of key files"
DRAWN = "the settings `colours` and `styles` of `draw` say how objects look"
_GROUPS = "without a cluster-mode DeepStream takes NMS with IoU 0.5 and at most 20 objects a class"
_MODES: dict[str, tuple[str, tuple[Clustering, ...]]] = {  # key: field, and the ways of clustering that use it
    "nms-iou-threshold": ("iou", ("nms", "hybrid")),
    "eps": ("eps", ("dbscan", "hybrid")),
    "minBoxes": ("min_boxes", ("dbscan", "hybrid")),
    "dbscan-min-score": ("min_score", ("dbscan", "hybrid")),
    "group-threshold": ("group_size", ()),
    "post-cluster-threshold": ("confidence_after", ("nms", "hybrid", "dbscan", "groups")),
    "topk": ("top_k", ("nms", "hybrid", "dbscan", "none")),
}


def read_classes(report: Report, mode: Clustering, count: int | None, legacy: bool) -> dict[str, Any]:
    """The card's keys about classes: clustering, confidence, iou, every_class, by_class.

    `mode` is what the file says, `count` the number of classes where it is known, `legacy` whether `threshold` may
    stand for `pre-cluster-threshold`.
    """
    own = {match[1]: _read(section, mode, legacy) for match, section in report.sections(GROUPS)}
    every = own.pop("all", ClassCard()).over(ClassCard(confidence=0.2, iou=0.3))
    singles = {int(number): card for number, card in own.items()}
    for number in singles:
        if count is not None and number >= count:
            why = f"there are {count} classes, 0 to {count - 1}"
            report.section(f"class-attrs-{number}").reject("", why)
    if mode == "groups":
        every = INSTEAD_OF_GROUPS.over(every)
    return {
        "clustering": "nms" if mode == "groups" else mode,
        "confidence": every.confidence,
        "iou": every.iou,
        "every_class": replace(every, confidence=None, iou=None),
        "by_class": {number: card for number, card in sorted(singles.items()) if _says(card)},
    }


def _read(section: Section, mode: Clustering, legacy: bool) -> ClassCard:
    confidence = section.number("pre-cluster-threshold", None, least=0)
    if legacy:
        older = section.number("threshold", None, least=0)
        if confidence is not None:
            section.ignore("pre-cluster-threshold counts", "threshold")
        confidence = older if confidence is None else confidence
    else:
        section.ignore(NOT_IN_YAML, "threshold")
    card = ClassCard(
        confidence=confidence,
        confidence_after=section.number("post-cluster-threshold", None, least=0),
        iou=section.number("nms-iou-threshold", None, least=0, most=1),
        top_k=section.integer("topk", None, least=0),
        eps=section.number("eps", None, least=0),
        min_boxes=section.integer("minBoxes", None, least=0),
        min_score=section.number("dbscan-min-score", None, least=0),
        group_size=section.integer("group-threshold", None, least=0),
        min_width=section.integer("detected-min-w", None, least=0),
        min_height=section.integer("detected-min-h", None, least=0),
        max_width=section.integer("detected-max-w", None, least=0),
        max_height=section.integer("detected-max-h", None, least=0),
        top_offset=section.integer("roi-top-offset", None, least=0),
        bottom_offset=section.integer("roi-bottom-offset", None, least=0),
        border=_shade(section, "border-color"),
        fill=_shade(section, "bg-color"),
    )
    return _without_effect(section, card, mode)


def _without_effect(section: Section, card: ClassCard, mode: Clustering) -> ClassCard:
    """Say which keys another way of clustering would need, and take them out."""
    gone: dict[str, Any] = {}
    for key, (name, modes) in _MODES.items():
        if key in section and mode not in modes:
            section.ignore(_GROUPS if mode == "groups" else f"boxes are clustered by {mode}", key)
            gone[name] = None
    return replace(card, **gone)


def _shade(section: Section, key: str) -> Shade | None:
    values = section.numbers(key, None)
    if values is None:
        return None
    if len(values) != 4 or not all(0 <= value <= 1 for value in values):
        section.reject(key, "is not four numbers of 0..1: red;green;blue;alpha")
        return None
    section.ignore(DRAWN, key)
    return (values[0], values[1], values[2], values[3])


def _says(card: ClassCard) -> bool:
    return any(getattr(card, one.name) is not None for one in fields(card))
