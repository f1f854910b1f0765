"""Engines: which runtime runs a model on this machine and how, and where the built ones are kept.

`millrace build` (builder/) makes them; `infer` finds and loads them.
"""

from __future__ import annotations

from .cache import Built, clear, find, kept, listed
from .engine import Engine
from .load import Opened, Use, open_engine

__all__ = ["Built", "Engine", "Opened", "Use", "clear", "find", "kept", "listed", "open_engine"]
