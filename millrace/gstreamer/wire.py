"""What the two processes of a GStreamer fragment say to each other: small messages, and memory that both see.

Messages are JSON, one a packet of a UNIX socket. Pixels and coded bytes lie in the slots of a `Ring`, memory whose file
descriptor travels with the message `caps`; the reader copies a slot and gives it back with `free`. Only the standard
library, and nothing newer than Python 3.9: the other side may be the system's Python.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import threading
from collections import deque
from contextlib import suppress
from typing import Any

_MOST = 1 << 16  # bytes of a message


class Channel:
    """One end of the socket. `send` may be called from any thread, `receive` from one."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any], descriptor: int | None = None) -> bool:
        """Send a message, with a file descriptor if one is given. False: the other side is gone."""
        with self._lock:
            try:
                data = json.dumps(message).encode()
                socket.send_fds(self.socket, [data], [] if descriptor is None else [descriptor])
            except OSError:
                return False
            return True

    def receive(self, seconds: float | None = None) -> tuple[dict[str, Any], int | None] | None:
        """The next message and the file descriptor that came with it; None when the other side is gone.

        `seconds`: None also when nothing has come for so long.
        """
        try:
            if seconds is not None:
                self.socket.settimeout(seconds)
            data, descriptors, _, _ = socket.recv_fds(self.socket, _MOST, 1)
            if seconds is not None:
                self.socket.settimeout(None)
        except OSError:
            return None
        if not data:
            return None
        return json.loads(data), descriptors[0] if descriptors else None

    def shut(self) -> None:
        """Make both sides' `receive` end. Safe to call from any thread, and more than once."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.socket.close()


class Ring:
    """Memory in slots of equal size. The writer makes it and takes free slots; the reader maps it."""

    def __init__(self, size: int, slots: int, descriptor: int | None = None) -> None:
        self.size = size
        self.slots = slots
        self.descriptor = os.memfd_create("millrace") if descriptor is None else -1  # the writer's, to hand on
        if descriptor is None:
            os.ftruncate(self.descriptor, size * slots)
        self.memory = mmap.mmap(self.descriptor if descriptor is None else descriptor, size * slots)
        if descriptor is not None:
            os.close(descriptor)  # the mapping has its own, which goes with it
        self._free: deque[int] = deque(range(slots))
        self._changed = threading.Condition()
        self._closed = False

    def take(self) -> int | None:
        """A free slot; waits for one. None once the ring is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._free or self._closed)
            return None if self._closed else self._free.popleft()

    @property
    def free(self) -> int:
        """How many slots nobody uses."""
        return len(self._free)

    def give_back(self, slot: int) -> None:
        """The reader has copied it."""
        with self._changed:
            self._free.append(slot)
            self._changed.notify()

    def view(self, slot: int, size: int | None = None) -> memoryview:
        """The bytes of a slot, the first `size` of them."""
        start = slot * self.size
        return memoryview(self.memory)[start : start + (self.size if size is None else size)]

    def cancel(self) -> None:
        """Nobody waits for a slot any more. From any thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def close(self) -> None:
        """Use it no more. The memory goes when the last view of it has gone."""
        self.cancel()
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def layout(format: str, width: int, height: int) -> tuple[list[tuple[int, int, int, int]], int]:
    """(offset, bytes a row, rows, bytes used of a row) of each plane, and the bytes of the picture, as GStreamer lays
    out raw video by default.

    Source: GStreamer, "Raw Video Media Types" (design/mediatype-video-raw): rows start at multiples of four bytes,
    subsampled planes have half of the size rounded up to two.
    """
    half_width, half_height = (width + 1) // 2, (height + 1) // 2
    pixel = {"RGB": 3, "BGR": 3, "GRAY16_LE": 2, "P010_10LE": 2}.get(format, 1)
    subsampled = format in ("I420", "NV12", "P010_10LE")
    shapes = [(width * pixel, height, 2 * half_height if subsampled else height)]
    if format == "I420":
        shapes += [(half_width, half_height, half_height)] * 2
    elif subsampled:
        shapes += [(2 * half_width * pixel, half_height, half_height)]
    out, offset = [], 0
    for used, rows, stored in shapes:
        row = -(-used // 4) * 4
        out.append((offset, row, rows, used))
        offset += row * stored
    return out, offset
