"""Outputs as they are, for the user's own Python (nvinfer's network-type 100 with output-tensor-meta)."""

from __future__ import annotations

from collections.abc import Sequence

from ..media import Reading
from .base import Guess, Model, Outputs, ParserSettings


def parse(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Reading]:
    """Every output's part for each picture; one that has no batch goes to each whole."""
    return [Reading(tensors=of_picture(outputs, picture, count)) for picture in range(count)]


def of_picture(outputs: Outputs, picture: int, count: int) -> Outputs:
    """Outputs without the dimension of the batch."""
    return {name: value[picture] if value.ndim and len(value) == count else value for name, value in outputs.items()}


def guess(model: Model) -> Guess | None:
    return None  # only who asks for it gets it
