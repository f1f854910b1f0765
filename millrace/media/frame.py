"""The nouns that move: packets (encoded), frames (pictures with what is known of them), batches of frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from .image import Image
from .objects import Event, Object
from .reading import Reading


@dataclass(slots=True, eq=False)
class Packet:
    """One encoded piece of a stream. Times are ns of stream time; `data` is anything with the buffer protocol.

    Codec parameters stand in the StreamStart's caps. `pts` may be None (raw elementary streams). `arrived` is ns of
    time.monotonic when it came in (0: a file's), `wall` UTC ns by the sender's clock.
    """

    stream: str
    data: Any
    pts: int | None
    dts: int | None = None
    duration: int | None = None
    key: bool = False
    epoch: int = 0
    kind: Literal["video", "audio"] = "video"
    arrived: int = 0
    wall: int | None = None
    droppable: ClassVar[bool] = True

    @property
    def leads(self) -> bool:
        """What follows can be decoded without what came before."""
        return self.key and self.kind == "video"

    def fork(self) -> Packet:
        return self


@dataclass(slots=True, eq=False)
class Frame:
    """One picture of a stream and what is known of it.

    `index` counts the frames of the stream from 0 and does not start again with an epoch. `pts` is ns of
    stream time, `arrived` ns of time.monotonic, `wall` UTC ns or None. `inferred` names the models that
    looked at this very frame (others carry estimates). `readings` is what models say of the frame as a whole.
    """

    stream: str
    index: int
    pts: int
    image: Image
    epoch: int = 0
    duration: int | None = None
    arrived: int = 0
    wall: int | None = None
    objects: list[Object] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    inferred: list[str] = field(default_factory=list)
    extras: dict[str, Any] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    droppable: ClassVar[bool] = True

    def fork(self) -> Frame:
        """The same pixels, metadata of its own; whoever draws copies the pixels (`image.writable()`)."""
        return Frame(
            self.stream, self.index, self.pts, self.image.share(), self.epoch, self.duration, self.arrived,
            self.wall, [o.fork() for o in self.objects], list(self.events), list(self.inferred), dict(self.extras),
            list(self.readings),
        )  # fmt: skip

    def _repr_html_(self) -> str:
        """The picture with boxes over it, as notebooks show it."""
        from .html import frame_html

        return frame_html(self)


@dataclass(slots=True, eq=False)
class Batch:
    """Frames of several streams that are inferred together, in order."""

    frames: list[Frame]
    extras: dict[str, Any] = field(default_factory=dict)
    stream: ClassVar[None] = None
    droppable: ClassVar[bool] = True

    def __len__(self) -> int:
        return len(self.frames)

    def fork(self) -> Batch:
        return Batch([frame.fork() for frame in self.frames], dict(self.extras))

    def select(self, stream: str) -> Batch | None:
        """The frames of one stream only; None when there is none."""
        frames = [frame for frame in self.frames if frame.stream == stream]
        return Batch(frames, self.extras) if frames else None
