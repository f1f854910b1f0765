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
from ..core.element import setting
from ..core.errors import SourceError
from ..core.item import Item
from ..media import CodecParameters, Packet, SoundParameters
from .base import CodedSource, to_ns
from .mp4 import rotation
from .recorded import SECOND, Opened, RecordedSource

# FFmpeg's names of the containers in which an incomplete last packet means a cut file.
_CUT_IF_INCOMPLETE = ("mov", "matroska")


class FileSource(CodedSource, RecordedSource):
    """Reads the packets of one video track of a file: `FileSource(stream="a", uri="a.mp4")`.

    Times are the file's own, not moved to start at 0. In the caps, `rotation` is how many degrees clockwise a
    player turns the picture (0, 90, 180, 270), and `decoding` what the settings ask of the decoder.
    """

    stream: str = setting(help="name of the stream")
    uri: str = setting(help="a path, or file:// and a path")
    track: int | None = setting(default=None, help="which video track, from 0; default: the best", minimum=0)
    sound: bool = setting(default=False, help="give the packets of the best sound track too; who saves it asks for it")

    @property
    def quick(self) -> bool:
        return super().quick and not _is_pipe(file_path(self.uri))

    def once(self, begin: int, end: int | None) -> Iterator[Opened | Item]:
        path = file_path(self.uri)
        with self._open(path) as container:
            video = self._choose(container, path)
            kind = container.format.name
            turned = rotation(path, video.id) if kind.startswith("mov") else 0
            sound = container.streams.best("audio", related=video) if self.sound else None
            parameters = None if sound is None else sound_parameters(sound)
            caps = caps_of(container, video, turned)
            caps = caps if parameters is None else caps.replace(sound=parameters)
            origin = to_ns(video.start_time, video.time_base) if video.start_time is not None else 0
            rate = video.average_rate or video.guessed_rate
            if video.start_time is None and self.loop != 1 and (begin or end is not None):
                raise SourceError(self.stream, f"{path} says no times (a raw stream): a part of it cannot be looped")
            yield Opened(caps, origin, round(SECOND / rate) if rate else 0)
            if begin and video.start_time is not None:  # else it is read from its start
                self._seek(container, video, origin + begin)
            part = (origin + begin if begin else None, None if end is None else origin + end)
            packets = container.demux(*([video] if parameters is None else [video, sound]))
            yield from self._packets(packets, path, kind, video, part)

    def _seek(self, container: Any, video: Any, when: int) -> None:
        """To a key picture at or before a time, so that all after it can be decoded.

        Formats without an index land anywhere, so it is looked, and sought further back.
        """
        base, first = video.time_base, video.start_time
        try:
            for back in (0, 1, 3, 7, 15, 31):
                ticks = (when - back * SECOND) * base.denominator // (base.numerator * SECOND)
                if ticks <= first:
                    break
                container.seek(ticks, stream=video)
                packet = next((packet for packet in container.demux(video) if packet.size), None)
                if packet is not None and packet.is_keyframe and (packet.pts or 0) <= ticks:
                    container.seek(ticks, stream=video)
                    return
            container.seek(first, stream=video)
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(self.stream, f"{self.uri} cannot be sought in: {error.strerror}") from None

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

    def _packets(
        self, packets: Iterator[Any], path: str, kind: str, video: Any, part: tuple[int | None, int | None]
    ) -> Iterator[Item]:
        incomplete = False
        stream, stopped, pictures, base, last = self.stream, self.halt.is_set, video.index, video.time_base, part[1]
        unit, den, half = base.numerator * SECOND, base.denominator, base.denominator // 2  # to_ns, without calls
        if stopped():
            return
        try:
            for packet in packets:
                if not packet.size:
                    continue  # PyAV ends with an empty one
                if packet.stream_index == pictures:
                    pts, dts, duration = packet.pts, packet.dts, packet.duration
                    pts = None if pts is None else (pts * unit + half) // den
                    dts = None if dts is None else (dts * unit + half) // den
                    if last is not None and (earliest := pts if dts is None else dts) is not None and earliest >= last:
                        return  # no later packet is shown before this one is decoded
                    incomplete = packet.is_corrupt
                    duration = (duration * unit + half) // den if duration else None
                    yield Packet(stream, packet, pts, dts, duration, packet.is_keyframe)
                else:
                    yield from self._sound(packet, *part)
                if stopped():
                    return
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(stream, f"{path} cannot be read further: {error.strerror}") from None
        if incomplete and not stopped() and kind.startswith(_CUT_IF_INCOMPLETE):
            raise SourceError(self.stream, f"{path} is cut off: its last packet is incomplete")

    def _sound(self, packet: Any, first: int | None, last: int | None) -> Iterator[Packet]:
        """A packet of sound, when it is of the part of the file that is wanted."""
        base, duration = packet.time_base, packet.duration
        pts = None if packet.pts is None else to_ns(packet.pts, base)
        if pts is None or (first is not None and pts < first) or (last is not None and pts >= last):
            return
        yield Packet(
            self.stream, packet, pts, pts, to_ns(duration, base) if duration else None, True, kind="audio"
        )  # fmt: skip


def file_path(uri: str) -> str:
    """The path that a `file://` address or a plain path names."""
    return unquote(urlsplit(uri).path) if uri[:7].lower() == "file://" else uri


def _is_pipe(path: str) -> bool:
    """Whether it is something to be read that may keep its reader waiting."""
    return os.path.exists(path) and not os.path.isfile(path)


def _why_unreadable(path: str) -> str:
    with open(path, "rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp":
        return f"{path} is an MP4 without its index (moov): the recording was not finished or the file is cut"
    return f"{path} is not a media file that FFmpeg can read, or it is damaged"


def caps_of(container: Any, video: Any, turned: int) -> Caps:
    duration = None
    if video.duration is not None:
        duration = to_ns(video.duration, video.time_base)
    elif container.duration is not None:
        duration = to_ns(container.duration, Fraction(1, av.time_base))
    parameters = parameters_of(video)
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


def sound_parameters(track: Any) -> SoundParameters | None:
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


def parameters_of(video: Any) -> CodecParameters:
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
