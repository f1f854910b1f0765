"""How a model's outputs are read: its parser and what that goes by, the names of its classes, which objects count."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError, did_you_mean
from ..media import ASKED, CELL_CLASSES, CELL_NUMBERS, LEFT_OUT, MASK_WINDOWS, MASKS
from ..models.card import ClassCard, ModelCard
from ..models.labels import Labels
from ..parsers import kind_of
from ..parsers.base import Guess, Head, Outputs, Parser, ParserSettings
from ..parsers.cells import asked_of_cells
from ..parsers.custom import ParserError

_LOOKED_AT = 64  # one call in so many is searched for NaN, and the first ones
_SIZES = ("min_width", "min_height", "max_width", "max_height", "top_offset", "bottom_offset")
_FAILS = (ArithmeticError, AttributeError, IndexError, LookupError, StopIteration, TypeError, ValueError)


@dataclass(slots=True)
class Reader:
    """Outputs → what is in the pictures. `title` is the model's file, for errors."""

    title: str
    card: ModelCard
    guess: Guess
    parser: Parser
    names: Labels
    width: int  # of the input, pixels
    height: int
    heads: Sequence[Head] = ()
    settings: ParserSettings = field(init=False)
    limits: Limits | None = field(init=False, default=None)
    calls: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.configure()

    @property
    def whole(self) -> bool:
        """Whether its answers are about a picture as a whole, without places in it."""
        return kind_of(self.guess.parser) in ("classifier", "embedding", "text")

    def read(self, outputs: Outputs, count: int) -> Sequence[Any]:
        """What each of `count` pictures shows: Detections, a Reading, or a user's objects; places in input pixels.

        Raises ParserError for outputs that cannot be read, and for numbers that are none (NaN).
        """
        settings = self._as_asked(outputs)
        outputs = self.given(outputs)
        if self.calls < 4 or self.calls % _LOOKED_AT == 0:
            self._check_numbers(outputs)
        self.calls += 1
        try:
            return self.parser(outputs, count, settings)
        except ParserError as error:
            raise ParserError(f"{self.title}: {error}") from error
        except _FAILS as error:
            shapes = ", ".join(f"{name} {value.dtype}{list(value.shape)}" for name, value in outputs.items())
            what = str(error) or type(error).__name__
            raise ParserError(f"{self.title}: parser {self.guess.parser!r} cannot read {shapes}: {what}") from error

    def given(self, outputs: Outputs) -> Outputs:
        """What the parser is given: the outputs that the card names, else all; what is told of cells besides them."""
        told = [name for name in (CELL_NUMBERS, CELL_CLASSES, MASKS, MASK_WINDOWS) if name in outputs]
        networks = self.card.outputs or [name for name in outputs if name not in (*told, LEFT_OUT, ASKED)]
        if MASKS in outputs:  # and not the prototypes
            networks = [name for name in networks if name in outputs]
        return {name: outputs[name] for name in (*networks, *told)}

    def asked(self, count: int) -> NDArray[np.float32]:
        """What is ASKED of the cells of so many pictures."""
        return np.tile(np.array(asked_of_cells(self.settings), np.float32), (count, 1))

    def _as_asked(self, outputs: Outputs) -> ParserSettings:
        """The settings, with the overlap that was asked of the cells: somebody may have changed it since."""
        overlap = float(outputs[ASKED][0, 1]) if ASKED in outputs else math.inf
        changed = overlap not in (math.inf, np.float32(self.settings.iou))
        return replace(self.settings, iou=overlap) if changed else self.settings

    def _check_numbers(self, outputs: Outputs) -> None:
        for name, value in outputs.items():
            if value.dtype.kind == "f" and value.size and np.isnan(value.max()):
                share = float(np.isnan(value).mean())
                raise ParserError(
                    f"{self.title}: the model answered NaN in {share:.0%} of {name}; is the input scaled as it was "
                    f"trained (`input` in its card), or its precision too low?"
                )

    def label(self, class_id: int) -> str:
        return self.names.get(class_id) or str(class_id)

    def class_id(self, name: str | int) -> int:
        """The id of a class given by name or id. Raises ConfigError for a name that the model does not have."""
        if isinstance(name, int) or (name.isdigit() and name not in self.names.values()):
            return int(name)
        for class_id, label in self.names.items():
            if label == name:
                return class_id
        have = ", ".join(self.names.values()) or "none that are named: give numbers, or `labels` in a model card"
        hint = did_you_mean(name, self.names.values())
        raise ConfigError(f"{self.title} has no class {name!r}.{hint} Its classes: {have}")

    def configure(
        self,
        confidence: float | None = None,
        iou: float | None = None,
        top_k: int | None = None,
        classes: Iterable[str | int] | None = None,
    ) -> None:
        """Set what the parser goes by: what is given here, else the card, else the guess, else the default."""
        card, guess, every = self.card, self.guess, self.card.every_class
        wanted = classes if classes is not None else card.classes
        least = first(confidence, every.confidence, card.confidence, guess.confidence, 0.3)
        rules = {self.class_id(name): self._rule(own) for name, own in card.by_class.items()}
        if confidence is not None:
            rules = {number: {k: v for k, v in rule.items() if k != "confidence"} for number, rule in rules.items()}
        self.settings = ParserSettings(
            width=self.width,
            height=self.height,
            confidence=least,
            iou=first(iou, every.iou, card.iou, guess.iou, 0.45),
            top_k=first(top_k, card.top_k, 300),
            class_agnostic=bool(first(card.class_agnostic, guess.class_agnostic, False)),
            classes=None if wanted is None else frozenset(self.class_id(name) for name in wanted),
            drop=frozenset(self.class_id(name) for name in card.drop or ()),
            background=first(card.background, guess.background),
            thresholds={self.class_id(name): max(value, least) for name, value in card.thresholds.items()},
            cluster=card.clustering,
            confidence_after=every.confidence_after or 0.0,
            class_top_k=every.top_k,
            eps=every.eps or 0.0,
            min_boxes=every.min_boxes or 0,
            min_score=every.min_score or 0.0,
            group_size=every.group_size or 0,
            rules=rules,
            mask_threshold=first(card.mask_threshold, 0.5),
            names=self.names,
            heads=self.heads,
            extras={**self._extras(), **card.extras},
        )
        self.limits = Limits.of(self)

    def _extras(self) -> dict[str, Any]:
        """What the parser is told besides the card's own extras."""
        layout = {"order": self.card.output_layout} if self.card.output_layout else {}
        theirs = {"mask_logits": True} if self.card.theirs else {}  # DeepStream compares what the model gives
        return {**theirs, **self.guess.extras, **layout}

    @staticmethod
    def _rule(own: ClassCard) -> dict[str, Any]:
        """What a class's own rules change in how candidates are chosen."""
        names = {"top_k": "class_top_k"}
        chosen = [one.name for one in fields(own) if one.name not in (*_SIZES, "border", "fill")]
        return {names.get(key, key): value for key in chosen if (value := getattr(own, key)) is not None}


