"""The process that runs a GStreamer fragment. It knows GStreamer and nothing of millrace but `wire`.

Says: `live` once the fragment runs, `caps` (with a ring) when what comes out is known or changes, `frame` and `packet`
with their times, `free` for what it took, `eos`, `warning`, `error`. Hears: `start`, `caps`, `frame`, `packet`, `free`,
`eos`. Times are ns of the fragment's running time.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import sys
import threading
from typing import Any

import gi

from millrace.gstreamer.wire import Channel, Ring

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import GLib, Gst, GstApp, GstVideo  # noqa: E402, F401  GstApp: its methods on appsrc and appsink

IN, OUT = "millrace_in", "millrace_out"
SLOTS = 8
_PATIENCE = 30.0  # seconds for the other side to take what has come out
PACKET = 1 << 20  # bytes of a slot for coded pictures, at first
_FULL_RANGE = 1  # GstVideoColorRange: 0 to 255
RAW = "video/x-raw,format={I420,NV12,RGB,BGR,GRAY8,GRAY16_LE,P010_10LE}"
CODED = {  # what comes out coded → the parser that gives whole pictures with their headers, and what it gives
    "video/x-h264": ("h264parse", "video/x-h264,stream-format=byte-stream,alignment=au"),
    "video/x-h265": ("h265parse", "video/x-h265,stream-format=byte-stream,alignment=au"),
    "image/jpeg": ("jpegparse", "image/jpeg"),
}


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the keyboard's interrupt is the other process's to hear
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    Gst.init(None)
    message = channel.receive()
    if message is None:
        return
    try:
        fragment = _Fragment(channel, message[0])
    except (GLib.Error, ValueError, RuntimeError) as error:
        channel.send({"kind": "error", "text": getattr(error, "message", str(error)), "element": None, "when": "start"})
        return
    fragment.run()
    os._exit(0)  # elements may have threads that do not end


class _Fragment:
    """`appsrc ! the fragment ! appsink`, with either end only where the fragment has one.

    What stands between the fragment and appsink is chosen when it is known what comes: a converter or a parser.
    """

    def __init__(self, channel: Channel, order: dict[str, Any]) -> None:
        self.channel = channel
        self.ring_in: Ring | None = None
        self.ring_out: Ring | None = None
        self.rings = 0  # the number of the ring that goes out; that of the one that comes in stands in `caps`
        self.ring_number = 0
        self.pulled = threading.Event()  # all that came out has been sent
        self.orders: Any = queue.SimpleQueue()  # what is told but slots that are free: the ring in bounds it
        self.caps: str | None = None
        self.source: Any = None
        self.sink: Any = None
        head = f"appsrc name={IN} ! " if order["feeds"] else ""
        if order["caps"].startswith("video/x-raw"):
            head += "videoconvert ! "
        elif head:
            head += "identity ! "  # the fragment may begin with caps
        try:
            self.pipeline = Gst.parse_launch(f"{head}{order['launch']} ! identity name={OUT}")
            self.gives = True
        except GLib.Error as error:
            if not (order["feeds"] and error.matches(Gst.parse_error_quark(), Gst.ParseError.LINK)):
                raise
            self.pipeline = Gst.parse_launch(head + order["launch"])  # it ends in a sink
            self.gives = False
        if order["feeds"]:
            self._feed(order)
        if self.gives:
            pad = self.pipeline.get_by_name(OUT).get_static_pad("src")
            pad.add_probe(Gst.PadProbeType.EVENT_DOWNSTREAM, self._came)
        self.channel.send({"kind": "shape", "gives": self.gives})

    def _feed(self, order: dict[str, Any]) -> None:
        self.source = self.pipeline.get_by_name(IN)
        self.source.set_property("format", Gst.Format.TIME)
        self.source.set_property("block", True)
        self.source.set_property("max-bytes", 0)
        self.source.set_property("max-buffers", 4)
        self.source.set_property("caps", Gst.Caps.from_string(order["caps"]))
        if order["live"] and not self.gives:  # shown as it comes: its own times may lie behind
            self.source.set_property("is-live", True)
            self.source.set_property("do-timestamp", True)

    def _came(self, pad: Any, info: Any) -> Any:
        """An event at the fragment's end: the first caps say what to put behind it."""
        event = info.get_event()
        if event.type == Gst.EventType.CAPS and self.sink is None:
            try:
                self._take(pad, event.parse_caps())
            except Exception as error:  # noqa: BLE001 PyGObject only prints it, and the other side would wait for ever
                text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
                self.channel.send({"kind": "error", "text": text, "element": None})
        elif event.type == Gst.EventType.EOS and self.sink is None:
            self.channel.send({"kind": "eos"})
        return Gst.PadProbeReturn.OK

    def _take(self, pad: Any, caps: Any) -> None:
        name = caps.get_structure(0).get_name()
        plain = caps.get_features(0) is None or caps.get_features(0).contains("memory:SystemMemory")
        if name == "video/x-raw" and plain:
            between, wanted = "videoconvert", RAW
        elif name in CODED:
            between, wanted = CODED[name]
        else:
            raise ValueError(f"it gives {caps.to_string()[:200]}; it must be raw video in memory, H.264, HEVC or JPEG")
        converter, self.sink = _make(between), _make("appsink")
        for setting in ("sync", "async", "qos"):
            self.sink.set_property(setting, False)
        self.sink.set_property("max-buffers", 2)
        self.sink.set_property("caps", Gst.Caps.from_string(wanted))
        for element in (converter, self.sink):
            self.pipeline.add(element)
        converter.link(self.sink)
        pad.link(converter.get_static_pad("sink"))
        for element in (self.sink, converter):
            element.sync_state_with_parent()
        threading.Thread(target=self._guarded, args=(self._pull,), daemon=True).start()

    # life

    def run(self) -> None:
        """Until the other side has gone, or both ends are through."""
        result = self.pipeline.set_state(Gst.State.PAUSED)
        if result != Gst.StateChangeReturn.FAILURE:
            self.channel.send({"kind": "live", "live": result == Gst.StateChangeReturn.NO_PREROLL})
            self.pipeline.set_state(Gst.State.PLAYING)
        for work in (self._watch, self._obey):
            threading.Thread(target=self._guarded, args=(work,), daemon=True).start()
        while (received := self.channel.receive()) is not None:
            # appsrc may wait for room, which comes when a slot is free again: that must be heard meanwhile
            if received[0]["kind"] == "free":
                self._free(received[0])
            else:
                self.orders.put(received)
        self.pipeline.set_state(Gst.State.NULL)

    def _guarded(self, work: Any) -> None:
        """The work of a thread. Without a word of what breaks it the other side would wait for ever."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 of GStreamer's bindings, or a bug
            text = f"{type(error).__name__}: {error}"
            self.channel.send({"kind": "error", "text": text, "element": work.__name__.strip("_")})

    def _watch(self) -> None:
        """The pipeline's own messages."""
        bus = self.pipeline.get_bus()
        wanted = Gst.MessageType.ERROR | Gst.MessageType.WARNING | Gst.MessageType.EOS
        while True:
            message = bus.timed_pop_filtered(Gst.CLOCK_TIME_NONE, wanted)
            if message is None:
                return
            if message.type == Gst.MessageType.EOS:  # after an error there is none
                if self.sink is not None:
                    self.pulled.wait(_PATIENCE)  # the last pictures go first
                self.channel.send({"kind": "eos"})
                continue
            failed = message.type == Gst.MessageType.ERROR
            error, debug = message.parse_error() if failed else message.parse_warning()
            said = {"kind": "error" if failed else "warning", "text": error.message, "element": message.src.get_name(),
                    "debug": (debug or "")[:2000]}  # fmt: skip
            self.channel.send(said)
            if failed:
                return

    # what comes out

    def _pull(self) -> None:
        while (sample := self.sink.pull_sample()) is not None:
            caps = sample.get_caps()
            buffer, segment = sample.get_buffer(), sample.get_segment()
            raw = caps.get_structure(0).get_name() == "video/x-raw"
            size = buffer.get_size()
            if caps.to_string() != self.caps or (self.ring_out is not None and size > self.ring_out.size):
                self._announce(caps, raw, size)
            if self.ring_out is None or (slot := self.ring_out.take()) is None:
                return
            view = self.ring_out.view(slot, size)
            view[:] = buffer.extract_dup(0, size)
            view.release()
            message = {"kind": "frame" if raw else "packet", "slot": slot, "size": size,
                       "pts": _running(segment, buffer.pts), "dts": _running(segment, buffer.dts),
                       "duration": _time(buffer.duration),
                       "key": not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT)}  # fmt: skip
            if raw and (meta := GstVideo.buffer_get_video_meta(buffer)) is not None:
                message["layout"] = [[meta.offset[plane], meta.stride[plane]] for plane in range(meta.n_planes)]
            if not self.channel.send(message):
                return
        self.pulled.set()

    def _announce(self, caps: Any, raw: bool, size: int) -> None:
        """A ring for pictures of this kind, and what they are."""
        structure = caps.get_structure(0)
        self.caps = caps.to_string()
        old, self.ring_out = self.ring_out, Ring(size if raw else max(PACKET, 2 * size), SLOTS)
        if old is not None:
            old.close()
        self.rings += 1
        message = {
            "kind": "caps", "ring": self.rings, "size": self.ring_out.size, "slots": SLOTS,
            "media": structure.get_name(), "fps": _fraction(structure, "framerate"),
            "width": structure.get_int("width")[1], "height": structure.get_int("height")[1],
            "aspect": _fraction(structure, "pixel-aspect-ratio"),
        }  # fmt: skip
        if raw:
            info = GstVideo.VideoInfo.new_from_caps(caps)
            message["format"] = structure.get_string("format")
            message["layout"] = [[info.offset[plane], info.stride[plane]] for plane in range(info.finfo.n_planes)]
            message["full_range"] = int(info.colorimetry.range) == _FULL_RANGE
            message["matrix"] = info.colorimetry.matrix.value_nick
        self.channel.send(message, self.ring_out.descriptor)

    def _free(self, message: dict[str, Any]) -> None:
        if self.ring_out is not None and message["ring"] == self.rings:  # an older ring's slot is of no interest
            self.ring_out.give_back(message["slot"])

    # what goes in

    def _obey(self) -> None:
        while True:
            message, descriptor = self.orders.get()
            getattr(self, "on_" + message["kind"])(message, descriptor)

    def on_caps(self, message: dict[str, Any], descriptor: int | None) -> None:
        if self.ring_in is not None:
            self.ring_in.close()
        self.ring_in, self.ring_number = Ring(message["size"], message["slots"], descriptor), message["ring"]
        self.source.set_property("caps", Gst.Caps.from_string(message["caps"]))

    def on_frame(self, message: dict[str, Any], descriptor: int | None) -> None:
        assert self.ring_in is not None
        buffer = Gst.Buffer.new_wrapped(bytes(self.ring_in.view(message["slot"], message["size"])))
        for name in ("pts", "dts", "duration"):
            if message[name] is not None:
                setattr(buffer, name, message[name])
        if not message["key"]:
            buffer.set_flags(Gst.BufferFlags.DELTA_UNIT)
        self.channel.send({"kind": "free", "slot": message["slot"], "ring": self.ring_number})
        self.source.push_buffer(buffer)

    def on_eos(self, message: dict[str, Any], descriptor: int | None) -> None:
        self.source.end_of_stream()


def _make(name: str) -> Any:
    element = Gst.ElementFactory.make(name, None)
    if element is None:
        raise ValueError(f"GStreamer's element {name} is not installed (gstreamer1.0-plugins-base, -good or -bad)")
    return element


def _time(value: int) -> int | None:
    return None if value == Gst.CLOCK_TIME_NONE else int(value)


def _running(segment: Any, value: int) -> int | None:
    return None if value == Gst.CLOCK_TIME_NONE else _time(segment.to_running_time(Gst.Format.TIME, value))


def _fraction(structure: Any, name: str) -> Any:
    there, numerator, denominator = structure.get_fraction(name)
    return [numerator, denominator] if there and numerator and denominator else None
