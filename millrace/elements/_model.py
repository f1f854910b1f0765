"""A model ready for work: its runtime, the input it wants, and how its outputs are read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import parsers
from ..core.errors import ConfigError
from ..devices import kind
from ..engines import Opened, Use, open_engine
from ..media import ASKED, CPU, LEFT_OUT, Cells, InputSpec, TensorInfo
from ..models import SHIPPED, labels, model_file
from ..models.card import SUFFIXES, ModelCard, find_card, read_card
from ..models.deepstream import read_model, where_else
from ..models.mean_file import read_mean
from ..parsers.base import Guess, Model
from ..parsers.cells import cells_of
from ..parsers.classifier import flat
from ..parsers.common import image_input, input_size, is_nhwc
from ..parsers.custom import is_custom
from ..runtimes.base import Runtime
from ..runtimes.files import is_remote
from ._reader import Reader, check_count, first, heads_of


@dataclass(frozen=True, slots=True)
class CellsRead:
    """Which cells of its outputs are read of a model whose tensors are known (`reads` of runtimes.torch).

    Elements for which all of this is the same may share a session.
    """

    parser: str | None
    kind: str | None
    outputs: Sequence[str] | None
    cluster: str | None
    extras: Mapping[str, Any]

    def __call__(
        self, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo], metadata: Mapping[str, str]
    ) -> Cells | None:
        model = Model(inputs, outputs, metadata)
        try:
            guess = parsers.named(self.parser, model) if self.parser else parsers.recognise(model, self.kind)
        except ConfigError:
            return None  # who loads the model says so
        known = {info.name: info for info in outputs}
        if self.outputs and set(self.outputs) <= set(known):
            outputs = [known[name] for name in self.outputs]
        return cells_of(guess.parser, outputs, {**guess.extras, **self.extras}, self.cluster, input_size(model))


@dataclass(slots=True)
class LoadedModel:
    """What `load_model` made of a file, a card and the guess of the parsers."""

    path: Path
    card: ModelCard
    runtime: Runtime
    spec: InputSpec
    reader: Reader
    image_name: str
    batch: int | None  # pictures of one call, exactly; None: any number
    others: dict[str, Any] = field(default_factory=dict)  # inputs besides the picture, for one picture
    mean: NDArray[np.float32] | None = None  # subtracted from the tensor: a mean picture in the input's terms
    opened: Opened | None = None  # where its runtime comes from
    left_out_told: bool = False
    files: tuple[Any, ...] = ()  # `facts_of` its files when loading began

    def feed(self, pictures: Any, count: int) -> dict[str, Any]:
        """All inputs of one call: the tensor [count, …] of pictures and what goes with it.

        A model of a fixed batch gets the last picture again until it is full.
        """
        if self.mean is not None:
            if not isinstance(pictures, np.ndarray):
                raise ValueError(f"{self.card.input.mean_file} is subtracted on the CPU: set device: cpu")
            pictures = pictures - self.mean.astype(pictures.dtype)
        if self.batch is not None and count < self.batch:
            pictures = np.concatenate([pictures, np.repeat(pictures[-1:], self.batch - count, axis=0)])
            count = self.batch
        asked = {ASKED: self.reader.asked(count)} if getattr(self.runtime, "asks", False) else {}
        return {self.image_name: pictures, **{k: np.repeat(v, count, axis=0) for k, v in self.others.items()}, **asked}

    def room(self, memory: str, count: int) -> Any:
        """Where the runtime reads so many pictures of a GPU's memory; None: it takes them from anywhere."""
        lend = getattr(self.runtime, "lend", None) if memory == self.runtime.device != CPU else None
        return None if lend is None else lend(self.image_name, count)

    def read(self, outputs: Mapping[str, Any], count: int) -> list[Any]:
        """What each picture of a call shows (see Reader.read)."""
        self._check_left_out(outputs)
        return list(self.reader.read(outputs, self.batch or count)[:count])

    def parse(self, outputs: Mapping[str, Any]) -> Any:
        """What the first picture shows, by the parser alone."""
        return self.reader.parser(self.reader.given(outputs), self.batch or 1, self.reader.settings)[0]

    def _check_left_out(self, outputs: Mapping[str, Any]) -> None:
        """Say so, once, where the runtime left out cells that are as sure as the settings ask for."""
        floor = self.reader.settings.floor
        if self.left_out_told or LEFT_OUT not in outputs or not (outputs[LEFT_OUT] >= floor).any():
            return
        self.left_out_told = True
        self.runtime.report(
            f"{self.path.name}: more cells of a picture are at least {floor:g} sure than the GPU chooses: the best are "
            "read; `options: {candidates: 4096}` chooses more, `candidates: false` leaves none out"
        )


