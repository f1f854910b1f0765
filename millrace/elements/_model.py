"""A model ready for work: its runtime, the input it wants, the parser that reads it, the names of its classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import devices, parsers
from ..core.errors import ConfigError, did_you_mean
from ..media import InputSpec
from ..media.tensor import Detections
from ..models import SHIPPED, labels, model_file
from ..models.card import SUFFIXES, ModelCard, find_card, read_card
from ..parsers.base import Guess, Model, Parser, ParserSettings
from ..parsers.common import image_input, is_nhwc
from ..runtimes.base import Runtime
from ..runtimes.files import is_remote


@dataclass(slots=True)
class LoadedModel:
    """What `load_model` made of a file, a card and the guess of the parsers."""

    path: Path
    card: ModelCard
    guess: Guess
    runtime: Runtime
    spec: InputSpec
    names: labels.Labels
    image_name: str
    parser: Parser
    settings: ParserSettings
    batch: int | None  # pictures of one call; None: any number
    others: dict[str, Any] = field(default_factory=dict)  # inputs besides the picture, for one picture

    def feed(self, pictures: Any, count: int) -> dict[str, Any]:
        """All inputs of one call: the tensor [count, …] of pictures and what goes with it."""
        return {self.image_name: pictures} | {k: np.repeat(v, count, axis=0) for k, v in self.others.items()}

    def detections(self, outputs: Mapping[str, Any], count: int) -> list[Detections]:
        """One Detections for each picture of a call, boxes in input pixels."""
        return self.parser(outputs, count, self.settings)

    def label(self, class_id: int) -> str:
        return self.names.get(class_id) or str(class_id)

    def configure(
        self,
        confidence: float | None = None,
        iou: float | None = None,
        top_k: int | None = None,
        classes: Iterable[str | int] | None = None,
    ) -> None:
        """Set what the parser goes by: what is given here, else the card, else the guess, else the default."""
        card, guess = self.card, self.guess
        wanted = classes if classes is not None else card.classes
        self.settings = ParserSettings(
            width=self.spec.width,
            height=self.spec.height,
            confidence=_first(confidence, card.confidence, 0.3),
            iou=_first(iou, card.iou, guess.iou, 0.45),
            top_k=_first(top_k, card.top_k, 300),
            class_agnostic=bool(_first(card.class_agnostic, guess.class_agnostic, False)),
            classes=None if wanted is None else frozenset(self.class_id(name) for name in wanted),
            background=_first(card.background, guess.background),
            thresholds={self.class_id(name): value for name, value in card.thresholds.items()},
            extras={**guess.extras, **card.extras},
        )

    def class_id(self, name: str | int) -> int:
        """The id of a class given by name or id. Raises ConfigError for a name that the model does not have."""
        if isinstance(name, int) or (name.isdigit() and name not in self.names.values()):
            return int(name)
        for class_id, label in self.names.items():
            if label == name:
                return class_id
        have = ", ".join(self.names.values()) or "none that are named: give numbers, or `labels` in a model card"
        hint = did_you_mean(name, self.names.values())
        raise ConfigError(f"{self.path.name} has no class {name!r}.{hint} Its classes: {have}")


def load_model(
    name: str,
    device: str = "cpu",
    parser: str | None = None,
    names: str | list[str] | None = None,
    runtime: str | None = None,
    **options: Any,
) -> LoadedModel:
    """Load a model by path, by its card, or a shipped one by name. Raises ConfigError naming file and reason.

    `parser`, `names` (a list or a file of class names) and `runtime` override card and recognition; `options` go to
    the runtime, over those of the card.
    """
    where, card = _files(name)
    size = (card.input.height, card.input.width)
    if None not in size:
        options["size"] = size
    try:
        loaded: Runtime = devices.load_runtime(
            where, device, runtime or card.runtime or "auto", **card.options | options
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    try:
        return _assemble(Path(where), card, loaded, parser, names)
    except ConfigError as error:
        loaded.close()
        raise ConfigError(f"{where}: {error}") from error


def check_files(name: str) -> None:
    """Look whether the files of a `model` setting are there and its card is right. Raises ConfigError."""
    where, _ = _files(name)
    path = Path(where)
    if not is_remote(where) and not path.exists():
        hint = f"; the models that millrace ships are: {', '.join(SHIPPED)}" if path.suffix == "" else ""
        raise ConfigError(f"there is no file {path}{hint}")


def _files(name: str) -> tuple[str, ModelCard]:
    """The model's file or address and its card, from what the setting `model` says."""
    if is_remote(name):
        return name, ModelCard()
    path = model_file(name)
    if path.suffix in SUFFIXES:
        card = read_card(path)
        if card.model is None:
            raise ConfigError(f"{path}: a card that stands for a model needs the key `model`, the path of its file")
        return card.model if is_remote(card.model) else str(card.near(card.model)), card
    beside = find_card(path)
    return str(path), read_card(beside) if beside else ModelCard()


