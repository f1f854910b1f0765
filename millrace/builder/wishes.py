"""What is asked of `millrace build`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Goal = Literal["throughput", "latency"]
Method = Literal["entropy", "percentile", "minmax"]

GOALS: tuple[Goal, ...] = ("throughput", "latency")
METHODS: tuple[Method, ...] = ("minmax", "entropy", "percentile")
PRECISIONS = ("fp32", "bf16", "fp16", "int8")


@dataclass(frozen=True, slots=True)
class Wishes:
    """The limits of a choice, and how long measuring may take.

    `accuracy`: least agreement with the model in FP32, 0..1. `goal`: pictures a second with all cores, or the
    shortest time of one picture. `frames`: pictures that accuracy is judged on; half as many others tune INT8 and the
    choice of layers.
    `labels`: a COCO file of truth, whose pictures lie beside it; then no more than `map_loss` of average precision may
    be lost too. `rounds` of `seconds` each measure the finalists in turns. `within`: seconds after which nothing more
    is tried, and the best of what was is taken.
    """

    accuracy: float = 0.97
    goal: Goal = "throughput"
    precisions: Sequence[str] = PRECISIONS
    runtimes: Sequence[str] | None = None  # None: all that are installed
    methods: Sequence[Method] = METHODS
    frames: int = 64
    rounds: int = 7
    seconds: float = 1.0
    finalists: int = 4
    labels: str | None = None
    map_loss: float = 0.01
    within: float | None = None

    def settings(self) -> dict[str, Any]:
        """What tells one choice from another: part of the engine's key."""
        return {
            "accuracy": self.accuracy,
            "goal": self.goal,
            "precisions": sorted(self.precisions),
            "runtimes": sorted(self.runtimes) if self.runtimes is not None else None,
            "methods": sorted(self.methods),
            "labels": self.labels,
            "map_loss": self.map_loss,
            "within": self.within,
        }
