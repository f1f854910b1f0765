"""One way of running a model: a runtime and its options, and the file that it loads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..devices import load_runtime
from ..runtimes import RUNTIMES


@dataclass(frozen=True, slots=True)
class Engine:
    """A runtime by name, the options that its `load` takes, and what is said of it in tables.

    `file`: a model that stands for the original (quantised, in half precision), beside the engine's description;
    None: the original itself. `batch`: pictures of one call.
    """

    runtime: str = "onnx"
    options: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "fp32"
    batch: int = 1
    file: str | None = None
    note: str = ""  # what tells it from its neighbours: "no spinning", "entropy, per channel"

    @property
    def label(self) -> str:
        """`onnx fp32, 2 calls of 1 thread`, and what else tells it from others."""
        calls, threads = int(self.options.get("parallel", 0)), int(self.options.get("threads", 0))
        parts = [f"{self.runtime} {self.precision}"]
        if calls and threads:
            parts.append(f"{calls} call{'s' * (calls > 1)} of {threads} thread{'s' * (threads > 1)}")
        if self.batch > 1:
            parts.append(f"batch {self.batch}")
        return ", ".join([*parts, *([self.note] if self.note else [])])

    def load(self, model: str | os.PathLike[str], device: str = "cpu", folder: Path | None = None) -> Any:
        """The runtime of this engine for `model`, or for its own file in `folder`. Raises ValueError, ConfigError."""
        path = os.fspath(model)
        if self.file is not None:
            path = os.fspath((folder or Path()) / self.file)
        return load_runtime(path, device, self.runtime, **self.options)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "options": dict(self.options)}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Engine:
        """Raises TypeError for what is no engine's description."""
        engine = Engine(**values)
        if engine.runtime not in RUNTIMES or not isinstance(engine.options, dict) or not isinstance(engine.batch, int):
            raise TypeError(f"not an engine: {values}")
        return engine

    def with_options(self, **options: Any) -> Engine:
        return replace(self, options={**self.options, **options})
