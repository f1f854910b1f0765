"""Where millrace keeps things on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def cache() -> Path:
    """What it can make or fetch again, and may be deleted at any time: MILLRACE_CACHE, else ~/.cache/millrace."""
    named = os.environ.get("MILLRACE_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "millrace"
