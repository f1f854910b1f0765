"""`millrace build`: the engine for this machine. Candidates are made, measured, judged, and the best one is kept.

`whole.py` tells the whole; each other file does one part of it.
"""

from __future__ import annotations

__all__ = ["Wishes", "build"]

from .whole import build
from .wishes import Wishes
