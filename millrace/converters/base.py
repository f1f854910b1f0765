"""What a converter gives: an ONNX model, and a way to ask the framework that it came from what is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


@dataclass(frozen=True, slots=True)
class Conversion:
    """`model`: an onnx.ModelProto. `reference` takes inputs by the names of the model and gives its outputs by name.

    `judge` names what `reference` is. `metadata` is what the source file says of itself, `notes` what the user should
    know of the conversion.
    """

    model: Any
    reference: Callable[[dict[str, Any]], Mapping[str, Any]]
    judge: str
    source: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Difference(NamedTuple):
    """How far an output is from the reference's: absolute numbers, and the reference's largest for scale."""

    output: str
    largest: float
    mean: float
    scale: float
    shape: tuple[int, ...]

    @property
    def relative(self) -> float:
        return self.largest / max(self.scale, 1.0)


def compare(name: str, got: Any, want: Any) -> Difference:
    """Raises ValueError where the shapes differ or one has numbers that are none where the other has some."""
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        raise ValueError(f"output {name} is {list(got.shape)}, and should be {list(want.shape)}")
    if not want.size:
        return Difference(name, 0.0, 0.0, 0.0, want.shape)
    if not np.array_equal(np.isfinite(got), np.isfinite(want)):
        raise ValueError(f"output {name} is not finite where it should be")
    apart = np.abs(got.astype(np.float64) - want.astype(np.float64))
    apart = apart[np.isfinite(apart)]
    scale = float(np.abs(want[np.isfinite(want)]).max(initial=0.0))
    return Difference(
        name, float(apart.max(initial=0.0)), float(apart.mean()) if apart.size else 0.0, scale, want.shape
    )
