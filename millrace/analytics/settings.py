"""What a configuration may say of lines, zones, directions and calibrations: checked, and with its times as seconds."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..core.errors import ConfigError, SettingError, did_you_mean
from .directed_lines import MODES
from .sightings import ANCHORS
from .world import homography_of

SHARED = ("points", "streams", "classes", "margin", "anchor")
KEYS = {
    "lines": (*SHARED, "mode", "direction", "extended", "once", "size", "show", "colour"),
    "zones": (
        *SHARED, "patience", "inverse", "instant", "crowd", "crowd_for", "loiter", "stopped", "wrong_way",
        "speed_over", "speed_under", "size", "show", "colour",
    ),
    "directions": ("points", "streams", "classes", "size", "show", "colour"),
}  # fmt: skip
KIND = {"lines": "line", "zones": "zone", "directions": "direction"}
SHOW = ("all", "shape", "none")
_SECONDS = ("patience", "crowd_for", "loiter", "stopped")
_NUMBERS = ("margin", "speed_over", "speed_under")
_FLAGS = ("inverse", "instant", "extended", "once")
_POINTS = {  # how many, and in words
    "lines": (2, 2, "two different points [[x, y], [x, y]]"),
    "zones": (3, 10_000, "at least 3 points [[x, y], …]"),
    "directions": (2, 2, "two different points [[x, y], [x, y]]: from, to"),
}
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_COLOUR = re.compile("#[0-9a-fA-F]{6}")
WORLD = ("image", "world", "size")


class Described(NamedTuple):
    """One line, zone or direction of a configuration. Its streams may be named or numbered."""

    kind: str
    name: str
    given: Mapping[str, Any]


def check(table: str, name: str, given: Any) -> dict[str, Any]:
    """What was given, times in seconds. Raises SettingError that names the key and what is allowed."""
    where = f"{table}.{name}"
    if not isinstance(given, Mapping) or ("points" not in given and table != "zones"):
        raise SettingError("analyze", where, given, "it is a table with points")
    unknown = [key for key in given if key not in KEYS[table]]
    if unknown:
        hint = did_you_mean(str(unknown[0]), KEYS[table])
        allowed = f"there are {', '.join(KEYS[table])}{hint}"
        raise SettingError("analyze", f"{where}.{unknown[0]}", given[unknown[0]], allowed)
    out = {key: value for key, value in given.items() if value is not None}
    if "points" in out:
        least, most, needed = _POINTS[table]
        check_points(f"{where}.points", out["points"], least, most, needed)
    for key in ("direction", "wrong_way"):
        if key in out:
            check_points(f"{where}.{key}", out[key], 2, 2, "two different points [[x, y], [x, y]]: from, to")
    _lists(where, out)
    _choices(where, out)
    _numbers(where, out)
    if table == "lines" and ("direction" in out) != ("mode" in out):
        raise SettingError("analyze", where, dict(given), f"mode ({', '.join(MODES)}) and direction go together")
    return out


def check_points(where: str, points: Any, least: int, most: int, needed: str) -> None:
    try:
        pairs = [(float(x), float(y)) for x, y in points]
    except (TypeError, ValueError):
        raise SettingError("analyze", where, points, f"it needs {needed}") from None
    if len(set(pairs)) < 2 or not least <= len(pairs) <= most:
        raise SettingError("analyze", where, points, f"it needs {needed}")


def check_world(given: Any) -> dict[str, dict[str, Any]]:
    """Calibrations by stream ("*": every stream) from one of all streams or a table of them. Raises SettingError."""
    if not isinstance(given, Mapping):
        raise SettingError("analyze", "world", given, "it is {image: points, world: metres}, or one for each stream")
    tables = {"*": given} if "image" in given or "world" in given else dict(given)
    for name, table in tables.items():
        where = "world" if name == "*" else f"world.{name}"
        if not isinstance(table, Mapping) or not {"image", "world"} <= set(table):
            raise SettingError("analyze", where, table, "it is a table of `image` (points) and `world` (metres)")
        wrong = [key for key in table if key not in WORLD]
        if wrong:
            raise SettingError("analyze", f"{where}.{wrong[0]}", table[wrong[0]], f"there are {', '.join(WORLD)}")
        try:
            homography_of(table, 1920, 1080)
        except (TypeError, ValueError) as error:
            raise SettingError("analyze", where, dict(table), str(error)) from None
    return {str(name): dict(table) for name, table in tables.items()}


def seconds(where: str, value: Any) -> float:
    """2, "2s", "40ms", "5m" in seconds. Raises SettingError."""
    text = str(value).strip()
    unit = text.lstrip("0123456789.+-eE").strip()
    try:
        if isinstance(value, bool):
            raise ValueError
        found = float(text[: len(text) - len(unit)] if unit else text) * _UNITS[unit or "s"]
        if found < 0 or found != found:
            raise ValueError
    except (ValueError, KeyError):
        raise SettingError("analyze", where, value, "it is seconds, 0 or more, or a time as 2s, 40ms, 5m") from None
    return found


def read_yaml(path: str) -> dict[str, Any]:
    """A file of analytics in our own form: the settings of `analyze`. Raises ConfigError with file and line."""
    import yaml

    try:
        with open(path, encoding="utf-8") as file:
            data = yaml.safe_load(file)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}") from error
    except RecursionError:
        raise ConfigError(f"{path}: not valid YAML: nested too deeply") from None
    if data is None or not isinstance(data, dict):
        raise ConfigError(f"{path}: it is a table of lines, zones, directions, rules, world")
    if set(data) == {"analyze"} and isinstance(data["analyze"], dict):
        data = data["analyze"]
    return data


def is_yaml(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in (".yaml", ".yml")


def _lists(where: str, out: dict[str, Any]) -> None:
    for key in ("streams", "classes"):
        if key in out and (isinstance(out[key], str) or not isinstance(out[key], list | tuple)):
            raise SettingError("analyze", f"{where}.{key}", out[key], "it is a list of names")
    if "size" in out:
        size = out["size"]
        if not isinstance(size, list | tuple) or len(size) != 2 or not all(_is_number(v) and v > 0 for v in size):
            raise SettingError(
                "analyze", f"{where}.size", size, "it is [width, height] of the picture that points are in"
            )


def _choices(where: str, out: dict[str, Any]) -> None:
    for key, allowed in (("anchor", ANCHORS), ("mode", MODES), ("show", SHOW)):
        if key in out and out[key] not in allowed:
            raise SettingError("analyze", f"{where}.{key}", out[key], f"it is one of {', '.join(allowed)}")
    if "colour" in out and not (isinstance(out["colour"], tuple) or _COLOUR.fullmatch(str(out["colour"]))):
        raise SettingError("analyze", f"{where}.colour", out["colour"], "it is #rrggbb")
    for key in _FLAGS:
        if key in out and not isinstance(out[key], bool):
            raise SettingError("analyze", f"{where}.{key}", out[key], "it is true or false")


def _numbers(where: str, out: dict[str, Any]) -> None:
    for key in _NUMBERS:
        if key in out and (not _is_number(out[key]) or out[key] < 0):
            raise SettingError("analyze", f"{where}.{key}", out[key], "it is a number, 0 or more")
    for key in _SECONDS:
        if key in out:
            out[key] = seconds(f"{where}.{key}", out[key])
    crowd = out.get("crowd", 1)
    if not isinstance(crowd, int) or isinstance(crowd, bool) or crowd < 1:
        raise SettingError("analyze", f"{where}.crowd", crowd, "it is a whole number, 1 or more")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
