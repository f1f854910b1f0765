"""What insert and extract share: whose user data it is, and functions that are named in files."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..core.errors import ConfigError
from ..core.named import find_named

NAME = "millrace.frame"


def user_name(text: str) -> bytes:
    """The 16 bytes that name user data: a UUID, or letters with zeros behind them.

    DeepStream's own is the text NVDS_CUSTOMMETA. Raises ValueError.
    """
    plain = text.replace("-", "")
    if re.fullmatch("[0-9a-fA-F]{32}", plain):
        return bytes.fromhex(plain)
    data = text.encode("utf-8")
    if not 1 <= len(data) <= 16:
        raise ValueError(f"name={text!r} is neither 1 to 16 letters nor 32 hexadecimal digits")
    return data.ljust(16, b"\0")


def find_call(element: str, target: str) -> Callable[..., Any]:
    """The function that package.module:function names. Raises ConfigError."""
    try:
        found = find_named(target)
    except ConfigError as error:
        raise ConfigError(f"{element}: format={target!r} is neither json nor a function: {error}") from error
    if not callable(found):
        raise ConfigError(f"{element}: format={target!r} is not a function")
    return found  # type: ignore[no-any-return]
