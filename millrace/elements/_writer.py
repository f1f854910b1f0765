"""What elements that write packets into containers share: an output for each stream, sound that comes early."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, ClassVar

from ..core.caps import PACKETS
from ..core.element import Context, Element, state
from ..core.item import Item
from ..media import Packet
from ..outputs.base import Output

EARLY = 4096  # packets of sound that may wait for the first picture


class PacketWriter(Element):
    """Writes the packets of each stream into its output and passes them on; a subclass opens the outputs."""

    takes = PACKETS
    threaded: ClassVar[bool] = True
    writes: ClassVar[bool] = True

    outputs: dict[str, Output] = state(dict)
    early: dict[str, deque[Packet]] = state(dict)  # sound that came before its pictures
    caps: dict[str, Any] = state(dict)
    several: bool = state(bool)
    context: Context | None = state(lambda: None)

    def begin_sound(self, stream: str, name: str) -> None:
        """Say what sound the output just opened cannot hold; write what came early."""
        output = self.outputs[stream]
        if output.lost_sound and self.context is not None:
            self.context.warn(f"{name} is written without sound: it cannot hold {output.lost_sound}", stream)
        for packet in self.early.pop(stream, ()):
            output.write(packet)

    def process(self, item: Any) -> Iterator[Item]:
        if isinstance(item, Packet):
            output = self.outputs.get(item.stream)
            if output is not None:
                output.write(item)
            elif item.kind == "audio":
                self.early.setdefault(item.stream, deque(maxlen=EARLY)).append(item)
        yield item

    def end_stream(self, stream: str) -> Iterator[Item]:
        self.finish(stream)
        yield from ()

    def close(self) -> None:
        failed: OSError | None = None
        for stream in list(self.outputs):
            try:
                self.finish(stream)
            except OSError as error:  # the other files are finished all the same
                failed = failed or error
        if failed is not None:
            raise failed

    def finish(self, stream: str) -> None:
        """Close the output of a stream and forget the stream."""
        self.early.pop(stream, None)
        self.caps.pop(stream, None)
        output = self.outputs.pop(stream, None)
        if output is not None:
            output.close()
