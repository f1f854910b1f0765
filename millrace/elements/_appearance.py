"""The re-identification model of a tracker: detections → embeddings on the objects."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

from ..core.errors import ConfigError
from ..media import Frame, Object
from ..models.card import InputCard, ModelCard
from ..parsers import kind_of
from ..runtimes.files import is_remote
from ..trackers.nvlooks import Network
from ._model import LoadedModel, load_model
from ._units import Imagings, Unit, calls, make_input, of_object


class Embedder:
    """A model that looks at objects and gives each an embedding. Raises ConfigError for one that gives none."""

    def __init__(self, model: str, device: str, runtime: str | None = None, card: ModelCard | None = None) -> None:
        self.loaded: LoadedModel = load_model(model, device, runtime=runtime, card=card)
        if kind_of(self.loaded.reader.guess.parser) != "embedding":
            self.close()
            raise ConfigError(f"{model} is no embedding model (`kind: embedding` in its card says so)")
        self.imagings = Imagings()

    def look(self, wanted: Sequence[tuple[Frame, Object]]) -> None:
        """Give these objects their embeddings: as few calls as the model and the machine take best, over all frames."""
        units = [unit for frame, found in wanted if (unit := of_object(frame, found)) is not None]
        by_kind: dict[tuple[str, str], list[Unit]] = {}
        for unit in units:
            by_kind.setdefault((unit.frame.image.memory, unit.frame.image.format), []).append(unit)
        todo = [call for alike in by_kind.values() for call in calls(alike, self.loaded)]
        for call in todo:
            imaging = self.imagings.of(call.units[0].frame.image)
            call.future = self.loaded.runtime.submit(partial(make_input, call, imaging))
        for call in todo:
            call.result()
        for unit in units:
            assert unit.target is not None
            unit.target.embedding = unit.answer.embedding

    def close(self) -> None:
        self.loaded.runtime.close()


def card_of(network: Network, model: str) -> ModelCard:
    """The card of the network that a DeepStream tracker file describes, as it stands in `model`."""
    return ModelCard(
        kind="embedding", parser="embedding", input=InputCard(**network.card), batch=network.batch, model=model
    )


def file_of(network: Network) -> str | None:
    """The file of such a network that is there and can be read; None: none of them."""
    return next((file for file in network.files if is_remote(file) or os.path.isfile(file)), None)