def load_model(
    name: str,
    device: str = "cpu",
    parser: str | None = None,
    names: str | list[str] | None = None,
    runtime: str | None = None,
    engine: Use = "auto",
    card: ModelCard | None = None,
    tensors: bool | None = True,
    **options: Any,
) -> LoadedModel:
    """Load a model by path, by its card, or a shipped one by name. Raises ConfigError naming file and reason.

    `parser`, `names` (a list or a file of class names) and `runtime` override card and recognition; `options` go to
    the runtime, over those of the card. `engine`: auto takes one that was built for this machine where there is one.
    `card` takes the place of the model's own. `tensors`: outputs are wanted as they are (None: as the card says), and
    not only as far as the parser reads them.
    """
    files = facts_of(Path(model_and_card(name)[0]))
    where, own = model_and_card(name)
    card = own if card is None else card
    size = (card.input.height, card.input.width)
    if None not in size:
        options["size"] = size
    reader = parser or card.parser
    if not first(tensors, card.tensors) and kind(device) == "cuda" and not is_custom(reader or ""):
        options["reads"] = CellsRead(reader, card.kind, card.outputs, card.clustering, card.extras)
    try:
        opened = open_engine(where, device, runtime or card.runtime or "auto", engine, **card.options | options)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    try:
        model = _assemble(Path(where), card, opened.runtime, parser, names)
    except ConfigError as error:
        opened.runtime.close()
        raise ConfigError(f"{where}: {error}") from error
    model.opened, model.files = opened, files
    return model


def facts_of(path: Path) -> tuple[Any, ...]:
    """What tells whether a model's file, its weights beside it or its card was replaced."""
    out = []
    for each in filter(None, (path, path.with_suffix(".bin"), find_card(path)) if path.name else ()):
        with suppress(OSError):
            facts = each.stat()
            out.append((each, facts.st_ino, facts.st_size, facts.st_mtime_ns))
    return tuple(out)


def check_files(name: str) -> None:
    """Look whether the files of a `model` setting are there and its card is right. Raises ConfigError."""
    where, _ = model_and_card(name)
    path = Path(where)
    if not is_remote(where) and not os.path.exists(path):
        hint = f"; the models that millrace ships are: {', '.join(SHIPPED)}" if path.suffix == "" else where_else(where)
        raise ConfigError(f"there is no file {path}{hint}")


def model_and_card(name: str) -> tuple[str, ModelCard]:
    """The model's file or address and its card, from what the setting `model` says."""
    if is_remote(name):
        return name, ModelCard()
    path = model_file(name)
    if (theirs := read_model(path)) is not None:
        if theirs.model is None:
            raise ConfigError(f"{path}: {theirs.no_model}")
        return theirs.model, theirs
    if path.suffix in SUFFIXES:
        card = read_card(path)
        if card.model is None:
            raise ConfigError(f"{path}: a card that stands for a model needs the key `model`, the path of its file")
        return card.model if is_remote(card.model) else str(card.near(card.model)), card
    beside = find_card(path)
    return str(path), read_card(beside) if beside else ModelCard()


