"""What there is to say of an element, taken from its class: docstring, settings, an example."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from inspect import cleandoc
from typing import Any

from ..core.caps import FRAMES, PACKETS
from ..core.element import Element
from ..registry import Setting, settings_of

_KINDS = {FRAMES: "frames", PACKETS: "packets", None: "frames or packets"}
_BLOCK = re.compile(r"\n\n((?: {4,}\S.*(?:\n|$)|\n)+)")  # an indented paragraph
_SPAN = re.compile(r"`([^`]+)`")


def summary(cls: type[Element]) -> str:
    """The first line of an element's docstring, without the example that it may end with."""
    first = (cls.__doc__ or "").strip().partition("\n")[0]
    return re.sub(r": `[^`]*`\.?$", ".", first)


def body(cls: type[Element]) -> str:
    """The rest of the docstring, without the example's own paragraph."""
    text = cleandoc(cls.__doc__ or "").partition("\n")[2]
    return _BLOCK.sub("\n\n", f"\n\n{text.strip()}\n").strip()


def kinds(cls: type[Element]) -> str:
    """What an element takes and gives, in words."""
    takes = _KINDS.get(cls.takes, str(cls.takes))
    gives = _KINDS.get(cls.gives, str(cls.gives)) if cls.gives is not None else takes
    words = [f"takes {takes}", f"gives {gives}"]
    if cls.threaded:
        words.append("has a thread of its own" + (", or several (`workers`)" if cls.partitioned else ""))
    if cls.joins:
        words.append("joins branches")
    return "; ".join(words)


def examples(name: str, cls: type[Element]) -> list[str]:
    """The steps of a pipeline file that the docstring shows, as YAML; else one made of the settings.

    A docstring shows them as an indented paragraph, or between backticks: `name: {setting: value}` or
    `Name(setting=value)`.
    """
    text = cleandoc(cls.__doc__ or "")
    found = [cleandoc("\n" + block).strip() for block in _BLOCK.findall(text + "\n")]
    found = [block for block in found if re.match(rf"- {re.escape(name)}\b", block)]
    for span in _SPAN.findall(text):
        flat = " ".join(span.split())
        if step := _step(name, cls, flat):
            found.append(step)
    return found or [f"- {name}{_settings({s.name: '…' for s in settings_of(cls) if s.required})}"]


def _step(name: str, cls: type[Element], text: str) -> str | None:
    if re.fullmatch(rf"(- )?{re.escape(name)}: \{{.*\}}", text) or text == f"- {name}":
        return text if text.startswith("- ") else f"- {text}"
    if found := re.fullmatch(rf"(?:\w+ = )?({cls.__name__}\(.*\))", text):
        try:
            call = ast.parse(found[1], mode="eval").body
            assert isinstance(call, ast.Call)
            values = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}
        except (SyntaxError, ValueError):
            return None
        return f"- {name}{_settings(values)}"
    return None


def _settings(values: dict[str, Any]) -> str:
    return ": {" + ", ".join(f"{key}: {written(value)}" for key, value in values.items()) + "}" if values else ""


def in_python(name: str, cls: type[Element], step: str) -> str:
    """A step of a file as a program says it: `flow.track(max_age=3)`."""
    from ..config.text import parse

    [data] = parse(step).data
    values = data[name] if isinstance(data, dict) else None
    given = ", ".join(f"{key}={_python(value)}" for key, value in (values or {}).items())
    return f"flow.{name}({given})" if cls.in_files else f"flow.add({cls.__name__}({given}))"


def _python(value: Any) -> str:
    """A value as Python, with the quotes that formatters put."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_python(key)}: {_python(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_python, value)) + "]"
    return repr(value)


def written(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z…][\w./…-]*", value) and value not in ("true", "false", "null")
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(key)}: {written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value) if value is None or isinstance(value, bool | int | float) else type(value).__name__


def default(cls: type[Element], setting: Setting, anywhere: bool = False) -> str:
    """The default as a file would write it; `anywhere`: not what this machine makes of it."""
    if setting.required:
        return "must be given"
    if anywhere and setting.name in _computed(cls):
        return "by the machine"
    return written(setting.default)


def allowed(setting: Setting) -> str:
    """The limits in words; nothing where the type says it all."""
    return setting.allowed if setting.allowed != setting.type_name else ""


def _computed(cls: type[Element]) -> Iterator[str]:
    """Settings whose default is worked out when the element is made."""
    for field in fields(cls):  # type: ignore[arg-type]  # every Element subclass is made a dataclass
        if field.default_factory is not MISSING and field.default_factory not in (dict, list):
            yield field.name
