"""What an output is: packets of one stream → somewhere."""

from __future__ import annotations

from typing import Protocol

from ..media import Packet


class Output(Protocol):
    """Made per stream, ready to be written to; raises ConfigError or OSError with one sentence naming the target."""

    @property
    def path(self) -> str: ...

    @property
    def lost_sound(self) -> str | None:
        """The codec of a sound track that this output cannot hold and leaves out."""
        ...

    def write(self, packet: Packet) -> None: ...

    def close(self) -> None:
        """Finish what is written. May be called twice."""
        ...
