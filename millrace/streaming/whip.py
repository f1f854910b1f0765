"""WHIP (RFC 9725): packets that are coded already to a server, by WebRTC (aiortc), with reconnection."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

from ..core.caps import Caps
from ..core.errors import ConfigError, MissingExtraError, OutputError, redact, said
from ..core.hosts import is_loopback
from ..media import Packet
from .fmp4 import Track
from .live import Live
from .loop import Loop
from .webrtc import OfferError, Publisher

try:
    import aiohttp
except ImportError:
    raise MissingExtraError("WHIP", "aiohttp", "webrtc") from None

LONGEST = 30.0  # seconds from one attempt to the next, at most
FAREWELL = 1.0  # seconds that the server has for what is left at the end


class Whip:
    """One stream on its way to a WHIP endpoint; see outputs.push.Pusher, which it stands beside."""

    def __init__(
        self,
        url: str,
        caps: Caps,
        token: str | None,
        tell: Callable[[str], None],
        backoff: float = 1.0,
        attempts: int = 0,
        timeout: float = 5.0,
    ) -> None:
        """Raises ConfigError for a stream that WebRTC cannot carry here."""
        codec = caps["parameters"]
        if codec.codec != "h264":
            raise ConfigError(f"WHIP is there for h264, not for {codec.codec}: encode with it")
        self.label = redact(url)
        self.connections = 0
        self.failed: OutputError | None = None  # it has given up
        self._url, self._token, self._tell = url, token, tell
        self._backoff, self._attempts, self._timeout = backoff, attempts, timeout
        self._live = Live("")
        self._live.begin(codec, Track(codec))
        self._lost_at: float | None = None
        self._stopped = False
        self._loop = Loop("millrace-whip")
        self._task = self._loop.run(self._begin())

    async def _begin(self) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(self._work())

    def give(self, packet: Packet) -> None:
        """Take a packet, without waiting for the server. Raises OutputError once it has given up."""
        if self.failed is not None:
            raise self.failed
        if packet.kind == "video":
            self._loop.soon(self._feed, packet)

    def _feed(self, packet: Packet) -> None:
        try:
            self._live.feed(packet)
        except ValueError as error:
            self._tell(f"a packet is left out: {error}")

    def end(self) -> None:
        """No more will come. Raises OutputError where it has given up."""
        if not self._stopped:
            self._loop.run(self._drain(), FAREWELL + 5)
        self.stop()
        if self.failed is not None:
            raise self.failed

    def stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._loop.run(self._cancel(), 2 * self._timeout)
            self._loop.close()

    async def _drain(self) -> None:
        self._live.end()
        await asyncio.wait([self._task], timeout=FAREWELL)

    async def _cancel(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        try:
            await self._keep_publishing()
        except Exception as error:  # noqa: BLE001  of aiortc: nobody waits for this task, who gives must hear of it
            self.failed = OutputError(self.label, OSError(0, said(error)))
            self.failed.__cause__ = error

    async def _keep_publishing(self) -> None:
        wait, tried = self._backoff, 0
        while not self._live.ended:
            publisher = Publisher(self._live, is_loopback(urlsplit(self._url).hostname))
            try:
                await self._publish(publisher)
                return
            except (aiohttp.ClientError, OSError, TimeoutError, OfferError, ValueError) as error:
                if publisher.connected:
                    wait, tried = self._backoff, 0
                tried += 1
                reason = redact(str(error)) or "it does not answer in time"
                if self._attempts and tried >= self._attempts:
                    self.failed = OutputError(self.label, OSError(0, reason))
                    return
                if self._lost_at is None:
                    self._lost_at = time.monotonic()
                    self._tell(f"{self.label}: {reason}; it is tried again after {self._backoff:g} to {LONGEST:g} s")
            finally:
                await publisher.close()
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST)

    async def _publish(self, publisher: Publisher) -> None:
        """Offer, and stay until the end; raises what went wrong."""
        headers = {"Content-Type": "application/sdp"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(self._timeout), headers=headers) as http:
            async with http.post(self._url, data=await publisher.offer()) as answer:
                text = await answer.text()
                if answer.status != 201:
                    raise OfferError(f"it answers {answer.status} {text.strip()[:200]}".strip())
                place = answer.headers.get("Location")
                base = str(answer.url)
            await publisher.accept(text, 2 * self._timeout)
            self.connections += 1
            if self._lost_at is not None:
                self._tell(f"{self.label}: connected again after {time.monotonic() - self._lost_at:.1f} s")
                self._lost_at = None
            try:
                await publisher.finished()
            finally:
                if place:
                    # where it has gone, why is known, or of no interest
                    with contextlib.suppress(aiohttp.ClientError, OSError):
                        async with http.delete(urljoin(base, place)):
                            pass