def make_reader(
    tensors: Model, size: tuple[int, int], card: ModelCard, title: str, guess: Guess, names: str | list[str] | None
) -> Reader:
    """How outputs are read, of a model with these tensors whose input is `size` pixels. Raises ConfigError."""
    told = _names(card, names, guess.parser in ("ctc", "lprnet"))
    exported = labels.from_metadata(tensors.metadata) if told is None else None
    known = first(told, exported)
    if told is not None and not card.theirs:
        check_count(told, guess, card if names is None else ModelCard(background=card.background), title)
    sizes = {output.name: flat(output) for output in tensors.outputs}
    return Reader(
        title=title,
        card=card,
        guess=guess,
        parser=parsers.get(guess.parser, Path(card.source or ".").parent),
        names=known if known is not None else guess.names or labels.known_names(guess.class_count, title),
        width=size[0],
        height=size[1],
        heads=heads_of(card, title, sizes) if guess.parser == "classifier" and names is None else (),
    )


def with_outputs(card: ModelCard, outputs: Sequence[TensorInfo]) -> ModelCard:
    """The card, if the model has the outputs that it names. Raises ConfigError.

    nvinfer reads all outputs of an ONNX, whatever its file names: from such a card the wrong names go, with a warning.
    """
    missing = [name for name in card.outputs or () if name not in {output.name for output in outputs}]
    if missing and card.theirs:
        text = f"{card.source}: its outputs {', '.join(missing)} are none of the model's; all are read"
        return replace(card, outputs=None, warnings=(*card.warnings, text))
    if missing:
        has = ", ".join(map(str, outputs))
        raise ConfigError(f"the card's outputs {', '.join(missing)} are none of the model's: {has}")
    return card


def guess_parser(model: Model, parser: str | None, card: ModelCard) -> Guess:
    """What recognition says; a parser named by hand is taken even when recognition knows another or none."""
    name = parser or card.parser
    if name is None:
        return parsers.recognise(model, card.kind)
    parsers.get(name, Path(card.source or ".").parent)
    return parsers.named(name, model)


def _assemble(
    path: Path, card: ModelCard, runtime: Runtime, parser: str | None, names: str | list[str] | None
) -> LoadedModel:
    tensors = Model(runtime.inputs, runtime.outputs, runtime.metadata)
    card = with_outputs(card, runtime.outputs)
    guess = guess_parser(tensors, parser, card)
    image = _picture(tensors, card)
    spec = _spec(image, card, guess)
    return LoadedModel(
        path=path,
        card=card,
        runtime=runtime,
        spec=spec,
        reader=make_reader(tensors, (spec.width, spec.height), card, path.name, guess, names),
        image_name=image.name,
        batch=_batch(image, card),
        others=_others(tensors, image, guess, spec),
        mean=mean_picture(card.near(card.input.mean_file) if card.input.mean_file else None, spec),
    )


def mean_picture(path: str | Path | None, spec: InputSpec) -> NDArray[np.float32] | None:
    """A mean picture as a tensor has it: scaled, its channels in order, divided by std. Raises ConfigError."""
    if path is None:
        return None
    if spec.colour == "GRAY" or spec.dtype in ("uint8", "int8"):
        raise ConfigError(f"a mean picture has three channels of real numbers, the input is {spec.colour} {spec.dtype}")
    picture = read_mean(path, spec.width, spec.height)
    rows = (picture if spec.colour == "RGB" else picture[..., ::-1]) * spec.scale / np.array(spec.std, np.float32)
    return np.ascontiguousarray(rows if spec.layout == "NHWC" else rows.transpose(2, 0, 1), np.float32)


def _picture(model: Model, card: ModelCard) -> TensorInfo:
    """The input that takes pictures."""
    if card.input.name is not None:
        found = next((info for info in model.inputs if info.name == card.input.name), None)
        if found is None:
            has = ", ".join(map(str, model.inputs))
            raise ConfigError(f"the card's input {card.input.name!r} is none of the model's: {has}")
        return found
    image = image_input(model) or (model.inputs[0] if card.prepared else None)
    if image is None:
        raise ConfigError(f"none of the inputs {', '.join(map(str, model.inputs))} takes pictures (four dimensions)")
    return image


