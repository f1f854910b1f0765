"""A candidate at work: loaded, judged on the pictures, measured; and what is known of it afterwards."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import ConfigError
from ..engines import Engine
from ..metrics.agreement import Outputs
from ..runtimes.base import Runtime
from .accuracy import Accuracy, compare
from .labelled import Labelled
from .measure import alone, pace
from .subject import Subject
from .wishes import Wishes

FEWEST = 8  # pictures to tune on, below which nothing is tuned
FINAL = 1.5  # so many times the measured seconds does a final take, with the calls that warm up
SCREENING = 0.4  # of the seconds of a round: enough to tell who may be among the first


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one candidate. Rates are pictures a second, times seconds; `gain` is over the default.

    `final`: it was measured in turns with the others; otherwise `gain` comes from one short comparison.
    `promise` ranks candidates for the final: the geometric mean of their gains in time and in processor time.
    `refused` says why it cannot be chosen.
    """

    engine: Engine
    load: float = 0.0
    accuracy: Accuracy | None = None
    rate: float = 0.0
    cpu: float = 0.0
    latency: float = 0.0
    gain: float = 0.0
    promise: float = 0.0
    final: bool = False
    refused: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "engine": self.engine.to_dict()}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Trial:
        judged = values["accuracy"]
        engine, accuracy = Engine.from_dict(values["engine"]), Accuracy(**judged) if judged else None
        return Trial(**{**values, "engine": engine, "accuracy": accuracy})


class Bench:
    """The subject, its pictures and its answers in FP32: what every candidate is held against.

    `tuning`: calls that no candidate is judged on; INT8 takes its ranges from them. Empty where there are too few.
    """

    def __init__(
        self, subject: Subject, pictures: Sequence[Any], wishes: Wishes, folder: Path, tuning: Sequence[Any] = ()
    ) -> None:
        self.subject, self.wishes, self.folder = subject, wishes, folder
        self._began = time.monotonic()
        self.tuning = [subject.feed(picture) for picture in tuning] if len(tuning) >= FEWEST else []
        self.untuned = f"{len(tuning)} pictures besides those that judge are too few to tune on: {FEWEST} are needed"
        self.calls = [subject.feed(picture) for picture in pictures]
        self.reference = self.answers(subject.runtime)
        self.labelled = Labelled(Path(wishes.labels), subject) if wishes.labels else None
        self.ap = self.labelled.ap(subject.runtime, folder) if self.labelled else None
        self._pictures = pictures

    @property
    def late(self) -> bool:
        """Whether the time is up in which something more may be tried; what is left is for the final."""
        wishes = self.wishes
        final = wishes.rounds * (wishes.finalists + 2) * wishes.seconds * FINAL
        return wishes.within is not None and time.monotonic() - self._began > max(wishes.within - final, 0.0)

    @property
    def too_late(self) -> str:
        return f"the {self.wishes.within:g} s were over"

    def load(self, engine: Engine) -> Runtime:
        """Raises ValueError with a sentence when this engine cannot be had."""
        try:
            runtime: Runtime = engine.load(self.subject.path, self.subject.device, self.folder)
        except (ConfigError, TypeError) as error:
            raise ValueError(str(error)) from error
        return runtime

    def answers(self, runtime: Runtime, calls: Sequence[Mapping[str, Any]] | None = None) -> list[Outputs]:
        """Its outputs for each picture. Raises ValueError."""
        futures = [runtime.submit(call) for call in (self.calls if calls is None else calls)]
        return [future.result() for future in futures]

    def answers_of(self, model: Path, calls: Sequence[Mapping[str, Any]]) -> list[Outputs]:
        """Those of a model file in ONNX Runtime. Raises ValueError."""
        with closing(Engine("onnx").load(model)) as runtime:
            return self.answers(runtime, calls)

    def batched(self, engine: Engine) -> list[Mapping[str, Any]]:
        """The calls that this engine is measured with."""
        size, count = engine.batch, len(self._pictures)
        if size == 1:
            return list(self.calls)
        groups = [[self._pictures[(at + k) % count] for k in range(size)] for at in range(0, count, size)]
        return [self.subject.feed(np.concatenate(group)) for group in groups]

    def judge(self, runtime: Runtime) -> Accuracy:
        accuracy = compare(self.subject, self.reference, self.answers(runtime))
        if self.labelled is None or accuracy.agreement < self.wishes.accuracy:
            return accuracy  # what is refused anyway need not be judged twice
        return replace(accuracy, ap=self.ap if accuracy.exact else self.labelled.ap(runtime, self.folder))

    def screen(self, engine: Engine) -> Trial:
        """Load, judge, and one short comparison with the default beside it."""
        began = time.perf_counter()
        try:
            runtime = self.load(engine)
        except ValueError as error:
            return Trial(engine, refused=str(error))
        load = time.perf_counter() - began
        with closing(runtime):
            try:
                accuracy = self.judge(runtime)
                calls = self.batched(engine)
                seconds = self.wishes.seconds * SCREENING
                ahead = self.speed(self.subject.runtime, self.calls, 1, seconds)
                own = self.speed(runtime, calls, engine.batch, seconds)
                once = alone(runtime, calls)
            except ValueError as error:
                return Trial(engine, load, refused=str(error))
        gain = own.rate / ahead.rate
        promise = gain if self.wishes.goal == "latency" else (gain * ahead.cpu / own.cpu) ** 0.5
        trial = Trial(engine, load, accuracy, own.rate, own.cpu, once, gain, promise)
        if engine.batch > 1:  # it is of use to who measures; `run` would not reach its speed
            return replace(trial, refused="frames come one by one on a CPU")
        return replace(trial, refused=self._too_far(accuracy))

    def speed(self, runtime: Runtime, calls: Sequence[Mapping[str, Any]], batch: int, seconds: float) -> Any:
        return pace(runtime, calls, batch, seconds, self.wishes.goal == "latency")

    def _too_far(self, accuracy: Accuracy) -> str | None:
        """Why an engine of this accuracy cannot be chosen; None: it can."""
        if not accuracy.fits(self.wishes.accuracy):
            if not (accuracy.thin and accuracy.agreement >= self.wishes.accuracy):
                return f"agreement {accuracy.agreement:.3f} is below {self.wishes.accuracy:g}"
            what = "detections" if accuracy.how == "F1" else "pictures"
            return f"its answers differ, and {accuracy.evidence} {what} are too few to judge by"
        if self.ap is not None and accuracy.ap is not None and self.ap - accuracy.ap > self.wishes.map_loss:
            return f"AP {accuracy.ap:.4f} is {self.ap - accuracy.ap:.4f} below {self.ap:.4f}"
        return None
