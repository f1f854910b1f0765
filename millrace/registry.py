"""Elements by name. The file is the registration: `elements/blur.py` with `class Blur(Element)` is the element `blur`.

Other packages add theirs by entry points in the group `millrace.elements`; `package.module:Class` names any class.
Nothing is imported before it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

from .core.element import Element
from .core.errors import ConfigError, MillraceError, SettingError, did_you_mean
from .core.named import told

GROUP = "millrace.elements"
_DURATION = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*(us|ms|s|m|h)\s*")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of an element, as `inspect` shows it and files are checked against it."""

    name: str
    type: Any
    default: Any  # MISSING: it must be given
    help: str
    minimum: float | None
    maximum: float | None
    choices: Sequence[Any] | None
    live: bool

    @property
    def required(self) -> bool:
        return self.default is MISSING

    @property
    def type_name(self) -> str:
        """The type in a reader's words: `float`, `seconds`, `str | None`, `list[str]`."""
        text = self.type.__name__ if isinstance(self.type, type) and not get_args(self.type) else str(self.type)
        text = re.sub(r"(typing\.)?Annotated\[float, 'seconds'\]", "seconds", text)
        text = re.sub(r"typing\.Optional\[(.*)\]$", r"\1 | None", text)
        return re.sub(r"\b(?:[A-Za-z_]\w*\.)+([A-Za-z_]\w*)", r"\1", text)

    @property
    def allowed(self) -> str:
        """The limits in words, or the type where there are none."""
        if self.choices is not None:
            return "one of " + ", ".join(str(choice) for choice in self.choices)
        if self.minimum is not None and self.maximum is not None:
            return f"{self.minimum:g} to {self.maximum:g}"
        if self.minimum is not None:
            return f"at least {self.minimum:g}"
        if self.maximum is not None:
            return f"at most {self.maximum:g}"
        return self.type_name

    def check(self, element: str, value: Any) -> Any:
        """The value as the element wants it ("40ms" → 0.04). Raises SettingError."""
        if isinstance(value, str) and _is_seconds(self.type):
            value = self._seconds(element, value)
        value = _convert(self, element, value)
        if self.choices is not None and value not in self.choices:
            near = did_you_mean(str(value), [str(choice) for choice in self.choices])
            raise SettingError(element, self.name, value, self.allowed + "." + near if near else self.allowed)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            low = self.minimum is not None and not value >= self.minimum
            high = self.maximum is not None and not value <= self.maximum
            if low or high:
                raise SettingError(element, self.name, value, self.allowed)
        return value

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the value as a file may write it."""
        from pydantic.errors import PydanticInvalidForJsonSchema

        try:
            out: dict[str, Any] = _adapter(self.type).json_schema()
        except PydanticInvalidForJsonSchema:  # a function or an object: only Python can give it
            out = {}
        if _is_seconds(self.type):
            out = {"anyOf": [out, {"type": "string", "pattern": "^[0-9.]+ *(us|ms|s|m|h)$"}]}
        limits = {"minimum": self.minimum, "maximum": self.maximum, "enum": self.choices and list(self.choices)}
        out |= {key: value for key, value in limits.items() if value is not None}
        return {**out, "description": self.help} if self.help else out

    def _seconds(self, element: str, text: str) -> float | str:
        if match := _DURATION.fullmatch(text):
            return float(match[1]) * _UNITS[match[2]]
        try:
            return float(text)
        except ValueError:
            raise SettingError(
                element, self.name, text, "a time in seconds, or with a unit: 40ms, 2s, 5m, 1h"
            ) from None


def names() -> list[str]:
    """The names of all elements there are, sorted; imports none of them."""
    return sorted({*_own_names(), *_entry_points()})


def get(name: str) -> type[Element]:
    """The class of an element. Raises ConfigError for a name that nothing has."""
    if name.count(":") == 1 and all(name.partition(":")):
        return _load(name, name)
    if name in _own_names():
        return _load(name, f"{__package__}.elements.{name}:{_class_name(name)}")
    if name in _entry_points():
        return _load(name, _entry_points()[name])
    raise ConfigError(f"there is no element {name!r}.{did_you_mean(name, names())} There are: {', '.join(names())}")


def settings_of(cls: type[Element]) -> tuple[Setting, ...]:
    """The settings of an element class in the order of their declaration."""
    return tuple(_settings(cls, get_type_hints(cls, include_extras=True)))


def check(name: str, settings: Mapping[str, Any], cls: type[Element] | None = None) -> dict[str, Any]:
    """Settings that came from outside, checked and converted. Raises SettingError or ConfigError.

    `name` is what errors call the element; settings that must be given are not asked for here.
    """
    known = {setting.name: setting for setting in settings_of(cls or get(name))}
    checked = {}
    for key, value in settings.items():
        if key not in known:
            has = f"It has: {', '.join(known)}" if known else "It has none"
            raise UnknownSettingError(name, key, f"{did_you_mean(key, known)} {has}")
        checked[key] = known[key].check(name, value)
    return checked


def names_itself(name: str) -> bool:
    """Whether an element has a setting `name` of its own (the path of `rtsp`): then `name` is not that of its node."""
    try:
        return any(setting.name == "name" for setting in settings_of(get(name)))
    except ConfigError:  # there is no such element, which is said where it is made
        return False


def create(name: str, /, **settings: Any) -> Element:
    """An element by name, its settings checked against their types and limits."""
    cls = get(name)
    checked = check(name, settings, cls)
    for setting in settings_of(cls):
        if setting.required and setting.name not in checked:
            raise ConfigError(f"{name}: {setting.name} must be given ({setting.help or setting.type_name})")
    return cls(**checked)


class UnknownSettingError(ConfigError):
    """A setting that the element does not have."""

    def __init__(self, element: str, setting: str, hint: str) -> None:
        super().__init__(f"{element} has no setting {setting!r}.{hint}")
        self.setting = setting


def _own_names() -> frozenset[str]:
    return _names_in(Path(__file__).parent / "elements")


@cache
def _names_in(folder: Path) -> frozenset[str]:
    return frozenset(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


@cache
def _entry_points() -> dict[str, str]:
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    return {point.name: point.value for point in entry_points(group=GROUP)}


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _load(name: str, target: str) -> type[Element]:
    module, _, attribute = target.partition(":")
    try:
        imported = import_module(module)
    except MillraceError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(error.name + ".")):
            raise ConfigError(f"element {name!r}: there is no module {error.name!r}") from error
        raise ConfigError(f"element {name!r} cannot be loaded: {error}; install the library that it needs") from error
    except Exception as error:  # of somebody's module: whatever it is, it is told whose
        raise ConfigError(f"element {name!r} cannot be loaded: {told(error)}") from error
    cls = getattr(imported, attribute, None)
    if cls is None:
        raise ConfigError(f"element {name!r}: {module} has no {attribute!r}")
    if not (isinstance(cls, type) and issubclass(cls, Element)):
        raise ConfigError(f"element {name!r}: {target} is not an Element")
    return cls


def _settings(cls: type[Element], hints: Mapping[str, Any]) -> Iterator[Setting]:
    for field in fields(cls):  # type: ignore[arg-type]  # every Element subclass is made a dataclass
        if not field.init:
            continue
        default = field.default
        if default is MISSING and field.default_factory is not MISSING:
            default = field.default_factory()
        facts = field.metadata
        yield Setting(
            field.name, hints[field.name], default, facts.get("help", ""), facts.get("minimum"),
            facts.get("maximum"), facts.get("choices"), facts.get("live", False),
        )  # fmt: skip


def _is_seconds(kind: Any) -> bool:
    if "seconds" in getattr(kind, "__metadata__", ()):
        return True
    return any(_is_seconds(part) for part in get_args(kind) if part is not kind)


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        return TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:  # dataclasses and the like bring a configuration of their own
        return TypeAdapter(kind)


def _convert(setting: Setting, element: str, value: Any) -> Any:
    from pydantic import ValidationError

    if isinstance(value, bool) and setting.type in (int, float):
        raise SettingError(element, setting.name, value, setting.allowed)
    try:
        return _adapter(setting.type).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if isinstance(part, int) or not str(part)[:1].isupper())
        text = f"{setting.allowed} is wanted; {first['msg'][0].lower()}{first['msg'][1:]}"
        raise SettingError(element, setting.name, value, f"{text} (at {place})" if place else text) from None
