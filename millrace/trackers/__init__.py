"""Objects → identities: one file per tracker, over shared Kalman and matching code."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..core.errors import ConfigError, SettingError

if TYPE_CHECKING:
    from .base import Tracker

TABLE = {"sort": "sort:Sort"}
DEFAULT = "sort"


def open_tracker(name: str = "default", **settings: Any) -> Tracker:
    """A tracker for one stream. Raises ConfigError for a name or a setting that there is not."""
    key = DEFAULT if name == "default" else name
    if key not in TABLE:
        raise ConfigError(f"tracker {name!r} is not known; there are: default, {', '.join(sorted(TABLE))}")
    module, _, kind = TABLE[key].partition(":")
    made = getattr(import_module(f".{module}", __package__), kind)
    allowed = list(inspect.signature(made).parameters)
    for setting, value in settings.items():
        if setting not in allowed:
            raise SettingError(f"tracker {name}", setting, value, f"its settings are {', '.join(allowed)}")
    tracker: Tracker = made(**settings)
    return tracker