def _assemble(
    path: Path, card: ModelCard, runtime: Runtime, parser: str | None, names: str | list[str] | None
) -> LoadedModel:
    tensors = Model(runtime.inputs, runtime.outputs, runtime.metadata)
    guess = _guess(tensors, parser or card.parser)
    spec, batch = _input(tensors, card, guess)
    found = _names(card, names) or labels.from_metadata(runtime.metadata)
    image = image_input(tensors)
    model = LoadedModel(
        path=path,
        card=card,
        guess=guess,
        runtime=runtime,
        spec=spec,
        names=found if found is not None else labels.known_names(guess.class_count, path),
        image_name=image.name if image else "",
        parser=parsers.get(guess.parser),
        settings=ParserSettings(spec.width, spec.height),
        batch=batch,
        others=_others(tensors, guess, spec),
    )
    model.configure()
    return model


def _guess(model: Model, parser: str | None) -> Guess:
    """What recognition says; a parser named by hand is taken even when recognition knows another or none."""
    if parser is None:
        return parsers.recognise(model)
    parsers.get(parser)
    guesses = [guess for guess in parsers.guesses(model) if guess.parser == parser]
    return guesses[0] if guesses else Guess(parser, 1.0, "named by the card or the settings")


def _input(model: Model, card: ModelCard, guess: Guess) -> tuple[InputSpec, int | None]:
    """How pictures become the model's input, and how many go into one call."""
    image = image_input(model)
    if image is None:
        raise ConfigError(f"none of the inputs {', '.join(map(str, model.inputs))} takes pictures (four dimensions)")
    batch = image.shape[0]
    if batch is not None and batch > 1:
        raise ConfigError(
            f"{image} takes exactly {batch} pictures a call; export it with a free batch, or with batch 1"
        )
    last = is_nhwc(image)
    height, width, channels = (image.shape[i] for i in ((1, 2, 3) if last else (2, 3, 1)))
    fields: dict[str, Any] = {"width": width, "height": height, "dtype": image.dtype}
    fields |= {"layout": "NHWC" if last else "NCHW", **guess.input}
    if channels == 1:
        fields["colour"] = "GRAY"
    if image.dtype == "uint8":
        fields |= {"scale": 1.0, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    fields |= card.input.known()
    if {fields["dtype"], image.dtype} <= {"float16", "float32"}:
        fields["dtype"] = image.dtype  # a runtime may run a model in another precision than its file has
    _check_size(image, fields, (width, height))
    return InputSpec(**fields), batch


def _check_size(image: Any, fields: Mapping[str, Any], fixed: tuple[int | None, int | None]) -> None:
    for name, size in zip(("width", "height"), fixed, strict=True):
        if fields[name] is None:
            raise ConfigError(f"{image} leaves its size open; give `input: {{width: …, height: …}}` in a model card")
        if size is not None and fields[name] != size:
            raise ConfigError(f"the card's {name} {fields[name]} is not the model's {size}")
    if fields["dtype"] != image.dtype:
        raise ConfigError(f"the card's dtype {fields['dtype']} is not the model's {image.dtype}")


def _others(model: Model, guess: Guess, spec: InputSpec) -> dict[str, Any]:
    """Inputs besides the picture. A size that boxes are scaled to is the input's own: boxes come in its pixels."""
    others: dict[str, Any] = {}
    for info in model.inputs:
        if info.name == guess.orig_size_input:
            others[info.name] = np.array([[spec.width, spec.height]], info.dtype)
        elif info is not image_input(model):
            raise ConfigError(f"nobody knows what to give the input {info}")
    return others


def _names(card: ModelCard, names: str | list[str] | None) -> labels.Labels | None:
    if isinstance(names, str):
        return labels.read_labels(names)
    return card.names() if names is None else dict(enumerate(names))


def _first(*values: Any) -> Any:
    """The first that is not None."""
    return next((value for value in values if value is not None), None)
