"""The C part of analytics, where it was built; without it Python does the same."""

from __future__ import annotations

from typing import Any, TypeVar

steps: Any
try:
    from . import _steps as steps  # type: ignore[attr-defined,no-redef,unused-ignore]
except ImportError:
    steps = None

T = TypeVar("T")


def struct(plain: type[T]) -> type[T]:
    """The C struct of the same name and fields, where there is one."""
    return getattr(steps, plain.__name__, plain)
