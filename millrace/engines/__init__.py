"""Engines: which runtime runs a model on this machine and how, and where the built ones are kept.

`millrace build` (builder/) makes them; `infer` finds and loads them.
"""

from __future__ import annotations

from .cache import Built, clear, find, kept, listed
from .engine import Engine

__all__ = ["Built", "Engine", "clear", "find", "kept", "listed"]
