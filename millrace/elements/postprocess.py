"""Raw outputs of a model → what they say, apart from where the model ran."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.element import Context, Element, setting, state
from ..core.errors import ConfigError
from ..media import Frame, InputSpec, Object, Placement, Reading, TensorInfo
from ..models.card import ModelCard
from ..models.deepstream import read_outputs_card
from ..parsers.base import Model
from ._model import guess_parser, make_reader, with_outputs
from ._results import Results
from ._units import Unit


class Postprocess(Element):
    """Reads the raw outputs that `infer` left in frames: `postprocess: {stage: net, parser: yolox}`.

    They are there where infer has `parser: raw` or `tensors: true`. So one run of a model may be read in several ways,
    and a parser may be tried on a recorded model. Objects it finds carry its `title`, or the model's stage; tensors
    that were read are taken away unless `keep`.
    """

    stage: str = setting(help="whose tensors: the stage of the infer element")
    card: str | None = setting(
        default=None, help="a model card (.yaml), or a file of nvdspostprocess: parser, labels, thresholds, clustering"
    )
    parser: str | None = setting(default=None, help="how the outputs are read; else the card says it, or recognition")
    labels: str | list[str] | None = setting(default=None, help="class names: a list, or a file with one a line")
    confidence: float | None = setting(default=None, minimum=0, maximum=1, live=True, help="drop what is less sure")
    iou: float | None = setting(default=None, minimum=0, maximum=1, live=True, help="overlap where the lesser goes")
    top_k: int | None = setting(default=None, minimum=1, live=True, help="most objects of a frame")
    classes: list[str | int] | None = setting(default=None, live=True, help="only these, by name or id")
    keep: bool = setting(default=False, help="leave the tensors in the frame")
    title: str | None = setting(default=None, help="the stage that its objects carry (default: that of the tensors)")

    results: Results | None = state(lambda: None)

    def validate(self) -> None:
        self.described = read_outputs_card(self.card) if self.card is not None else ModelCard()

    def open(self, context: Context) -> None:
        self.validate()
        for warning in self.described.warnings:
            context.warn(warning)
        self.results = None

    def apply(self, prepared: Any) -> None:
        super().apply(prepared)
        if self.results is not None:
            self.results.reader.configure(self.confidence, self.iou, self.top_k, self.classes)

    def process_frame(self, frame: Frame) -> None:
        raw = [each for each in frame.readings if self._mine(each)]
        if not self.keep:
            frame.readings = [each for each in frame.readings if not self._mine(each)]
        for reading in raw:
            self._read(reading, frame, None)
        for found in list(frame.objects):
            readings = found.extras.get("readings")
            if not readings:
                continue
            raw = [each for each in readings if self._mine(each)]
            if not self.keep:
                found.extras["readings"] = [each for each in readings if not self._mine(each)]
            for reading in raw:
                self._read(reading, frame, found)

    def _mine(self, reading: Reading) -> bool:
        return reading.stage == self.stage and reading.tensors is not None

    def _read(self, reading: Reading, frame: Frame, target: Object | None) -> None:
        assert reading.tensors is not None and reading.input_to_source is not None
        outputs = {name: value[None] for name, value in reading.tensors.items()}
        if self.results is None:
            self.results = self._made(reading)
        sx, sy, ox, oy = reading.input_to_source
        placement = Placement(1 / sx, 1 / sy, -ox / sx, -oy / sy, frame.image.width, frame.image.height)
        unit = Unit(frame, target, reading.area, placement=placement)
        (unit.answer,) = self.results.reader.read(outputs, 1)
        self.results.place(self.results.told(unit), unit)

    def _made(self, reading: Reading) -> Results:
        """The reader for tensors like these. Raises ConfigError."""
        assert reading.tensors is not None and reading.input_size is not None
        width, height = reading.input_size
        picture = TensorInfo("images", (1, 3, height, width), "float32")
        infos = [TensorInfo(name, (1, *np.shape(v)), v.dtype.name) for name, v in reading.tensors.items()]
        model = Model([picture], infos)
        try:
            self.described = with_outputs(self.described, infos)
            guess = guess_parser(model, self.parser, self.described)
            reader = make_reader(model, (width, height), self.described, self.stage, guess, self.labels)
        except ConfigError as error:
            raise ConfigError(f"tensors of {self.stage}: {error}") from error
        reader.configure(self.confidence, self.iou, self.top_k, self.classes)
        spec = InputSpec(width, height, fit="stretch")
        return Results(reader, spec, self.title or self.stage, self.described.masks)
