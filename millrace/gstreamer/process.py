"""A GStreamer fragment as its users see it: started, fed with pictures or packets, listened to, ended.

It always runs in a process of its own: PyGObject is there for the system's Python only, as a rule, and an element that
crashes takes nothing else with it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..core.caps import FRAMES, Caps
from ..core.errors import ConfigError, MillraceError
from ..media import Image, Packet
from ..media.buffers import empty
from ..media.image import Format, Matrix
from .wire import Channel, Ring, layout

PYTHON = "MILLRACE_GST_PYTHON"  # names the Python that has PyGObject
PACKAGES = (
    "apt-get install python3-gi gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good "
    "gstreamer1.0-plugins-bad"
)
PATIENCE = 5.0  # seconds that the process has to end
BEGUN = 60.0  # seconds that it has to begin: GStreamer may look through all its plugins first
SLOTS = 4  # pictures on their way in
_PROBE = (
    "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstApp', '1.0'); from gi.repository import Gst"
)
_MAIN = "from millrace.gstreamer.child import main; main()"
_FORMATS = {"GRAY16": "GRAY16_LE", "P010": "P010_10LE"}  # ours → GStreamer's, where the names differ
_OURS = {theirs: ours for ours, theirs in _FORMATS.items()}
_CODECS = {"video/x-h264": "h264", "video/x-h265": "hevc", "image/jpeg": "mjpeg"}
_MATRICES = {"bt601": 4, "bt709": 3, "bt2020": 6}  # GstVideoColorMatrix


@cache
def python() -> str:
    """The Python that has GStreamer's bindings. Raises ConfigError where there is none."""
    named = os.environ.get(PYTHON)
    tried = [named] if named else [sys.executable, "/usr/bin/python3", shutil.which("python3") or ""]
    for path in dict.fromkeys(filter(None, tried)):
        try:
            if subprocess.run([path, "-c", _PROBE], capture_output=True, timeout=30).returncode == 0:
                return path
        except (OSError, subprocess.SubprocessError):
            continue
    raise ConfigError(
        f"gst: no Python with GStreamer's bindings (PyGObject) was found; tried {', '.join(filter(None, tried))}. "
        f"Install them ({PACKAGES}), or name a Python that has them in {PYTHON}"
    )


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture or coded packet that came out; times in ns of the fragment's running time."""

    content: Image | bytes
    pts: int | None
    dts: int | None
    duration: int | None
    key: bool


class GstError(MillraceError):
    """The fragment could not be built, failed, or its process died."""


