"""Tensors → what is in a picture: one file per family of models.

A file holds one or more parsers and `guess(model)`, which says whether it knows a model by its tensors.
"""

from __future__ import annotations

import os
from importlib import import_module

from ..core.errors import ConfigError, did_you_mean
from .base import Guess, Model, Parser
from .custom import is_custom, load_custom
from .symbols import SYMBOLS

__all__ = ["get", "guesses", "named", "names", "recognise"]

TABLE = {
    "batched_nms": "tao:parse_batched",
    "classifier": "classifier:parse",
    "ctc": "text:parse",
    "dbnet": "dbnet:parse",
    "depth": "depth:parse",
    "detectnet_v2": "detectnet:parse",
    "detr": "detr:parse",
    "detr_raw": "detr:parse_raw",
    "embedding": "embedding:parse",
    "end2end": "end2end:parse",
    "fastestdet": "fastestdet:parse",
    "heatmaps": "keypoints:parse_heatmaps",
    "lprnet": "text:parse_lprnet",
    "mask2former": "mrcnn:parse_queries",
    "movenet": "keypoints:parse_movenet",
    "movenet_multi": "keypoints:parse_movenet_multi",
    "mrcnn": "mrcnn:parse",
    "mrcnn_tao": "mrcnn:parse_tao",
    "nanodet": "nanodet:parse",
    "nms_tao": "tao:parse_nms",
    "raw": "raw:parse",
    "segmentation": "segmentation:parse",
    "simcc": "keypoints:parse_simcc",
    "ssd": "ssd:parse",
    "ssd_final": "ssd:parse_final",
    "ssd_rows": "ssd:parse_rows",
    "yolov4": "tao:parse_yolov4",
    "yolov5": "yolo:parse_v5",
    "yolov8": "yolo:parse_v8",
    "yolov8_obb": "yolo_tasks:parse_obb",
    "yolov8_pose": "yolo_tasks:parse_pose",
    "yolov8_seg": "yolo_tasks:parse_seg",
    "yolox": "yolox:parse",
}

_CONFIDENCE = {  # what is asked of models of a kind where nobody says: a classifier's best answer is its answer
    "classifier": 0.0, "segmentation": 0.0, "ctc": 0.0, "lprnet": 0.0, "dbnet": 0.6,
    "movenet": 0.2, "heatmaps": 0.2, "simcc": 0.2,
}  # fmt: skip


def names() -> list[str]:
    """The parsers there are."""
    return sorted(TABLE)


def get(name: str, folder: str | os.PathLike[str] = ".") -> Parser:
    """The parser of that name: one of ours, DeepStream's name for one, or `module:function` or `file.py:function`.

    Raises ConfigError for a name that is not known, or a function that cannot be had. A .py file is looked for in
    `folder`.
    """
    if is_custom(name):
        return load_custom(name, folder)
    name = SYMBOLS[name].parser if name in SYMBOLS else name
    if name not in TABLE:
        hint = did_you_mean(name, [*TABLE, *SYMBOLS])
        raise ConfigError(
            f"parser {name!r} is not known.{hint} There are: {', '.join(names())}; a function of your own is written "
            f"module:function or file.py:function"
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
    """What is known of a model whose parser somebody named: what recognition makes of it, if that names the same."""
    symbol = SYMBOLS.get(name)
    plain = symbol.parser if symbol else name
    alike = [guess for guess in guesses(model) if guess.parser == plain] if plain in TABLE else []
    found = alike[0] if alike else Guess(plain, 1.0, "named by the card or the settings")
    confidence = found.confidence if found.confidence is not None else _CONFIDENCE.get(plain)
    extras = {**found.extras, **(symbol.extras if symbol else {})}
    background = symbol.background if symbol and symbol.background is not None else found.background
    return Guess(
        name if is_custom(name) else plain, found.sure, found.why, found.input, extras, background, found.iou,
        confidence, found.class_agnostic, found.orig_size_input, found.class_count,
    )  # fmt: skip


def recognise(model: Model) -> Guess:
    """Which parser reads this model's outputs, from their names and shapes and the exporter's metadata.

    Raises ConfigError that prints inputs and outputs when no family knows them.
    """
    known = guesses(model)
    if known:
        return known[0]
    raise ConfigError(
        "no parser knows these outputs; a model card beside the model (or the setting `parser`) can name one.\n"
        f"  inputs:  {', '.join(map(str, model.inputs))}\n"
        f"  outputs: {', '.join(map(str, model.outputs))}\n"
        f"  parsers: {', '.join(names())}"
    )
