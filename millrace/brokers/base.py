"""What a broker is: messages → somebody else's machine, acknowledged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from ..core.errors import ConfigError, did_you_mean, redact, said


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent. `id` is unique and stays when the message is sent again: receivers drop what they have seen.

    Messages of one `key` (the stream, unless the user says otherwise) are delivered in their order.
    """

    id: str
    topic: str
    key: str
    body: bytes
    content_type: str = "application/json"


def waves(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """The messages in pieces in which all of a key go to one topic.

    Brokers refuse topics, so of the messages of a key in a piece none can be taken after one that was refused.
    """
    first, topics = 0, dict[str, str]()
    for place, message in enumerate(messages):
        if topics.setdefault(message.key, message.topic) != message.topic:
            yield messages[first:place]
            first, topics = place, {message.key: message.topic}
    if messages[first:]:
        yield messages[first:]


class BrokerError(Exception):
    """The broker cannot be reached or did not acknowledge: the delivery tries again.

    `acknowledged` of the first messages of the call were; the others will be sent once more.
    """

    def __init__(self, message: str, acknowledged: int = 0) -> None:
        super().__init__(message)
        self.acknowledged = acknowledged


class RefusedError(BrokerError):
    """The message after the acknowledged ones can never be taken (too large, say): the delivery drops and counts it."""


def why(error: Exception, doing: str) -> str:
    """What a thread that goes on tells of an error: that the broker is away, or what else made `doing` fail."""
    if isinstance(error, BrokerError):
        return f"the broker is away: {redact(str(error))}"
    return f"{doing} fails: {said(error)}"


class Broker(Protocol):
    """A way to a broker. All calls come from one thread."""

    def connect(self) -> None:
        """Make the connection, or raise BrokerError within some seconds. Called again after an error of `send`."""
        ...

    def send(self, messages: Sequence[Message]) -> None:
        """Return when the broker has acknowledged all of them, in order; else raise BrokerError or RefusedError."""
        ...

    def close(self) -> None:
        """May be called at any time, also twice, also when nothing is connected."""
        ...


@dataclass(frozen=True, slots=True)
class Address:
    """A broker's URL taken apart: `scheme://user:password@host:port/path?option=value`."""

    scheme: str
    host: str
    port: int | None = None
    path: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises ConfigError, which never shows the password."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:  # what it says may hold a piece of the password
            raise ConfigError(
                "the broker's address is not a URL: scheme://user:password@host:port/topic; "
                "/, #, ?, @ and : in user and password are written %2F, %23, %3F, %40 and %3A"
            ) from None
        return cls(
            scheme=parts.scheme.lower(),
            host=parts.hostname or "",
            port=port,
            path=unquote(parts.path),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            options=dict(parse_qsl(parts.query, keep_blank_values=True)),
        )

    @property
    def topic(self) -> str:
        """The path as the name of a topic: without its first slash."""
        return self.path.removeprefix("/")

    def check(self, *known: str) -> None:
        """Raises ConfigError for an option that this kind of broker does not have, or for a missing host."""
        if not self.host:
            raise ConfigError(f"{self.scheme}: the broker's address names no host: {self.scheme}://HOST:PORT/TOPIC")
        for name in self.options:
            if name not in known:
                has = ", ".join(known) or "none"
                raise ConfigError(f"{self.scheme} has no option {name!r}.{did_you_mean(name, known)} It has: {has}")

    def flag(self, name: str, default: bool = False) -> bool:
        """An option that is yes or no."""
        value = self.options.get(name)
        if value is None:
            return default
        if value.lower() not in ("0", "1", "true", "false", "yes", "no", ""):
            raise ConfigError(f"{self.scheme}: option {name}={value!r} must be 0 or 1")
        return value.lower() in ("1", "true", "yes", "")

    def number(self, name: str, default: float) -> float:
        """An option that is a number."""
        value = self.options.get(name)
        try:
            return default if value is None else float(value)
        except ValueError:
            raise ConfigError(f"{self.scheme}: option {name}={value!r} is not a number") from None