@dataclass(frozen=True, slots=True)
class Limits:
    """Which objects of each class count by size and place: rows of _SIZES by class id, the last for all others."""

    table: NDArray[np.float32]
    cut: bool  # at the bands along the edges; else what reaches into them is dropped

    @classmethod
    def of(cls, reader: Reader) -> Limits | None:
        """None where all count."""
        card = reader.card
        own = {reader.class_id(name): rule.over(card.every_class) for name, rule in card.by_class.items()}
        rules = [own.get(number, card.every_class) for number in range(max(own, default=-1) + 1)]
        table = [[getattr(rule, name) or 0.0 for name in _SIZES] for rule in [*rules, card.every_class]]
        return cls(np.array(table, np.float32), card.crop_to_offsets) if np.any(table) else None

    def apply(self, boxes: NDArray[np.float32], classes: NDArray[Any], height: int) -> NDArray[np.bool_]:
        """Which of the boxes [n, 4] (source pixels, changed where they are cut) count in a frame of that height."""
        rows = self.table[np.minimum(classes, len(self.table) - 1)]
        top, bottom = rows[:, 4], height - rows[:, 5]
        if self.cut:
            np.maximum(boxes[:, 1], top, out=boxes[:, 1])
            np.minimum(boxes[:, 3], bottom, out=boxes[:, 3])
            inside = boxes[:, 3] > boxes[:, 1]
        else:
            inside = (boxes[:, 1] >= top) & (boxes[:, 3] <= bottom)
        wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        large = (wide >= rows[:, 0]) & (high >= rows[:, 1])
        small = ((rows[:, 2] <= 0) | (wide <= rows[:, 2])) & ((rows[:, 3] <= 0) | (high <= rows[:, 3]))
        return np.asarray(inside & large & small)


def heads_of(card: ModelCard, title: str, outputs: Mapping[str, int | None]) -> list[Head]:
    """The heads of a classifier, from its card and its outputs with their number of classes.

    Raises ConfigError where names and heads, or the names of a head and its classes, differ in number.
    """
    points = {str(name) for name in card.extras.get("points", ())}
    tensors = [name for name in card.outputs or outputs if name not in points]
    lists = card.heads()
    named = [card.attribute] if isinstance(card.attribute, str) else list(card.attribute or ())
    if lists and len(lists) != len(tensors):
        raise ConfigError(f"{title}: {len(lists)} lists of labels for {len(tensors)} heads: {', '.join(tensors)}")
    if named and len(named) not in (1, len(tensors)):
        raise ConfigError(f"{title}: `attribute` names {len(named)} heads, there are {len(tensors)}")
    heads = []
    for n, tensor in enumerate(tensors):
        labels = dict(enumerate(lists[n])) if lists else {}
        size = outputs.get(tensor)
        if labels and size is not None and len(labels) != size:
            raise ConfigError(f"{title}: {tensor} has {size} classes, its labels are {len(labels)}: {short(labels)}")
        name = named[n] if len(named) > 1 else named[0] if named else tensor if len(tensors) > 1 else ""
        heads.append(Head(tensor, name, labels))
    return heads


def check_count(names: Labels, guess: Guess, card: ModelCard, title: str) -> None:
    """Raises ConfigError where a list of names has not as many as there are classes; a mapping may name some."""
    count = guess.class_count
    if count is None or isinstance(card.labels, dict) or guess.parser in ("ctc", "lprnet"):
        return
    background = first(card.background, guess.background)
    fewer = guess.parser == "ssd" and (background is None or background == count - 1)
    if len(names) != count and not (fewer and len(names) == count - 1):
        raise ConfigError(
            f"{title} has {count} classes, the labels are {len(names)}: {short(names)}; name all in their order, "
            f"or some by number as {{0: name}}"
        )


def short(names: Labels) -> str:
    """The first few names."""
    few = list(names.values())[:5]
    return ", ".join(few) + (", …" if len(names) > len(few) else "")


def first(*values: Any) -> Any:
    """The first that is not None."""
    return next((value for value in values if value is not None), None)