def _batch(image: TensorInfo, card: ModelCard) -> int | None:
    fixed = image.shape[0] if image.shape else None
    if fixed is not None and card.batch is not None and card.batch > fixed > 1:
        raise ConfigError(f"the card asks for batches of {card.batch}, {image} takes exactly {fixed} pictures a call")
    return fixed


def _spec(image: TensorInfo, card: ModelCard, guess: Guess) -> InputSpec:
    """How pictures become the model's input."""
    if len(image.shape) != 4:  # tensors come prepared; what is read from them needs a size
        sizes = [card.input.width or image.shape[-1], card.input.height or image.shape[-2]]
        return InputSpec(width=sizes[0] or 1, height=sizes[1] or 1, dtype=image.dtype)
    last = is_nhwc(image) if card.input.layout is None else card.input.layout == "NHWC"
    height, width, channels = (image.shape[i] for i in ((1, 2, 3) if last else (2, 3, 1)))
    fields: dict[str, Any] = {"width": width, "height": height, "dtype": image.dtype}
    fields |= {"layout": "NHWC" if last else "NCHW", **guess.input}
    if channels == 1:
        fields["colour"] = "GRAY"
        fields |= {name: fields[name][:1] for name in ("mean", "std") if name in fields}
    if image.dtype in ("uint8", "int8"):  # pixels as they are; of int8 128 stands for 0, as quantising tools have it
        fields |= {"scale": 1.0, "mean": (128.0 if image.dtype == "int8" else 0.0,) * 3, "std": (1.0,) * 3}
    fields |= card.input.known()
    if {fields["dtype"], image.dtype} <= {"float16", "float32"}:
        fields["dtype"] = image.dtype  # a runtime may run a model in another precision than its file has
    _check_channels(image, channels, fields.get("colour", "RGB"))
    _check_size(image, fields, (width, height))
    return InputSpec(**fields)


def _check_channels(image: TensorInfo, channels: int | None, colour: str) -> None:
    has = 1 if colour == "GRAY" else 3
    if channels is not None and channels != has:
        one = "channel" if channels == 1 else "channels"
        allowed = {1: "GRAY", 3: "RGB or BGR"}.get(channels, "none that pictures have: prepare the tensors yourself")
        raise ConfigError(f"{image} takes {channels} {one}, {colour} has {has}; its colour can be {allowed}")


def _check_size(image: TensorInfo, fields: Mapping[str, Any], fixed: tuple[int | None, int | None]) -> None:
    for name, size in zip(("width", "height"), fixed, strict=True):
        if fields[name] is None:
            raise ConfigError(f"{image} leaves its size open; give `input: {{width: …, height: …}}` in a model card")
        if size is not None and fields[name] != size:
            raise ConfigError(f"the card's {name} {fields[name]} is not the model's {size}")
    if fields["dtype"] != image.dtype:
        raise ConfigError(f"the card's dtype {fields['dtype']} is not the model's {image.dtype}")


def _others(model: Model, image: TensorInfo, guess: Guess, spec: InputSpec) -> dict[str, Any]:
    """Inputs besides the picture. A size that boxes are scaled to is the input's own: boxes come in its pixels."""
    others: dict[str, Any] = {}
    for info in model.inputs:
        if info.name == guess.orig_size_input:
            others[info.name] = np.array([[spec.width, spec.height]], info.dtype)
        elif info.name != image.name:
            raise ConfigError(f"nobody knows what to give the input {info}")
    return others


def _names(card: ModelCard, names: str | list[str] | None, characters: bool) -> labels.Labels | None:
    if isinstance(names, str):
        return labels.read_characters(names) if characters else labels.read_labels(names)
    if names is None and characters and isinstance(card.labels, str):
        return labels.read_characters(card.near(card.labels))
    return card.names() if names is None else dict(enumerate(names))
