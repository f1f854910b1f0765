"""The sound track of a file that is being written: packets as they were read, nothing encoded anew (PyAV)."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av

from ..media import Packet, SoundParameters

SECOND = 1_000_000_000
_PCM = ("pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_u8")
SOUND = {  # what sound a container holds so that players play it
    "mp4": ("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"),
    "mov": ("aac", "mp3", "ac3", "eac3", "alac", *_PCM, "pcm_s16be", "pcm_alaw", "pcm_mulaw"),
    "matroska": ("aac", "mp3", "mp2", "ac3", "eac3", "opus", "vorbis", "flac", "alac", *_PCM),
    "webm": ("opus", "vorbis"),
    "mpegts": ("aac", "mp3", "mp2", "ac3", "eac3", "opus"),
    "flv": ("aac", "mp3"),
    "hls": ("aac", "mp3", "ac3", "eac3", "opus", "flac"),
    "rtsp": ("aac", "opus", "pcm_alaw", "pcm_mulaw", "mp3"),
    "avi": ("mp3", "mp2", "ac3", "pcm_s16le", "pcm_u8"),
}
# formats where AAC stands without ADTS headers, its setup in the header
WITH_HEADER = ("mp4", "mov", "matroska", "flv", "rtsp", "hls")
OBJECT_TYPES = {"Main": 1, "LC": 2, "SSR": 3, "LTP": 4, "HE-AAC": 2}  # ISO/IEC 14496-3, table 1.17; SBR is implicit
RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
CHANNELS = {"mono": 1, "stereo": 2, "3.0": 3, "4.0": 4, "5.0": 5, "5.1": 6, "7.1": 7}


class SoundTrack:
    """Added to a container before its header is written; makes our packets its own."""

    def __init__(self, out: Any, parameters: SoundParameters) -> None:
        nowhere = av.open(io.BytesIO(), "w", format="null")  # only a stream can be the template of another
        self._stream = out.add_stream_from_template(nowhere.add_stream(parameters.codec))
        self._adts = parameters.codec == "aac" and not parameters.extradata and out.format.name in WITH_HEADER
        context = self._stream.codec_context
        context.sample_rate, context.layout = parameters.sample_rate, parameters.layout
        context.format = parameters.format
        context.extradata = aac_setup(parameters) if self._adts else parameters.extradata
        self._stream.time_base = Fraction(1, parameters.sample_rate)
        self._last: int | None = None

    def packet(self, packet: Packet) -> Any:
        """For the muxer. Times strictly grow."""
        out = av.Packet(without_adts(bytes(packet.data)) if self._adts else packet.data)
        base = self._stream.time_base
        time = to_ticks(packet.pts or 0, base)
        if self._last is not None and time <= self._last:
            time = self._last + 1
        self._last = out.pts = out.dts = time
        out.duration = to_ticks(packet.duration, base) if packet.duration else 0
        out.time_base, out.is_keyframe, out.stream = base, True, self._stream
        return out


def holds(format: str, sound: SoundParameters) -> bool:
    """Whether a container (FFmpeg's name) can hold this sound."""
    if sound.codec not in SOUND.get(format, ()):
        return False
    return sound.codec != "aac" or bool(sound.extradata) or format not in WITH_HEADER or aac_setup(sound) is not None


def aac_setup(sound: SoundParameters) -> bytes | None:
    """The AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1) of AAC that came with ADTS headers; None when not known."""
    kind = OBJECT_TYPES.get(sound.profile or "")
    rate = sound.sample_rate // 2 if sound.profile == "HE-AAC" else sound.sample_rate
    if kind is None or rate not in RATES or sound.layout not in CHANNELS:
        return None
    return (kind << 11 | RATES.index(rate) << 7 | CHANNELS[sound.layout] << 3).to_bytes(2, "big")


def without_adts(data: bytes) -> bytes:
    """An AAC packet without its ADTS header (ISO/IEC 14496-3, 1.A.2.2: 7 bytes, 9 with a checksum)."""
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return data
    return data[7 if data[1] & 1 else 9 :]


def to_ticks(ns: int, base: Fraction) -> int:
    """ns as the nearest number of ticks of `base` seconds."""
    den = base.numerator * SECOND
    return (ns * base.denominator + den // 2) // den
