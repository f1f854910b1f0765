"""Clips with sound whose truth is known: a white flash and a tone that begin at the same times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = 48000
MARKS = (1.0, 2.4)  # seconds; each lasts a fifth


def marked(time: float) -> bool:
    return any(mark - 1e-6 <= time < mark + 0.2 for mark in MARKS)


def clip_with_sound(path: Path, codec: str = "aac", seconds: float = 3.0, *, gop: int = 25, size: int = 64) -> Path:
    """25 pictures a second, dark or white, and a mono tone of 1 kHz where they are white."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25, width=size, height=48, pix_fmt="yuv420p")
        video.codec_context.options = {"g": str(gop), "sc_threshold": "0"}
        sound = out.add_stream(codec, rate=RATE, options={"strict": "-2"})
        sound.layout = "mono"
        resampler = av.AudioResampler(
            format=sound.codec_context.format,
            layout="mono",
            rate=RATE,
            frame_size=sound.codec_context.frame_size or 1024,
        )
        for index in range(round(seconds * 25)):
            picture = av.VideoFrame(size, 48, "yuv420p")
            for number, plane in enumerate(picture.planes):
                np.frombuffer(plane, np.uint8)[:] = 128 if number else 235 if marked(index / 25) else 30
            picture.pts, picture.time_base = index, Fraction(1, 25)
            out.mux(video.encode(picture))
            first = index * RATE // 25
            times = np.arange(first, first + RATE // 25) / RATE
            on = np.array([marked(time) for time in times])
            wave = (np.sin(times * 2 * np.pi * 1000) * on * 12000).astype(np.int16)
            piece = av.AudioFrame.from_ndarray(wave.reshape(1, -1), format="s16", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = RATE, first, Fraction(1, RATE)
            for each in resampler.resample(piece):
                out.mux(sound.encode(each))
        for each in resampler.resample(None):
            out.mux(sound.encode(each))
        out.mux(video.encode(None))
        out.mux(sound.encode(None))
    return path


def begins(path: Path | str) -> tuple[list[float], list[float]]:
    """When flashes and tones begin in a file, in seconds of the file."""
    with av.open(str(path)) as file:
        flashes, bright = [], False
        for picture in file.decode(video=0):
            now = float(picture.to_ndarray(format="gray").mean()) > 130
            if now and not bright:
                flashes.append(float(picture.time))
            bright = now
    with av.open(str(path)) as file:
        times, levels = [], []
        for piece in file.decode(audio=0):
            samples = piece.to_ndarray().astype(np.float64)
            samples = samples[0] / (32768 if samples.dtype.kind == "i" or np.abs(samples).max() > 4 else 1)
            times.append(float(piece.time) + np.arange(samples.size) / piece.sample_rate)
            levels.append(np.abs(samples))
    time, level = np.concatenate(times), np.concatenate(levels)
    loud = np.convolve(level, np.ones(96) / 96, "same") > 0.05
    starts = np.flatnonzero(loud[1:] & ~loud[:-1])
    tones: list[float] = []
    for at in time[starts]:
        if not tones or at - tones[-1] > 0.5:
            tones.append(float(at))
    return flashes, tones


def sound_packets(path: Path | str) -> list[bytes]:
    with av.open(str(path)) as file:
        if not file.streams.audio:
            return []
        return [bytes(packet) for packet in file.demux(audio=0) if packet.size]


def tracks(path: Path | str) -> list[Any]:
    with av.open(str(path)) as file:
        return [(stream.type, stream.codec_context.codec.canonical_name) for stream in file.streams]
