"""Tensors → what is in a picture: one file per family of models.

A file holds one or more parsers and `guess(model)`, which says whether it knows a model by its tensors.
"""

from __future__ import annotations

import os
from dataclasses import replace
from importlib import import_module

from ..core.errors import ConfigError, did_you_mean
from .base import Guess, Model, Parser
from .custom import is_custom, load_custom

__all__ = ["get", "guesses", "kind_of", "named", "names", "recognise"]

TABLE = {
    "batched_nms_tlt": "tao:parse_batched_nms",
    "classifier": "classifier:parse",
    "ctc": "text:parse",
    "dbnet": "dbnet:parse",
    "ddetr_tao": "tao:parse_ddetr",
    "depth": "depth:parse",
    "detectnet_v2": "detectnet:parse",
    "detr": "detr:parse",
    "detr_raw": "detr:parse_raw",
    "efficientdet_tao": "tao:parse_efficientdet",
    "embedding": "embedding:parse",
    "end2end": "end2end:parse",
    "fastestdet": "fastestdet:parse",
    "heatmaps": "keypoints:parse_heatmaps",
    "lprnet": "text:parse_lprnet",
    "mask2former": "mrcnn:parse_queries",
    "movenet": "keypoints:parse_movenet",
    "movenet_multi": "keypoints:parse_movenet_multi",
    "mrcnn": "mrcnn:parse",
    "mrcnn_tlt": "mrcnn:parse_tlt",
    "nanodet": "nanodet:parse",
    "nms_tlt": "tao:parse_nms",
    "raw": "raw:parse",
    "rtdetr_tao": "tao:parse_rtdetr",
    "segmentation": "segmentation:parse",
    "simcc": "keypoints:parse_simcc",
    "ssd": "ssd:parse",
    "ssd_final": "ssd:parse_final",
    "ssd_rows": "ssd:parse_rows",
    "tf_ssd": "tao:parse_tf_ssd",
    "yolo_face": "yolo_tasks:parse_face",
    "yolo_obb": "yolo_tasks:parse_obb",
    "yolo_pose": "yolo_tasks:parse_pose",
    "yolo_seg": "yolo_tasks:parse_seg",
    "yolov3": "yolov3:parse",
    "yolov4": "tao:parse_yolov4",
    "yolov5": "yolo:parse_v5",
    "yolov8": "yolo:parse_v8",
    "yolox": "yolox:parse",
}

_KINDS = {
    "classifier": ("classifier",),
    "segmentation": ("segmentation",),
    "instances": ("yolo_seg", "mrcnn", "mrcnn_tlt", "mask2former"),
    "keypoints": ("yolo_pose", "yolo_face", "movenet", "movenet_multi", "heatmaps", "simcc"),
    "oriented": ("yolo_obb", "dbnet"),
    "embedding": ("embedding",),
    "text": ("ctc", "lprnet"),
    "depth": ("depth",),
    "raw": ("raw",),
}  # the first is taken where nothing is recognised; all others are detectors

_CONFIDENCE = {  # what is asked of models of a kind where nobody says: a classifier's best answer is its answer
    "classifier": 0.0, "segmentation": 0.0, "ctc": 0.0, "lprnet": 0.0, "dbnet": 0.6,
    "movenet": 0.2, "heatmaps": 0.2, "simcc": 0.2,
}  # fmt: skip


def names() -> list[str]:
    """The parsers there are."""
    return sorted(TABLE)


def get(name: str, folder: str | os.PathLike[str] = ".") -> Parser:
    """The parser of that name: one of ours, or `module:function` or `file.py:function`.

    Raises ConfigError for a name that is not known, or a function that cannot be had. A .py file is looked for in
    `folder`.
    """
    if is_custom(name):
        return load_custom(name, folder)
    if name not in TABLE:
        raise ConfigError(
            f"parser {name!r} is not known.{did_you_mean(name, TABLE)} There are: {', '.join(names())}; a function of "
            f"your own is written module:function or file.py:function"
        )
    module, _, function = TABLE[name].partition(":")
    parser: Parser = getattr(import_module(f".{module}", __package__), function)
    return parser


def guesses(model: Model) -> list[Guess]:
    """What each family that knows the model's tensors makes of them, the surest first."""
    families = dict.fromkeys(value.partition(":")[0] for value in TABLE.values())
    answers = [import_module(f".{family}", __package__).guess(model) for family in families]
    known: list[Guess] = [guess for guess in answers if guess is not None]
    return sorted(known, key=lambda guess: -guess.sure)


def named(name: str, model: Model) -> Guess:
    """What is known of a model whose parser somebody named: what recognition says, if it says the same, or defaults."""
    known = guesses(model)
    if known and (name == "raw" or is_custom(name)):  # the input is what it is, whoever reads the outputs
        return Guess(name, 1.0, "named by the card or the settings", known[0].input, class_count=known[0].class_count)
    alike = [guess for guess in known if guess.parser == name]
    whole = kind_of(name) in ("classifier", "embedding", "text", "segmentation", "depth")
    plain = {"fit": "stretch"} if whole else {}  # as such models are used to it
    found = alike[0] if alike else Guess(name, 1.0, "named by the card or the settings", plain)
    return found if found.confidence is not None else replace(found, confidence=_CONFIDENCE.get(name))


def kind_of(name: str) -> str | None:
    """What a parser's models are: detector, classifier, … (as a card's `kind`); None for a parser of the user's own."""
    if is_custom(name):
        return None
    return next((kind for kind, parsers in _KINDS.items() if name in parsers), "detector")


def recognise(model: Model, kind: str | None = None) -> Guess:
    """Which parser reads this model's outputs, from their names and shapes and the exporter's metadata.

    `kind` (as in a card) leaves only parsers of such models. Raises ConfigError that prints inputs and outputs when no
    family knows them.
    """
    known = [guess for guess in guesses(model) if kind is None or kind_of(guess.parser) == kind]
    if known:
        return known[0]
    if kind in _KINDS:
        return named(_KINDS[kind][0], model)
    raise ConfigError(
        "no parser knows these outputs; a model card beside the model (or the setting `parser`) can name one.\n"
        f"  inputs:  {', '.join(map(str, model.inputs))}\n"
        f"  outputs: {', '.join(map(str, model.outputs))}\n"
        f"  parsers: {', '.join(names())}"
    )
