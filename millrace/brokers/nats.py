"""NATS JetStream with nats-py."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Coroutine, Sequence
from typing import Any

from ..core.errors import MissingExtraError
from ._tls import TLS_OPTIONS, tls_context
from .base import Address, BrokerError, Message, RefusedError

OPTIONS = ("timeout", *TLS_OPTIONS)
CLOSING = 2.0  # seconds for the server's goodbye, and for what still runs to end
OTHERS_BETWEEN = 10070  # the server's code: somebody else's message came between two of ours
SUBJECT = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")


class Nats:
    """`nats://user:password@host:4222/subject`. A JetStream stream must cover the subject: it acknowledges.

    Options: `timeout` seconds; with any of `ca`, `cert`, `key` it uses TLS. The message's id is JetStream's
    `Nats-Msg-Id`, so the server itself drops what comes twice within its window. The client is asynchronous: a
    thread of its own runs it.
    """

    def __init__(self, address: Address) -> None:
        try:
            import nats
        except ImportError as error:
            raise MissingExtraError("a broker at nats:", "nats-py", "nats") from error
        address.check(*OPTIONS)
        self.address = address
        self._nats = nats
        self._timeout = address.number("timeout", 10)
        self._tls = tls_context(address) if any(name in address.options for name in TLS_OPTIONS) else None
        self._loop: _Loop | None = None
        self._thread: threading.Thread | None = None
        self._client: Any = None
        self._homes: dict[str, str] = {}  # the server's stream that covers a subject

    def connect(self) -> None:
        self.close()
        self._loop = _Loop()
        self._thread = threading.Thread(target=self._loop.run, name="millrace-nats", daemon=True)
        self._thread.start()
        try:
            self._client = self._run(self._connect())
        except (OSError, TimeoutError, self._nats.errors.Error) as error:
            self.close()
            raise self._error(error) from error

    async def _connect(self) -> Any:
        failed: list[Exception] = []

        async def note(error: Exception) -> None:
            """Why a connection failed. Once there is one, what goes wrong comes back from the call it concerns."""
            failed[:] = [error]

        given = {"user": self.address.username, "password": self.address.password, "tls": self._tls}
        connecting = self._nats.connect(
            f"nats://{self.address.host}:{self.address.port or 4222}", connect_timeout=self._timeout, error_cb=note,
            allow_reconnect=False, max_reconnect_attempts=1, reconnect_time_wait=0,
            ping_interval=self._timeout / 2, max_outstanding_pings=1,  # one who only listens notices in time, too
            **{name: value for name, value in given.items() if value},
        )  # fmt: skip
        try:
            return await self._in_time(connecting)
        except self._nats.errors.NoServersError as error:
            raise failed[-1] if failed else error from error

    async def _in_time(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await asyncio.wait_for(work, self._timeout)
        except TimeoutError:
            raise TimeoutError(f"no answer within {self._timeout:g} s") from None

    def send(self, messages: Sequence[Message]) -> None:
        bad = next((n for n, message in enumerate(messages) if not SUBJECT.fullmatch(message.topic)), None)
        if bad is not None:
            self._send(messages[:bad])
            raise RefusedError(f"nats: {messages[bad].topic!r} is no subject: no spaces, *, > or empty parts", bad)
        self._send(messages)

    def _send(self, messages: Sequence[Message]) -> None:
        done = 0
        while done < len(messages):
            answers = self._run(self._publish(messages[done:]))
            failed = next((n for n, answer in enumerate(answers) if isinstance(answer, BaseException)), None)
            if failed is None:
                return
            done, error = done + failed, answers[failed]
            if isinstance(error, self._nats.errors.MaxPayloadError):
                raise RefusedError(f"nats: {error}", done)
            if getattr(error, "err_code", None) != OTHERS_BETWEEN or failed == 0:
                raise self._error(error, done)

    async def _publish(self, messages: Sequence[Message]) -> list[Any]:
        """The answers to the messages, or to the first of them. Each is taken only behind the one before it."""
        stream = self._client.jetstream(timeout=self._timeout)
        before: dict[str, str] = {}  # the id of the latest message of each stream of the server
        homes, calls = self._homes, list[Any]()
        for m in messages:
            headers = {"Nats-Msg-Id": m.id, "key": m.key, "content-type": m.content_type}
            home = homes.get(m.topic)
            if home is None and calls:
                break  # which stream it goes to is learnt from the answer to one message
            if home in before:
                headers["Nats-Expected-Last-Msg-Id"] = before[home]
            calls.append(stream.publish(m.topic, m.body, headers=headers))
            if home is None:
                break
            before[home] = m.id
        # they are written in this order; answers are awaited together
        answers = await asyncio.gather(*calls, return_exceptions=True)
        if len(answers) == 1 and not isinstance(answers[0], BaseException):
            homes[messages[0].topic] = answers[0].stream
        if len(answers) < len(messages) and not any(isinstance(answer, BaseException) for answer in answers):
            return [*answers, *await self._publish(messages[len(answers) :])]
        return list(answers)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        assert self._loop is not None
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(self._timeout + 5)
        except TimeoutError:
            if future.done():  # the work's own, which says what for
                raise
            future.cancel()
            raise self._error(TimeoutError("no acknowledgement")) from None

    def _error(self, error: BaseException, done: int = 0) -> BrokerError:
        text = str(error) or type(error).__name__
        if isinstance(error, self._nats.js.errors.NoStreamResponseError):
            text = "no JetStream stream covers the subject: create one"
        return BrokerError(f"nats: {self.address.host}:{self.address.port or 4222}: {text}", done)

    def close(self) -> None:
        client, loop, thread = self._client, self._loop, self._thread
        self._client = self._loop = self._thread = None
        if loop is None or thread is None:
            return
        if client is not None:
            closing = asyncio.run_coroutine_threadsafe(client.close(), loop)
            try:
                closing.result(CLOSING)
            except (OSError, TimeoutError, self._nats.errors.Error):  # it broke while closing: closed it is
                closing.cancel()
        asyncio.run_coroutine_threadsafe(loop.end(), loop)
        thread.join(2 * CLOSING)  # on a machine that is too slow it ends later, by itself


class _Loop(asyncio.SelectorEventLoop):
    """Knows its connections: nats-py leaves one open when connecting fails, or when it is ended while it closes."""

    def __init__(self) -> None:
        super().__init__()
        self._opened: list[asyncio.WriteTransport] = []

    async def create_connection(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        transport, protocol = await super().create_connection(*args, **kwargs)
        self._opened.append(transport)
        return transport, protocol

    def run(self) -> None:
        """What its thread does, until `end`."""
        try:
            self.run_forever()
        finally:
            self.close()

    async def end(self) -> None:
        """Cancel all that runs, cut all connections and stop."""
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            ended, _ = await asyncio.wait(tasks, timeout=CLOSING)
            for task in ended:
                _ = task.cancelled() or task.exception()  # asyncio logs one that nobody asks for
        for transport in self._opened:
            transport.abort()
        await asyncio.sleep(0)  # a connection's end is called back
        self.stop()
