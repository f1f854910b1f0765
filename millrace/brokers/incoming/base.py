"""What a subscriber is: somebody else's messages → us, acknowledged when they are dealt with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message that came. `id` is the sender's, where it gave one; `ticket` is the subscriber's own."""

    topic: str
    body: bytes
    id: str | None = None
    ticket: Any = None


class Subscriber(Protocol):
    """A way from a broker. All calls come from one thread."""

    def connect(self) -> None:
        """Connect and subscribe, or raise BrokerError within some seconds. Called again after an error of `receive`."""
        ...

    def receive(self, seconds: float) -> list[Incoming]:
        """What has come, after at most about so many seconds. Raises BrokerError when the broker is away."""
        ...

    def done(self, message: Incoming, error: str | None = None) -> None:
        """The message was dealt with and need not come again; `error` says what was wrong with it.

        Raises BrokerError: then it will come once more.
        """
        ...

    def close(self) -> None:
        """May be called at any time, also twice, also when nothing is connected."""
        ...
