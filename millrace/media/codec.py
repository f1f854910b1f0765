"""What must be known of a coded stream to decode it or to write it into a file, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Skip = Literal["none", "non_reference", "non_key"]


@dataclass(frozen=True, slots=True)
class CodecParameters:
    """The parameters of one video track: compared by value, held by no library, safe in any thread.

    `codec` is FFmpeg's name of the format (h264, hevc, av1, vp9, mpeg4, mjpeg, …). `extradata` is the codec's
    header (avcC, hvcC, av1C, or SPS and PPS in Annex B form). `tag` is the container's four characters.
    `reorder` is how many pictures the decoder may hold back to put them in order. The colour fields are the
    code points of ITU-T H.273 (2 = not said); `colour_range`: 0 not said, 1 limited, 2 full.
    """

    codec: str
    width: int
    height: int
    extradata: bytes | None = None
    pixel_format: str | None = None  # FFmpeg's name: yuv420p, yuv420p10le, …
    tag: str | None = None
    reorder: int = 0
    bits_per_coded_sample: int = 0
    sample_aspect: Fraction | None = None
    colour_range: int = 0
    colour_matrix: int = 2
    colour_primaries: int = 2
    colour_transfer: int = 2


@dataclass(frozen=True, slots=True)
class SoundParameters:
    """The parameters of a sound track that is passed on as it is; in the caps of its stream's packets as `sound`.

    `codec` is FFmpeg's name of the format (aac, mp3, opus, …), `layout` its name of the channels, `format` that of
    the samples. `extradata` is the codec's header. `time_base`: seconds a tick of the track counts.
    """

    codec: str
    sample_rate: int
    layout: str
    format: str
    time_base: Fraction
    extradata: bytes | None = None
    profile: str | None = None  # of the codec, as FFmpeg calls it: LC, HE-AAC, …


@dataclass(frozen=True, slots=True)
class Decoding:
    """What a stream asks of whoever decodes it; its source says it in the caps of its packets, as `decoding`."""

    skip_frames: Skip = "none"  # pictures that are not decoded at all
    drop_frame_interval: int = 1  # of the decoded pictures every Nth goes on
    turn: int = 0  # degrees clockwise (0, 90, 180, 270) by which the pictures are turned to stand upright
    low_latency: bool = False  # hold no picture back for speed
