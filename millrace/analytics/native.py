"""The C part of analytics, where it was built; without it Python does the same."""

from __future__ import annotations

from typing import Any

steps: Any
try:
    from . import _steps as steps  # type: ignore[attr-defined,no-redef,unused-ignore]
except ImportError:
    steps = None
