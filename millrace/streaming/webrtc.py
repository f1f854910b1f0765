"""WebRTC with packets that are coded already: H.264 to each peer as it is (aiortc)."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
from fractions import Fraction
from typing import Any

import av

from ..core.errors import MissingExtraError
from .fmp4 import CLOCK
from .live import Backlog, Live, Unit

try:
    import aioice.ice
    from aiortc import (
        MediaStreamTrack,
        RTCConfiguration,
        RTCPeerConnection,
        RTCRtpSender,
        RTCSessionDescription,
    )
    from aiortc.mediastreams import MediaStreamError
except ImportError:
    raise MissingExtraError("WebRTC", "aiortc", "webrtc") from None

CONNECTED = 20.0  # seconds in which a peer must be connected
_only_loopback = contextvars.ContextVar("only_loopback", default=False)
_all_addresses = aioice.ice.get_host_addresses


def _addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    """aioice would open sockets on every address of this machine but loopback."""
    if _only_loopback.get():
        return ["127.0.0.1"]
    return list(_all_addresses(use_ipv4=use_ipv4, use_ipv6=use_ipv6))


aioice.ice.get_host_addresses = _addresses


class OfferError(ValueError):
    """An offer that cannot be answered; says why."""


class H264Track(MediaStreamTrack):  # type: ignore[misc]
    """Pictures of a stream as aiortc's senders take them."""

    kind = "video"

    def __init__(self, follower: Backlog[Unit]) -> None:
        super().__init__()
        self._follower = follower

    async def recv(self) -> Any:
        unit = await self._follower.take()
        if unit is None or self.readyState != "live":
            self.stop()
            raise MediaStreamError
        packet = av.Packet(unit.annexb)
        packet.pts = unit.sample.pts
        packet.time_base = Fraction(1, CLOCK)
        return packet


class Peers:
    """Those who watch by WebRTC."""

    def __init__(self, most: int, only_loopback: bool) -> None:
        self.most = most
        self.connections: dict[str, RTCPeerConnection] = {}
        self._left: dict[str, tuple[Live, Backlog[Unit]]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._ending: set[asyncio.Task[bool]] = set()
        self._only_loopback = only_loopback

    async def watch(self, live: Live, offer: str) -> tuple[str, str]:
        """Answer an offer (SDP): the peer's number and the answer. Raises OfferError."""
        if len(self.connections) >= self.most:
            raise OfferError(f"there are {self.most} peers already")
        if live.coded_as not in ("", "h264"):
            raise OfferError(f"{live.name} is {live.coded_as}: WebRTC is there for h264")
        follower = live.follow(from_last_key=False)
        peer = os.urandom(8).hex()
        _only_loopback.set(self._only_loopback)
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))  # else it asks a public server
        self.connections[peer], self._left[peer] = connection, (live, follower)

        def changed() -> None:
            if connection.connectionState in ("failed", "closed", "disconnected"):
                self._end_soon(peer)

        connection.on("connectionstatechange", changed)
        track = H264Track(follower)
        track.on("ended", lambda: self._end_soon(peer))  # the stream has ended, or the peer has gone
        try:
            sdp = await _negotiate(connection, track, offer)
        except (ValueError, KeyError, IndexError, AssertionError, AttributeError, TypeError) as error:  # of the parser
            await self.end(peer)
            raise OfferError(f"the offer cannot be used: {error}" if str(error) else "the offer is no SDP") from None
        except BaseException:  # he who asked has gone meanwhile, or aiortc has no socket left
            self._end_soon(peer)
            raise
        self._timers[peer] = asyncio.get_running_loop().call_later(CONNECTED, self._give_up, peer)
        return peer, sdp

    def _give_up(self, peer: str) -> None:
        connection = self.connections.get(peer)
        if connection is not None and connection.connectionState != "connected":
            self._end_soon(peer)

    def _end_soon(self, peer: str) -> None:
        task = asyncio.get_running_loop().create_task(self.end(peer))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def end(self, peer: str) -> bool:
        """Hang up; False where there is no such peer."""
        connection = self.connections.pop(peer, None)
        if connection is None:
            return False
        live, follower = self._left.pop(peer)
        live.leave(follower)
        follower.end()
        if timer := self._timers.pop(peer, None):
            timer.cancel()
        await connection.close()
        return True

    async def close(self) -> None:
        for peer in list(self.connections):
            await self.end(peer)
        await asyncio.gather(*self._ending, return_exceptions=True)


class Publisher:
    """We offer a stream to a server (WHIP), and know when it is connected and when it is lost."""

    def __init__(self, live: Live, only_loopback: bool) -> None:
        _only_loopback.set(only_loopback)
        self.connected = False
        self._live = live
        self._follower = live.follow(from_last_key=False)
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._changed = asyncio.Event()
        self._connection.on("connectionstatechange", self._changed.set)

    async def offer(self) -> str:
        """What we send: H.264 only."""
        transceiver = self._connection.addTransceiver(H264Track(self._follower), direction="sendonly")
        transceiver.setCodecPreferences(_h264())
        await self._connection.setLocalDescription(await self._connection.createOffer())
        sdp: str = self._connection.localDescription.sdp
        return sdp

    async def accept(self, answer: str, seconds: float) -> None:
        """Take the answer and wait for the connection. Raises OfferError, TimeoutError."""
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        except (ValueError, KeyError, IndexError, AssertionError, AttributeError, TypeError) as error:
            raise OfferError(f"its answer cannot be used: {error}") from None
        async with asyncio.timeout(seconds):
            while self._connection.connectionState != "connected":
                self._check()
                self._changed.clear()
                await self._changed.wait()
        self.connected = True

    async def finished(self) -> None:
        """Wait for the end of the stream. Raises OfferError when the connection is lost before."""
        while not self._live.ended:
            self._check()
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await self._changed.wait()

    def _check(self) -> None:
        state = self._connection.connectionState
        if state in ("failed", "closed", "disconnected"):
            raise OfferError(f"the connection is {state}")

    async def close(self) -> None:
        self._live.leave(self._follower)
        self._follower.end()
        await self._connection.close()


def _h264() -> list[Any]:
    return [each for each in RTCRtpSender.getCapabilities("video").codecs if each.mimeType == "video/H264"]


async def _negotiate(connection: RTCPeerConnection, track: H264Track, offer: str) -> str:
    """The answer: we send, in H.264, and tell our addresses at once (no trickle)."""
    # the peer's checks tell where it is; names of mDNS would make us listen for multicast
    lines = [line for line in offer.splitlines() if not (line.startswith("a=candidate:") and ".local" in line)]
    transceiver = connection.addTransceiver(track, direction="sendonly")
    transceiver.setCodecPreferences(_h264())  # before the offer is read, or VP8 wins
    await connection.setRemoteDescription(RTCSessionDescription("\r\n".join(lines) + "\r\n", "offer"))
    await connection.setLocalDescription(await connection.createAnswer())
    sdp: str = connection.localDescription.sdp
    if "H264" not in sdp:
        raise ValueError("it has no video in H264")
    return sdp
