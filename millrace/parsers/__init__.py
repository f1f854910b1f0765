"""Tensors → objects: one file per family of models.

A file holds one or more parsers and `guess(model)`, which says whether it knows a model by its tensors.
"""

from __future__ import annotations

from importlib import import_module

from ..core.errors import ConfigError, did_you_mean
from .base import Guess, Model, Parser

__all__ = ["get", "guesses", "names", "recognise"]

TABLE = {
    "detectnet_v2": "detectnet:parse",
    "detr": "detr:parse",
    "detr_raw": "detr:parse_raw",
    "end2end": "end2end:parse",
    "fastestdet": "fastestdet:parse",
    "nanodet": "nanodet:parse",
    "ssd": "ssd:parse",
    "ssd_final": "ssd:parse_final",
    "ssd_rows": "ssd:parse_rows",
    "yolov5": "yolo:parse_v5",
    "yolov8": "yolo:parse_v8",
    "yolox": "yolox:parse",
}


def names() -> list[str]:
    """The parsers there are."""
    return sorted(TABLE)


def get(name: str) -> Parser:
    """The parser of that name. Raises ConfigError for a name that is not known."""
    if name not in TABLE:
        raise ConfigError(f"parser {name!r} is not known.{did_you_mean(name, TABLE)} There are: {', '.join(names())}")
    module, _, function = TABLE[name].partition(":")
    parser: Parser = getattr(import_module(f".{module}", __package__), function)
    return parser


def guesses(model: Model) -> list[Guess]:
    """What each family that knows the model's tensors makes of them, the surest first."""
    families = dict.fromkeys(value.partition(":")[0] for value in TABLE.values())
    answers = [import_module(f".{family}", __package__).guess(model) for family in families]
    known: list[Guess] = [guess for guess in answers if guess is not None]
    return sorted(known, key=lambda guess: -guess.sure)


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
