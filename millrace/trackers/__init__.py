"""Objects → identities: one file per tracker, over one step that they share."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..core.errors import ConfigError, SettingError, did_you_mean

if TYPE_CHECKING:
    from .base import Rules, Tracker

TABLE = {
    "bytetrack": "bytetrack:ByteTrack",
    "dcf": "dcf:Dcf",
    "deepsort": "deepsort:DeepSort",
    "default": "default:Default",
    "iou": "iou:Iou",
    "ocsort": "ocsort:OcSort",
    "sort": "sort:Sort",
}
FROM_FILE = {"nvtracker": "nvtracker:NvTracker"}  # what a file says alone


def rules_of(name: str = "default", **settings: Any) -> Rules:
    """The rules of a tracker by name. Raises ConfigError for a name or a setting that there is not."""
    table = TABLE | FROM_FILE
    if name not in table:
        raise ConfigError(f"tracker {name!r} is not known;{did_you_mean(name, TABLE)} there are: {', '.join(TABLE)}")
    module, _, kind = table[name].partition(":")
    made = getattr(import_module(f".{module}", __package__), kind)
    allowed = [each.name for each in fields(made)]
    for setting, value in settings.items():
        if setting not in allowed:
            near = did_you_mean(setting, allowed)
            raise SettingError(f"tracker {name}", setting, value, f"its settings are {', '.join(allowed)}.{near}")
    rules: Rules = made(**settings)
    return rules


def open_tracker(name: str = "default", **settings: Any) -> Tracker:
    """A tracker for one stream. Raises ConfigError for a name or a setting that there is not."""
    tracker: Tracker = rules_of(name, **settings).open()
    return tracker
