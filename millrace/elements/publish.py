"""Frames → messages at a broker."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from ..brokers import open_broker
from ..brokers.base import Address, Message
from ..brokers.delivery import Counts, Delivery
from ..brokers.payload import KINDS, Body, Converter, Texts, open_converter
from ..brokers.spool import Spool
from ..core.element import Context, Element, Seconds, setting, state
from ..core.errors import SettingError
from ..media import Frame
from ..outputs.jsonl import event_text, frame_line
from ..outputs.masks import polygons
from ._crops import Crops

TOPIC = "millrace"
WITH_CROPS = ("millrace", "deepstream", "deepstream-new")  # payloads that have a place for pictures


class Publish(Element):
    """Send what was found to a broker and pass the frame on: `publish: {broker: "mqtt://localhost/events"}`.

    A message that was accepted is on disk until the broker has acknowledged it: while the broker is away messages wait
    in a spool, in order, and in a later run if need be. They are delivered at least once; whoever must not see one
    twice goes by its id. A spool that is full drops or waits, as `full` says, and counts. Brokers: amqp, azure, file,
    http, kafka, mqtt, nats, redis; see docs/publishing.md for addresses and options.
    """

    threaded: ClassVar[bool] = True
    writes: ClassVar[bool] = True

    broker: str = setting(help="address: mqtt://user:password@host:1883/topic?option=value")
    topic: str | None = setting(default=None, help="instead of the address's; {stream} becomes the stream's name")
    payload: str = setting(
        default="millrace",
        help="millrace, deepstream, deepstream-new, deepstream-minimal, deepstream-protobuf, or module:function",
    )
    what: list[str] = setting(factory=lambda: ["frames"], help="messages to make: frames, objects, events")
    every: int = setting(default=1, minimum=1, help="frames and objects of every Nth frame of a stream; events always")
    key: str = setting(default="{stream}", help="messages of one key stay in order; {stream} is the stream's name")
    spool: str | None = setting(default=None, help="file where messages wait (default: one for each address)")
    most: int = setting(default=100_000, minimum=1, help="messages that may wait in the spool")
    full: Literal["wait", "drop_newest", "drop_oldest"] = setting(
        default="drop_newest", choices=("drop_newest", "drop_oldest", "wait"), help="what to do when the spool is full"
    )
    linger: Seconds = setting(default=10.0, minimum=0, help="how long the end waits for the last messages")
    crops: Literal["none", "base64", "files"] = setting(
        default="none", choices=("none", "base64", "files"),
        help="the picture of each object as JPEG: in the message, or as a file that the message names",
    )  # fmt: skip
    crop_folder: str | None = setting(default=None, help="where the files of `crops` go")
    crop_size: int = setting(default=320, minimum=8, help="pixels of the longest side; larger ones are made smaller")
    crop_quality: int = setting(default=85, minimum=1, maximum=100, help="of JPEG")
    options: dict[str, Any] = setting(factory=dict, help="further settings of the payload")

    delivery: Delivery | None = state(lambda: None)
    converter: Converter | None = state(lambda: None)
    context: Context | None = state(lambda: None)
    address: Address | None = state(lambda: None)
    cutter: Crops | None = state(lambda: None)

    def validate(self) -> None:
        for name in self.what:
            if name not in KINDS:
                raise SettingError("publish", "what", self.what, f"some of {', '.join(KINDS)}")
        self._check_crops()
        open_broker(self.broker).close()
        self._converter()

    def _check_crops(self) -> None:
        if self.crops != "none" and self.payload not in WITH_CROPS:
            raise SettingError("publish", "crops", self.crops, f"with the payloads {', '.join(WITH_CROPS)} only")
        if (self.crops == "files") != (self.crop_folder is not None):
            raise SettingError("publish", "crop_folder", self.crop_folder, "a folder, with `crops: files` only")
        if self.crop_folder is not None and not os.path.isdir(self.crop_folder):
            raise SettingError("publish", "crop_folder", self.crop_folder, "a folder that is there; create it")

    def open(self, context: Context) -> None:
        self.context = context
        self.address = Address.parse(self.broker)
        self.converter = self._converter()
        broker = open_broker(self.broker)
        spool = Spool(self.spool or default_spool(self.broker, self.topic), self.most)
        self.delivery = Delivery(broker, spool, self.full, context.warn, context.wake)

    @property
    def ready(self) -> bool:
        return self.delivery is None or self.delivery.has_room

    def _converter(self) -> Converter:
        if self.crops != "none":
            self.cutter = Crops(self.crop_folder, self.crop_size, self.crop_quality, self._say)
        texts = Texts(frame_line, event_text, polygons, self.cutter)
        return open_converter(self.payload, tuple(self.what), texts, self.options)

    def _say(self, text: str, stream: str) -> None:
        if self.context is not None:
            self.context.warn(text, stream)

    def expect(self, streams: Sequence[str]) -> None:
        if self.converter is not None:
            self.converter.expect(streams)

    def process_frame(self, frame: Frame) -> None:
        assert self.converter is not None and self.delivery is not None
        due = frame.index % self.every == 0
        messages = [self._message(frame, body) for body in self.converter(frame, due)]
        if self.cutter is not None:
            self.cutter.forget()
        self.delivery.accept(messages)

    def closing(self, stream: str, last: Frame | None) -> Frame | None:
        if last is not None and self.converter is not None and self.delivery is not None:
            self.delivery.accept([self._message(last, body) for body in self.converter(last, False)])
        return last

    def _message(self, frame: Frame, body: Body) -> Message:
        topic = self.topic or (self.address.topic if self.address else "") or TOPIC
        return Message(
            id=body.id or uuid.uuid4().hex,
            topic=topic.replace("{stream}", frame.stream),
            key=self.key.replace("{stream}", frame.stream),
            body=body.data,
            content_type=body.content_type,
        )

    @property
    def counts(self) -> Counts:
        """What became of the messages so far."""
        return self.delivery.counts if self.delivery is not None else Counts()

    def close(self) -> None:
        delivery, self.delivery = self.delivery, None
        if delivery is None:
            return
        left = delivery.drain(self.linger)
        delivery.close()
        if left and self.context is not None:
            self.context.warn(f"{left} messages wait in the spool for the next run", None)


def default_spool(broker: str, topic: str | None) -> str:
    """A file of this user for an address (without its password, which may change)."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    at = Address.parse(broker)
    options = {name: value for name, value in at.options.items() if name != "sas"}
    where = f"{at.scheme}://{at.host}:{at.port}{at.path} {options} {topic}"
    name = hashlib.sha256(where.encode()).hexdigest()[:16]
    return str(Path(home) / "millrace" / "spool" / f"{name}.sqlite")
