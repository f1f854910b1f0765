"""What a `preprocess` element does: which parts of which frames become a model's input, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .card import InputCard, ObjectsCard, Shade

Rectangle = tuple[float, float, float, float]  # left, top, width, height; pixels of the frame


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceCard:
    """Several frames make one input, as models of actions want it: `length` of them, every `skip + 1`th."""

    length: int
    stride: int = 1  # frames between the starts of two inputs
    skip: int = 0  # frames left out between two that are taken
    in_depth: bool = True  # True: [N, C, length, h, w]; False: [N, C * length, h, w]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionCard:
    """What is taken of some streams: whole frames, regions, or objects.

    `streams` are the numbers of streams (None: all). `rois` gives the rectangles by stream; with streams None, those
    of the first count for all. None: the whole frame, or all of its objects.
    """

    streams: tuple[int, ...] | None = None
    rois: dict[int, list[Rectangle]] | None = None
    objects: ObjectsCard | None = None
    every: int = 1
    draw: bool = True
    colour: Shade = (0.0, 1.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessCard:
    """How parts of frames become tensors for the models with the ids `targets`.

    `shape` is the tensor's, its first number the most inputs of one call. `function` is the C++ function that
    DeepStream would call; `extras` are the keys that are meant for it.
    """

    id: int = 15
    enabled: bool = True
    targets: tuple[int, ...] = ()
    input: InputCard = field(default_factory=InputCard)
    shape: tuple[int, ...] = ()
    sequence: SequenceCard | None = None
    regions: tuple[RegionCard, ...] = ()
    function: str = ""
    extras: dict[str, Any] = field(default_factory=dict)
    source: str | None = None
