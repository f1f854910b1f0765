"""millrace: real-time video analytics in Python.

    import millrace

    millrace.open("street.mp4").infer("street").track().draw().save("out.mp4").run()

Names are loaded when they are first used: `import millrace` alone loads no video or model library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .builder import build
    from .core import Bus, Graph, Message, Pipeline
    from .core.element import Context, Element, Seconds, Source, setting, state
    from .core.errors import ConfigError, ElementError, MillraceError, SourceError, StreamError
    from .flow import Flow, launch, load, open
    from .media import Batch, Event, Frame, Image, Object, Packet
    from .sources.push import Push
    from .summary import Summary

_HOMES = {
    "builder": ("build",),
    "core": ("Bus", "Graph", "Message", "Pipeline"),
    "core.element": ("Context", "Element", "Seconds", "Source", "setting", "state"),
    "core.errors": ("ConfigError", "ElementError", "MillraceError", "SourceError", "StreamError"),
    "flow": ("Flow", "launch", "load", "open"),
    "sources.push": ("Push",),
    "media": ("Batch", "Event", "Frame", "Image", "Object", "Packet"),
    "summary": ("Summary",),
}
_WHERE = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Batch", "Bus", "ConfigError", "Context", "Element", "ElementError", "Event", "Flow", "Frame", "Graph", "Image",
    "Message", "MillraceError", "Object", "Packet", "Pipeline", "Push", "Seconds", "Source", "SourceError",
    "StreamError", "Summary", "__version__", "build", "launch", "load", "open", "setting", "state",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"millrace has no {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_WHERE[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
