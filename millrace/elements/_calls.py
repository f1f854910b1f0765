"""A user's function by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ..parsers.custom import load_custom


def find_function(name: str, folder: str | os.PathLike[str] = ".") -> Callable[..., Any]:
    """What `module:function` or `file.py:function` names. Raises ConfigError."""
    return load_custom(name, folder).call
