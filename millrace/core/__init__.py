"""The engine: elements, channels, workers, pipelines. Knows nothing of video; standard library only."""

from .bus import Bus, Message
from .caps import FRAMES, PACKETS, Caps
from .channel import Channel
from .element import Context, Element, Seconds, Source, setting, state
from .errors import (
    ConfigError,
    ElementError,
    MillraceError,
    MissingExtraError,
    SettingError,
    SourceError,
    StreamError,
    redact,
)
from .graph import Graph
from .item import Bundle, Item, StreamEnd, StreamStart
from .join import Parts
from .pipeline import Pipeline
from .stats import NodeStats

__all__ = [
    "FRAMES", "PACKETS", "Bundle", "Bus", "Caps", "Channel", "ConfigError", "Context", "Element", "ElementError",
    "Graph", "Item", "Message", "MillraceError", "MissingExtraError", "NodeStats", "Parts", "Pipeline",
    "Seconds", "SettingError", "Source", "SourceError", "StreamEnd", "StreamError", "StreamStart", "redact", "setting",
    "state",
]  # fmt: skip
