"""The process that talks to a server for outputs.push: `python -m millrace.outputs.push_child`.

PyAV holds the interpreter while a muxer connects, and nothing ends that from outside; so it happens in a process that
can be killed. It reads pickles: (label, caps, sound, server), then packets, and at the end None. It answers in lines:
`ready`, `connected`, then `error TEXT` or `sent`.
"""

from __future__ import annotations

import ctypes
import pickle
import signal
import sys

import av.error

from .container import Container
from .push import PERMANENT

PR_SET_PDEATHSIG = 1  # prctl(2)
NO_PROTOCOL = av.error.tag_to_code(b"\xf8PRO")  # AVERROR_PROTOCOL_NOT_FOUND


def main() -> None:
    _end_with_parent()
    packets = sys.stdin.buffer
    _say("ready")
    try:
        out = Container(*pickle.load(packets))  # only our own parent writes here
        _say("connected")
        while (packet := pickle.load(packets)) is not None:
            out.write(packet)
        out.close()
        _say("sent")
    except (av.error.FFmpegError, OSError, EOFError) as error:
        permanent = PERMANENT if getattr(error, "errno", None) == NO_PROTOCOL else ""
        _say(f"error {permanent}{getattr(error, 'strerror', None) or error}")
    except ValueError as error:  # a codec that the format cannot hold, a packet without times
        _say(f"error {PERMANENT}{error}")


def _end_with_parent() -> None:
    """Who kills our parent does not end a muxer that connects: Linux shall."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _say(text: str) -> None:
    sys.stdout.write(" ".join(text.split()) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
