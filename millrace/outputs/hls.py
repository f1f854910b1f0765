"""How FFmpeg is told to write HLS into a folder."""

from __future__ import annotations

import os

from .container import Server


def folder_of(path: str, seconds: float, keep: int, again: bool) -> Server:
    """A playlist at `path`, its segments named after it; `again`: what was written there goes on."""
    name = os.path.splitext(os.path.basename(path))[0].replace("%", "%%")
    flags = ["independent_segments", "program_date_time", "temp_file"]
    flags += ["delete_segments"] if keep else []
    flags += ["append_list", "discont_start"] if again else []
    options = {
        "hls_time": f"{seconds:g}",
        "hls_list_size": str(keep),
        "hls_segment_type": "fmp4",
        "hls_fmp4_init_filename": f"{name}-start.mp4",
        "hls_segment_filename": os.path.join(os.path.dirname(path).replace("%", "%%"), f"{name}-%05d.m4s"),
        "hls_flags": "+".join(flags),
    }
    return Server(path, "hls", options)
