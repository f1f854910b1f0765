"""The model that an engine is built for, as the builder sees it: what goes in, and how its answers are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from .. import parsers
from ..core.errors import ConfigError
from ..devices import load_runtime
from ..elements._model import LoadedModel, load_model
from ..media import InputSpec
from ..media.tensor import Detections
from ..metrics.agreement import BOXES, Outputs, is_scores
from ..models import model_file
from ..models.card import SUFFIXES, ModelCard, find_card, read_card
from ..parsers.base import Model
from ..parsers.common import image_input, is_nhwc
from ..runtimes.base import Runtime

Kind = Literal["detections", "classes", "tensors"]


@dataclass(slots=True)
class Subject:
    """A model with its default runtime. `kind` says how answers are compared: as detections, classes or plain tensors.

    `batch`: pictures of one call, None where the model takes any number. Close it when done.
    """

    path: Path
    device: str
    runtime: Runtime
    spec: InputSpec
    image_name: str
    batch: int | None
    loaded: LoadedModel | None  # None: no parser reads its outputs

    @property
    def kind(self) -> Kind:
        told = parsers.kind_of(self.loaded.reader.guess.parser) if self.loaded is not None else None
        if told in BOXES:
            return "detections"
        if told == "classifier" or (told is None and any(is_scores(info.shape) for info in self.runtime.outputs)):
            return "classes"
        return "tensors"

    def feed(self, pictures: NDArray[Any]) -> dict[str, Any]:
        """All inputs of one call for pictures [n, …]."""
        if self.loaded is not None:
            return self.loaded.feed(pictures, len(pictures))
        return {self.image_name: pictures}

    def detections(self, outputs: Outputs, count: int) -> list[Detections]:
        """What the model's parser reads, at its usual thresholds. Only for the kind "detections"."""
        if self.loaded is None:
            raise ValueError("a model that no parser knows has no detections")
        return self.loaded.read(outputs, count)

    def close(self) -> None:
        self.runtime.close()


def open_subject(name: str, device: str = "cpu") -> Subject:
    """Load a model by path, card or name with the default runtime. Raises ConfigError.

    A model whose outputs no parser knows is taken as it is: its tensors are compared.
    """
    try:
        loaded = load_model(name, device, engine="default")
    except ConfigError as error:
        if "no parser knows" not in str(error):
            raise
        return _unread(name, device)
    return Subject(loaded.path, device, loaded.runtime, loaded.spec, loaded.image_name, loaded.batch, loaded)


def _unread(name: str, device: str) -> Subject:
    path = model_file(name)
    beside = path if path.suffix in SUFFIXES else find_card(path)
    card = read_card(beside) if beside else ModelCard()
    path = card.near(card.model) if card.model else path
    runtime: Runtime = load_runtime(path, device)
    image = image_input(Model(runtime.inputs, runtime.outputs, runtime.metadata))
    try:
        if image is None or len(runtime.inputs) > 1:
            raise ConfigError(f"{path}: {', '.join(map(str, runtime.inputs))}: not one input that takes pictures")
        last = is_nhwc(image)
        height, width, channels = (image.shape[i] for i in ((1, 2, 3) if last else (2, 3, 1)))
        fields: dict[str, Any] = {"width": width, "height": height, "dtype": image.dtype, "fit": "stretch"}
        fields |= {"layout": "NHWC" if last else "NCHW", **({"colour": "GRAY"} if channels == 1 else {})}
        fields |= card.input.known()
        if fields["width"] is None or fields["height"] is None:
            raise ConfigError(f"{path}: {image} leaves its size open; say it in a model card")
    except ConfigError:
        runtime.close()
        raise
    return Subject(path, device, runtime, InputSpec(**fields), image.name, image.shape[0], None)
