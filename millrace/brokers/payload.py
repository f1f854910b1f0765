"""A frame → messages: which payloads there are, and our own JSON form."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from importlib.resources import files
from typing import Any, NamedTuple, Protocol

from ..core.errors import ConfigError, did_you_mean
from ..core.named import find_named
from ..media import Event, Frame, Object

MASKS = ("none", "rle", "polygon")
KINDS = ("frames", "objects", "events")
VERSION = 1

CONVERTERS = {
    "millrace": "payload:Millrace",
    "deepstream": "deepstream_json:Full",
    "deepstream-new": "deepstream_json:FullNew",
    "deepstream-minimal": "deepstream_json:Minimal",
    "deepstream-protobuf": "deepstream_proto:Protobuf",
}


class Body(NamedTuple):
    """One payload. `id` is None where the form has no place for one: the publisher makes it."""

    data: bytes
    content_type: str = "application/json"
    id: str | None = None


class Converter(Protocol):
    """A frame → the payloads that are to be sent of it, in order."""

    def __call__(self, frame: Frame, due: bool = True) -> Iterator[Body]:
        """`due` is False for frames between those that are sent: only events are."""
        ...

    def expect(self, streams: Sequence[str]) -> None:
        """The streams that are to come, in the order in which they are declared."""
        ...


class Texts(NamedTuple):
    """What the element brings.

    How frames (with the form of masks, and whether embeddings shall be there) and events are written as JSON: the same
    as in `json` files; the outlines of an object's mask in the picture; the pictures of objects, where they are wanted.
    """

    frame: Callable[[Frame, str, bool], str]
    event: Callable[[Event], str]
    outlines: Callable[[Object, int, int], list[list[float]]] = lambda found, width, height: []
    crop: Callable[[Frame, Object], dict[str, Any] | None] | None = None


def open_converter(name: str, what: tuple[str, ...], texts: Texts, options: Mapping[str, Any]) -> Converter:
    """A converter by name, or `module:function` of the user's own.

    That function takes the frame and yields, for each message, bytes, text, or what JSON can hold.
    Raises ConfigError for a name that is not known and for options that the form does not have.
    """
    if name in CONVERTERS:
        module, _, cls = CONVERTERS[name].partition(":")
        made = getattr(import_module(f".{module}", __package__), cls)
        try:
            converter: Converter = made(what, texts, **options)
        except TypeError as error:
            raise ConfigError(f"the payload {name!r} does not take these options: {', '.join(options)}") from error
        return converter
    if ":" not in name:
        known = [*CONVERTERS, "module:function"]
        raise ConfigError(f"payload {name!r} is not known.{did_you_mean(name, known)} There are: {', '.join(known)}")
    try:
        return Custom(find_named(name))
    except ConfigError as error:
        raise ConfigError(f"payload {name!r} cannot be loaded: {error}") from error


class Custom:
    """A user's function as a converter."""

    def __init__(self, function: Callable[[Frame], Any]) -> None:
        self._function = function

    def expect(self, streams: Sequence[str]) -> None: ...

    def __call__(self, frame: Frame, due: bool = True) -> Iterator[Body]:
        for made in (self._function(frame) if due else None) or ():
            if isinstance(made, bytes):
                yield Body(made, "application/octet-stream")
            else:
                yield Body((made if isinstance(made, str) else json.dumps(made)).encode())


class Millrace:
    """Our own form, described by `message.schema.json`: an envelope around what a JSON line holds.

    `frames`: one message a frame. `objects`: one an object. `events`: one an event (with the object that it is about).
    The id of a message names the run, the stream, the frame and the place in it.
    """

    def __init__(self, what: tuple[str, ...], texts: Texts, masks: str = "none", embeddings: bool = False) -> None:
        """`masks`: none, rle or polygon. Raises ConfigError for another form."""
        if masks not in MASKS:
            raise ConfigError(f"payload millrace: masks={masks!r} is not allowed: one of {', '.join(MASKS)}")
        self._what, self._texts = what, texts
        self._masks, self._embeddings = masks, embeddings
        self._run = uuid.uuid4().hex[:12]

    def expect(self, streams: Sequence[str]) -> None: ...

    def __call__(self, frame: Frame, due: bool = True) -> Iterator[Body]:
        if not due and not (frame.events and "events" in self._what):
            return
        line = self._line(frame)
        if due and "frames" in self._what:
            yield self._body(frame, "frame", 0, f'"frame":{line}')
        if due and "objects" in self._what:
            for n, found in enumerate(json.loads(line)["objects"]):
                yield self._body(frame, "object", n, f'{_place(frame)},"object":{_compact(found)}')
        if "events" in self._what and frame.events:
            by_id = {found["id"]: found for found in json.loads(line)["objects"] if found["id"] is not None}
            for n, event in enumerate(frame.events):
                about = by_id.get(event.object_id) if event.object_id is not None else None
                text = f'{_place(frame)},"event":{self._texts.event(event)},"object":{_compact(about)}'
                yield self._body(frame, "event", n, text)

    def _line(self, frame: Frame) -> str:
        """The frame as JSON, with the pictures of its objects where they are wanted."""
        line = self._texts.frame(frame, self._masks, self._embeddings).strip()
        if self._texts.crop is None or not frame.objects:
            return line
        tree = json.loads(line)
        for found, told in zip(frame.objects, tree["objects"], strict=True):
            if (image := self._texts.crop(frame, found)) is not None:
                told["image"] = image
        return _compact(tree)

    def _body(self, frame: Frame, kind: str, number: int, rest: str) -> Body:
        id = f"{self._run}-{frame.stream}-{frame.index}-{kind[0]}{number}"
        time = "null" if frame.wall is None else f'"{utc(frame.wall)}"'
        head = f'"version":{VERSION},"id":{json.dumps(id)},"kind":"{kind}","time":{time}'
        return Body(f"{{{head},{rest}}}".encode(), id=id)


def schema() -> dict[str, Any]:
    """The JSON Schema of a message; what `frame`, `object` and `event` hold is described by `json`'s own schema."""
    found: dict[str, Any] = json.loads(files(__package__).joinpath("message.schema.json").read_text(encoding="utf-8"))
    return found


def utc(wall: int) -> str:
    """Nanoseconds of UTC as RFC 3339 with milliseconds."""
    return datetime.fromtimestamp(wall / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _place(frame: Frame) -> str:
    return f'"stream":{json.dumps(frame.stream)},"index":{frame.index},"pts":{frame.pts}'


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