class Fragment:
    """A launch line without its ends, running. `feeds`: it is given pictures of `caps`, else it is a source.

    `receive()` is for one thread, `send` and `end` for one other, `stop` for any.
    """

    def __init__(
        self,
        launch: str,
        caps: Caps | None = None,
        live: bool = False,
        on_room: Callable[[], None] | None = None,
    ) -> None:
        """Starts the process. Raises GstError when the fragment cannot be built.

        `on_room` is called, in the thread that receives, whenever there is room for one more to send.
        """
        self._on_room = on_room or (lambda: None)
        interpreter = python()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel = Channel(ours)
        with theirs:
            self._child = subprocess.Popen(
                [interpreter, "-c", _MAIN, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONDONTWRITEBYTECODE": "1"},
            )  # fmt: skip
        self.live = False
        self.gives = False
        self.found: dict[str, Any] = {}  # what comes out, as the last `caps` said
        self._in: Ring | None = None
        self._out: Ring | None = None
        self._rings = 0  # that were made for what goes in
        self._kind = ""  # what the last one is for
        self._ended = False
        try:
            said = caps_text(caps) if caps is not None else ""
            self._channel.send(
                {"kind": "start", "launch": launch, "feeds": caps is not None, "caps": said, "live": live}
            )
            self._told("shape", "live")
        except BaseException:
            self.stop()
            raise

    def _told(self, *kinds: str) -> None:
        """Wait for these messages, which come before all others."""
        late = time.monotonic() + BEGUN
        for kind in kinds:
            received = self._channel.receive(BEGUN)
            if received is None and time.monotonic() >= late:
                raise GstError(f"the GStreamer fragment has not begun within {BEGUN:g} s")
            message: dict[str, Any] = received[0] if received is not None else {"kind": "gone"}
            if message["kind"] != kind:
                raise self._failure(message)
            if kind == "shape":
                self.gives = bool(message["gives"])
            else:
                self.live = bool(message["live"])

    # what comes out

    def receive(self) -> Iterator[Picture | str]:
        """What comes out until its end; a text is a warning. Raises GstError when it fails."""
        while (received := self._channel.receive()) is not None:
            message, descriptor = received
            kind = message["kind"]
            if kind == "caps":
                assert descriptor is not None
                self.found = message
                if self._out is not None:
                    self._out.close()
                self._out = Ring(message["size"], message["slots"], descriptor)
            elif kind in ("frame", "packet"):
                yield self._picture(message)
            elif kind == "free":
                if self._in is not None and message["ring"] == self._rings:  # else of an older ring
                    self._in.give_back(message["slot"])
                    self._on_room()
            elif kind == "warning":
                yield f"{message['element']}: {message['text']}"
            elif kind == "eos":
                self._ended = True
                return
            else:
                raise self._failure(message)
        if not self._ended:
            raise self._failure({"kind": "gone"})

    def _picture(self, message: dict[str, Any]) -> Picture:
        assert self._out is not None
        view = np.frombuffer(self._out.view(message["slot"], message["size"]), np.uint8)
        content = self._image(view, message) if message["kind"] == "frame" else view.tobytes()
        self._channel.send({"kind": "free", "slot": message["slot"], "ring": self.found["ring"]})
        return Picture(content, message["pts"], message["dts"], message["duration"], message["key"])

    def _image(self, view: np.ndarray[Any, Any], message: dict[str, Any]) -> Image:
        """The pixels in memory of our own: the slot is wanted again."""
        found = self.found
        theirs, width, height = found["format"], found["width"], found["height"]
        format: Any = _OURS.get(theirs, theirs)
        shapes, _ = layout(theirs, width, height)
        planes: list[Any] = []
        given = message.get("layout") or found["layout"]
        for (_, _, rows, used), (offset, row) in zip(shapes, given, strict=True):
            lines = np.lib.stride_tricks.as_strided(view[offset:], (rows, used), (row, 1))
            plane = empty((rows, used), np.uint8)
            np.copyto(plane, lines)
            planes.append(_shaped(plane, format, len(planes)))
        matrix: Matrix = found["matrix"] if found["matrix"] in _MATRICES else "bt601"
        return Image(format, planes, width, height, matrix=matrix, full_range=bool(found["full_range"]))

    @property
    def codec(self) -> str | None:
        """FFmpeg's name of what comes out coded; None for pictures."""
        return _CODECS.get(self.found.get("media", ""))

    @property
    def fps(self) -> Fraction | None:
        return Fraction(*self.found["fps"]) if self.found.get("fps") else None

    # what goes in

    @property
    def ready(self) -> bool:
        """Whether `send` would not wait."""
        return self._in is None or self._in.free > 0

    def send(self, content: Image | Packet, caps: Caps, pts: int | None, dts: int | None, duration: int | None) -> bool:
        """Hand in a picture on the CPU, or a packet; waits for room. False: the process has gone."""
        size = (
            layout(_name(content), content.width, content.height)[1]
            if isinstance(content, Image)
            else memoryview(content.data).nbytes
        )
        kind = caps_text(caps, content)
        if self._in is None or self._kind != kind or size > self._in.size:
            old, self._kind = self._in, kind
            self._rings += 1
            ring = self._in = Ring(size if isinstance(content, Image) else max(1 << 20, 2 * size), SLOTS)
            message = {"kind": "caps", "caps": kind, "size": ring.size, "slots": SLOTS, "ring": self._rings}
            self._channel.send(message, ring.descriptor)
            if old is not None:
                old.close()
        slot = self._in.take()
        if slot is None:
            return False
        view = self._in.view(slot, size)
        if isinstance(content, Image):
            _store(content, np.frombuffer(view, np.uint8))
        else:
            view[:] = memoryview(content.data).cast("B")
        key = content.key if isinstance(content, Packet) else True
        message = {
            "kind": "frame",
            "slot": slot,
            "size": size,
            "pts": pts,
            "dts": dts,
            "duration": duration,
            "key": key,
        }
        return self._channel.send(message)

    def end(self) -> None:
        """No more comes in; `receive` ends when all has come out."""
        self._channel.send({"kind": "eos"})

    def interrupt(self) -> None:
        """Make `receive` and `send` return soon. From any thread."""
        self._ended = True
        self._channel.shut()
        for ring in (self._in, self._out):
            if ring is not None:
                ring.cancel()

    def stop(self) -> None:
        """End it now. Safe to call at any time, and more than once."""
        self.interrupt()
        for ring in (self._in, self._out):
            if ring is not None:
                ring.close()
        try:
            self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(PATIENCE)
        self._channel.close()

    def _failure(self, message: dict[str, Any]) -> GstError:
        if message["kind"] == "error":
            where = f"{message['element']}: " if message.get("element") else ""
            detail = (message.get("debug") or "").strip().splitlines()
            return GstError(f"GStreamer: {where}{message['text']}" + (f" ({detail[-1].strip()})" if detail else ""))
        try:
            code: int | None = self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            code = None
        how = f"ended by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
        return GstError(f"the process of the GStreamer fragment was {how}")


def caps_text(caps: Caps, content: Image | Packet | None = None) -> str:
    """Our caps as GStreamer writes them. Raises GstError for what has no name there."""
    fps = caps.get("fps")
    rate = f",framerate={fps.numerator}/{fps.denominator}" if fps else ",framerate=0/1"
    if caps.kind != FRAMES:
        names = {codec: media for media, codec in _CODECS.items()}
        if caps.get("codec") not in names:
            raise GstError(f"packets of {caps.get('codec')} are not handed to GStreamer: {', '.join(names)} are")
        media = names[caps["codec"]]
        extra = (
            "" if media == "image/jpeg" else f",stream-format={caps.get('stream_format', 'byte-stream')},alignment=au"
        )
        if caps.get("codec_data"):
            extra += f",codec_data=(buffer){caps['codec_data'].hex()}"
        size = f",width={caps['width']},height={caps['height']}" if caps.get("width") else ""
        return f"{media}{extra}{size}{rate}"
    image = content if isinstance(content, Image) else None
    format = image.format if image is not None else caps["format"]
    width, height = (image.width, image.height) if image is not None else (caps["width"], caps["height"])
    matrix, full = (
        (image.matrix, image.full_range) if image is not None else (caps.get("matrix"), caps.get("full_range"))
    )
    text = f"video/x-raw,format={_FORMATS.get(format, format)},width={width},height={height}{rate}"
    if format in ("I420", "NV12", "P010"):
        number = _MATRICES.get(matrix or "bt601", 4)
        text += f",colorimetry=(string){1 if full else 2}:{number}:5:{4 if number == 4 else 1}"
    aspect = caps.get("sample_aspect")
    return text + (f",pixel-aspect-ratio={aspect.numerator}/{aspect.denominator}" if aspect else "")


def _name(image: Image) -> str:
    return _FORMATS.get(image.format, image.format)


def _shaped(plane: np.ndarray[Any, Any], format: Format, number: int) -> np.ndarray[Any, Any]:
    """Rows of bytes as the plane of that format."""
    if format in ("RGB", "BGR"):
        return plane.reshape(plane.shape[0], -1, 3)
    if format == "GRAY16":
        return plane.view(np.uint16)
    if format == "P010":
        plane = plane.view(np.uint16)
    return plane.reshape(plane.shape[0], -1, 2) if format in ("NV12", "P010") and number else plane


def _store(image: Image, view: np.ndarray[Any, Any]) -> None:
    """The pixels where GStreamer looks for them."""
    shapes, _ = layout(_name(image), image.width, image.height)
    for (offset, row, rows, used), plane in zip(shapes, image.planes, strict=True):
        lines = np.lib.stride_tricks.as_strided(view[offset:], (rows, used), (row, 1))
        source = plane if plane.strides[-1] == plane.itemsize else np.ascontiguousarray(plane)
        flat = source.reshape(rows, -1) if source.ndim == 3 else source
        np.copyto(lines, flat.view(np.uint8) if flat.dtype != np.uint8 else flat)
