"""The listeners of a plan at work: messages of brokers become commands as long as the pipeline runs."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..brokers.incoming import open_subscriber
from ..brokers.incoming.base import Incoming
from ..brokers.incoming.listener import CLOSING, Listener
from ..core import Message, Pipeline
from ..core.errors import ConfigError, redact
from .commands import Commands, check
from .plan import Listen
from .streams import Streams


class Listening:
    """Begins when the pipeline runs and ends when it drains. What goes wrong is a warning on its bus."""

    def __init__(
        self, listens: Sequence[Listen], pipeline: Pipeline, streams: Streams, declared: Sequence[str]
    ) -> None:
        """Raises ConfigError for an address or a command that cannot work."""
        self._pipeline = pipeline
        self._listeners = [self._listener(each, streams, declared) for each in listens]
        self._unsubscribe = pipeline.bus.subscribe(self._hear) if listens else lambda: None

    def _listener(self, listen: Listen, streams: Streams, declared: Sequence[str]) -> Listener:
        check(listen)
        try:
            subscriber = open_subscriber(listen.broker, listen.topics)
        except ConfigError as error:
            raise listen.where.error(f"listen: {error}", "broker") from error
        commands = Commands(listen, self._pipeline, streams, declared)

        def handle(message: Incoming) -> None:
            commands(message.body)

        return Listener(subscriber, handle, self._warn)

    def start(self) -> None:
        for listener in self._listeners:
            listener.start()

    def close(self) -> None:
        """End the threads and the connections. All of them together are waited for no longer than one."""
        self._unsubscribe()
        until = time.monotonic() + CLOSING
        for listener in self._listeners:
            listener.stop()
        for listener in self._listeners:
            listener.close(max(0.0, until - time.monotonic()))

    def _hear(self, message: Message) -> None:
        if message.kind == "state" and message.text in ("draining", "stopped", "failed"):
            for listener in self._listeners:
                listener.stop()

    def _warn(self, text: str) -> None:
        self._pipeline.bus.post(Message("warning", "listen", redact(f"listen: {text}")))
