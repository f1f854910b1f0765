"""Streams whose pictures change their size on the way, as cameras' do when somebody sets another resolution."""

from __future__ import annotations

import av
import numpy as np

from millrace.core.caps import PACKETS, Caps
from millrace.media import Packet

FRAMES = 7  # of each size
X265 = "log-level=none:info=0:bframes=2:repeat-headers=1"


def changing(encoder: str, sizes: list[tuple[int, int, str]]) -> tuple[Caps, list[Packet]]:
    """Packets with start codes, parameter sets before each key picture; with B-pictures. Times: 40 ns a picture."""
    packets: list[Packet] = []
    rng = np.random.default_rng(2)
    for number, (width, height, pixels) in enumerate(sizes):
        context = av.CodecContext.create(encoder, "w")
        context.width, context.height, context.pix_fmt, context.framerate = width, height, pixels, 25
        own = {"libx264": {"bf": "2", "x264-params": "repeat-headers=1"}, "libx265": {"x265-params": X265}}
        context.options = own[encoder]
        picture = rng.integers(0, 255, (height // 8 + 1, width // 8 + 1, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
        made = []
        for n in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(np.roll(picture, n * 3, 1)[:height, :width]), "rgb24"
            )
            frame.pts = n
            made += context.encode(frame)
        for packet in [*made, *context.encode(None)]:
            packets.append(
                Packet("a", bytes(packet), (number * FRAMES + packet.pts) * 40, None, 40, packet.is_keyframe)
            )
    return Caps(PACKETS, codec="h264" if encoder == "libx264" else "hevc"), packets
