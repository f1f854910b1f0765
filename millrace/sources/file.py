"""Files: any container that FFmpeg can demux."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any
from urllib.parse import unquote, urlsplit

import av
import av.error

from ..core.caps import PACKETS, Caps
from ..core.element import setting, state
from ..core.errors import SourceError
from ..core.item import Item, StreamStart
from ..media import CodecParameters, Packet, SoundParameters
from .base import Source, to_ns
from .mp4 import rotation

# FFmpeg's names of the containers in which an incomplete last packet means a cut file.
_CUT_IF_INCOMPLETE = ("mov", "matroska")


class FileSource(Source):
    """Reads the packets of one video track of a file: `FileSource(stream="a", uri="a.mp4")`.

    Times are the file's own, not moved to start at 0. In the caps, `rotation` is how many degrees clockwise a
    player turns the picture (0, 90, 180, 270); pictures are decoded as they lie in the file.
    """

    stream: str = setting(help="name of the stream")
    uri: str = setting(help="a path, or file:// and a path")
    track: int | None = setting(default=None, help="which video track, from 0; default: the best", minimum=0)
    sound: bool = setting(default=False, help="give the packets of the best sound track too; who saves it asks for it")

    stopped: bool = state(bool)

    def read(self) -> Iterator[Item | StreamStart]:
        self.stopped = False
        path = file_path(self.uri)
        with self._open(path) as container:
            video = self._choose(container, path)
            kind = container.format.name
            turned = rotation(path, video.id) if kind.startswith("mov") else 0
            sound = container.streams.best("audio", related=video) if self.sound else None
            caps = _caps(container, video, turned)
            parameters = None if sound is None else _sound_parameters(sound)
            tracks = [video] if parameters is None else [video, sound]
            yield StreamStart(self.stream, caps if parameters is None else caps.replace(sound=parameters))
            yield from self._packets(container.demux(*tracks), path, kind)

    def interrupt(self) -> None:
        self.stopped = True

    def _open(self, path: str) -> Any:
        try:
            if os.path.getsize(path) == 0:
                raise SourceError(self.stream, f"{path} is empty (0 bytes)")
            return av.open(f"file:{path}")  # with the protocol, or FFmpeg takes "a:b.mp4" for one
        except FileNotFoundError:
            raise SourceError(self.stream, f"there is no file {path}") from None
        except IsADirectoryError:
            raise SourceError(self.stream, f"{path} is a folder, not a file") from None
        except av.error.InvalidDataError:
            raise SourceError(self.stream, _why_unreadable(path)) from None
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(self.stream, f"cannot open {path}: {error.strerror}") from None

    def _choose(self, container: Any, path: str) -> Any:
        videos = container.streams.video
        if not videos:
            tracks = ", ".join(
                f"{s.type} ({s.codec_context.name if s.codec_context else '?'})" for s in container.streams
            )
            raise SourceError(self.stream, f"{path} has no video track; its tracks: {tracks or 'none'}")
        if self.track is None:
            chosen = container.streams.best("video") or videos[0]
        elif self.track < len(videos):
            chosen = videos[self.track]
        else:
            raise SourceError(self.stream, f"{path} has no video track {self.track}: it has {len(videos)}, from 0")
        if chosen.codec_context is None:
            raise SourceError(self.stream, f"the codec of the video track of {path} is not known to FFmpeg")
        return chosen

    def _next(self, packets: Iterator[Any], path: str) -> Any:
        """The next packet that holds data; None at the end (PyAV ends with an empty one)."""
        try:
            for packet in packets:
                if packet.size:
                    return packet
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(self.stream, f"{path} cannot be read further: {error.strerror}") from None
        return None

    def _packets(self, packets: Iterator[Any], path: str, kind: str) -> Iterator[Item]:
        incomplete = False
        while not self.stopped and (packet := self._next(packets, path)) is not None:
            base = packet.time_base
            pts, dts, duration = packet.pts, packet.dts, packet.duration
            incomplete = packet.is_corrupt
            yield Packet(
                self.stream,
                packet,
                None if pts is None else to_ns(pts, base),
                None if dts is None else to_ns(dts, base),
                to_ns(duration, base) if duration else None,
                packet.is_keyframe,
                kind=packet.stream.type,
            )
        if incomplete and not self.stopped and kind.startswith(_CUT_IF_INCOMPLETE):
            raise SourceError(self.stream, f"{path} is cut off: its last packet is incomplete")


def file_path(uri: str) -> str:
    """The path that a `file://` address or a plain path names."""
    return unquote(urlsplit(uri).path) if uri[:7].lower() == "file://" else uri


def _why_unreadable(path: str) -> str:
    with open(path, "rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp":
        return f"{path} is an MP4 without its index (moov): the recording was not finished or the file is cut"
    return f"{path} is not a media file that FFmpeg can read, or it is damaged"


def _caps(container: Any, video: Any, turned: int) -> Caps:
    duration = None
    if video.duration is not None:
        duration = to_ns(video.duration, video.time_base)
    elif container.duration is not None:
        duration = to_ns(container.duration, Fraction(1, av.time_base))
    parameters = _parameters(video)
    return Caps(
        PACKETS,
        codec=parameters.codec,
        width=parameters.width,
        height=parameters.height,
        time_base=video.time_base,
        fps=video.average_rate or video.guessed_rate or None,
        frames=video.frames or None,
        duration=duration,
        extradata=parameters.extradata,
        rotation=turned,
        parameters=parameters,
    )


def _sound_parameters(track: Any) -> SoundParameters | None:
    """None for a codec that FFmpeg does not know, or a track that does not say what it is."""
    context = track.codec_context
    if context is None or not context.sample_rate or context.format is None:
        return None
    return SoundParameters(
        codec=context.codec.canonical_name,
        sample_rate=context.sample_rate,
        layout=context.layout.name,
        format=context.format.name,
        time_base=track.time_base,
        extradata=context.extradata,
        profile=context.profile,
    )


def _parameters(video: Any) -> CodecParameters:
    context = video.codec_context
    try:
        tag = context.codec_tag.strip("\0 ")
    except UnicodeDecodeError:
        tag = ""
    return CodecParameters(
        codec=context.codec.canonical_name,
        width=context.width,
        height=context.height,
        extradata=context.extradata,
        pixel_format=context.pix_fmt,
        tag=tag if len(tag) == 4 else None,
        reorder=context.reorder_depth,
        bits_per_coded_sample=context.bits_per_coded_sample,
        sample_aspect=video.sample_aspect_ratio or None,
        colour_range=int(context.color_range),
        colour_matrix=int(context.colorspace),
        colour_primaries=int(context.color_primaries),
        colour_transfer=int(context.color_trc),
    )
