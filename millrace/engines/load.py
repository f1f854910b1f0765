"""What `infer` loads: the engine that was built for this machine where there is one, else the default; shared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..core.errors import ConfigError
from ..devices import load_runtime
from ..runtimes.base import Runtime
from .cache import Built, find
from .share import key_of, shared

Use = Literal["auto", "default"]


@dataclass(frozen=True, slots=True)
class Opened:
    """A runtime, the engine that it comes from (None: the default), and why a built one was not taken, if so."""

    runtime: Runtime
    built: Built | None = None
    problem: str | None = None


def open_engine(
    where: str, device: str = "cpu", runtime: str = "auto", use: Use = "auto", **options: Any
) -> Opened:  # fmt: skip
    """Load a model file or address. Raises ValueError as the runtimes do, ConfigError.

    A built engine is taken where `use` is auto and neither a runtime nor options of one are given (but `parallel` and
    `reads`, which it heeds). One that cannot be loaded any more is passed over, and the default is loaded.
    """
    free = runtime == "auto" and not set(options) - {"parallel", "reads", "size"}
    built = find(where, device) if use == "auto" and free else None
    problem = None
    if built is not None and not built.is_default:
        try:
            return Opened(_built(built, where, options), built)
        except (ValueError, ConfigError) as error:
            problem = f"the engine that was built for it cannot be used ({error}): the default runs; build it anew"
    key = key_of(where, device, runtime, options)
    return Opened(shared(key, lambda: load_runtime(where, device, runtime, **options)), None, problem)


def _built(built: Built, where: str, options: dict[str, Any]) -> Runtime:
    heeded = {name: options[name] for name in ("parallel", "reads") if name in options}
    engine = built.engine.with_options(**heeded)
    if engine.runtime == "openvino":  # what it compiles is kept too: the next start is quicker
        engine = engine.with_options(cache=str(built.folder / "compiled"))
    key = key_of(where, built.device, f"{built.folder}", engine.options)
    return shared(key, lambda: engine.load(where, built.device, built.folder))
