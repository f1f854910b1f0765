"""What a pipeline shall be, whoever says it: a file, a flow or a command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ..core.channel import Policy
from ..core.element import Element, Source
from ..core.errors import ConfigError
from ..core.node import OnError

Restart = Literal["never", "on_error", "always"]


class Where(Protocol):
    """Turns a message about a step into an error that says where the step was written."""

    def error(self, message: str, *keys: str | int) -> ConfigError: ...


class Nowhere:
    """For plans made in Python: the traceback says where."""

    def error(self, message: str, *keys: str | int) -> ConfigError:
        return ConfigError(message)


@dataclass(slots=True)
class Stream:
    """One source of the plan: where it is, or the source object itself.

    `options` are settings of the source. `restart` says when it is begun again after it has ended.
    """

    name: str
    uri: str | Source
    options: Mapping[str, Any] = field(default_factory=dict)
    restart: Restart = "never"
    where: Where = field(default_factory=Nowhere, compare=False)


@dataclass(slots=True)
class Queue:
    """The channel before an element: items it holds for each stream, and what happens when it is full."""

    size: int | None = None
    policy: Policy = "wait"


@dataclass(slots=True)
class Step:
    """One element: its name in the registry and its settings, or the object itself."""

    element: str | Element
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None  # of the node; the element's name when None
    on_error: OnError = "fail"
    queue: Queue | None = None
    where: Where = field(default_factory=Nowhere)


@dataclass(slots=True)
class Select:
    """From here on, on this line, one stream only."""

    stream: str
    where: Where = field(default_factory=Nowhere)


@dataclass(slots=True)
class Tee:
    """Branches that each get every item. With `side` the line goes on beside them, else they are to be joined."""

    branches: Mapping[str, Line]
    side: bool = False
    where: Where = field(default_factory=Nowhere)


@dataclass(slots=True)
class Listen:
    """A broker whose messages may command the pipeline: which commands, and which sources they may add.

    `topics` stand for the one of the address. `allow` names commands (see commands.COMMANDS). `sources` are patterns
    (`rtsp://10.0.0.*`) of what `add-stream` may read. `sensors` tells the stream of a sensor's id. `stay`: the
    pipeline does not end with its last stream, for others may be added.
    """

    broker: str
    topics: Sequence[str] = ()
    allow: Sequence[str] = ("start-recording", "stop-recording")
    sources: Sequence[str] = ("rtsp://*", "rtsps://*")
    sensors: Mapping[str, str] = field(default_factory=dict)
    stay: bool = False
    where: Where = field(default_factory=Nowhere, compare=False)


Line = list["Step | Select | Tee"]


@dataclass(slots=True)
class Plan:
    """Streams and the line of steps that they all go through. `device` is for elements that do not say theirs.

    `run` names the streams of the whole run, in order, where this is the part of one process. `listen`: where commands
    come from while it runs.
    """

    streams: list[Stream] = field(default_factory=list)
    line: Line = field(default_factory=list)
    device: str = "cpu"
    where: Where = field(default_factory=Nowhere)
    run: tuple[str, ...] = ()
    listen: list[Listen] = field(default_factory=list)
