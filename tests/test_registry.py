"""Elements by name and their settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from millrace import registry
from millrace.core.element import Element, Seconds, setting, state
from millrace.core.errors import ConfigError, SettingError


class Sample(Element):
    """An element with a setting of every sort."""

    path: str = setting(help="where to")
    level: float = setting(default=0.5, help="how much", minimum=0, maximum=1, live=True)
    wait: Seconds = setting(default=0.04, help="how long")
    most: Seconds | None = setting(default=None, help="how long at most")
    mode: str = setting(default="fast", help="how", choices=("fast", "exact"))
    kind: Literal["a", "b"] = setting(default="a", help="which")
    points: list[tuple[float, float]] = setting(factory=list, help="where")
    seen: dict[str, int] = state(dict)


def checked(**settings: Any) -> dict[str, Any]:
    return registry.check("sample", settings, Sample)


def test_files_are_the_registration() -> None:
    assert {"limit", "function", "pull", "discard"} <= set(registry.names())
    assert registry.get("limit").__name__ == "Limit"
    assert not any(name.startswith("_") for name in registry.names())


def test_a_wrong_name_is_answered_with_the_nearest_and_the_list() -> None:
    with pytest.raises(ConfigError, match=r"no element 'limt'\. Did you mean 'limit'\? There are: .*discard"):
        registry.get("limt")


def test_a_class_can_be_named_by_its_module() -> None:
    assert registry.get("millrace.elements.limit:Limit") is registry.get("limit")
    with pytest.raises(ConfigError, match="no module 'nowhere_at_all'"):
        registry.get("nowhere_at_all:Thing")
    with pytest.raises(ConfigError, match="has no 'Limits'"):
        registry.get("millrace.elements.limit:Limits")
    with pytest.raises(ConfigError, match="is not an Element"):
        registry.get("millrace.media:Frame")


def test_settings_are_declared_fields_without_state() -> None:
    found = {setting.name: setting for setting in registry.settings_of(Sample)}
    assert list(found) == ["path", "level", "wait", "most", "mode", "kind", "points"]
    assert found["path"].required and not found["level"].required
    assert found["level"].allowed == "0 to 1" and found["level"].live and found["points"].default == []
    assert [found[name].type_name for name in ("path", "wait", "most")] == ["str", "seconds", "seconds | None"]
    assert found["points"].type_name == "list[tuple[float, float]]"


@pytest.mark.parametrize(
    ("text", "seconds"), [("40ms", 0.04), ("2s", 2.0), ("1.5m", 90.0), ("1h", 3600.0), ("3", 3.0), (7, 7.0)]
)
def test_times_may_carry_a_unit(text: object, seconds: float) -> None:
    assert checked(wait=text, most=text) == {"wait": pytest.approx(seconds), "most": pytest.approx(seconds)}


def test_values_are_converted_to_the_declared_type() -> None:
    assert checked(level="0.25", points=[[1, 2]]) == {"level": 0.25, "points": [(1.0, 2.0)]}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"level": 1.5}, r"sample: level=1.5 is not allowed: 0 to 1"),
        ({"level": float("nan")}, r"0 to 1"),
        ({"level": True}, r"level=True is not allowed"),
        ({"wait": "40 parsecs"}, r"a time in seconds, or with a unit: 40ms"),
        ({"mode": "fats"}, r"one of fast, exact\. Did you mean 'fast'\?"),
        ({"kind": "c"}, r"kind='c' is not allowed"),
        ({"points": [[1]]}, r"points=\[\[1\]\] is not allowed: .*\(at 0\.1\)"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_what_is(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message) as caught:
        checked(**settings)
    assert caught.value.setting in settings


def test_an_unknown_setting_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"sample has no setting 'levle'\. Did you mean 'level'\? It has: path, level"
    ):
        checked(levle=1)


def test_create_asks_for_what_must_be_given() -> None:
    with pytest.raises(ConfigError, match=r"limit: count must be given \(frames of each stream that pass\)"):
        registry.create("limit")
    assert registry.create("limit", count="3").count == 3  # type: ignore[attr-defined]


def test_a_fault_in_somebodys_module_is_told_as_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "their_faulty.py").write_text("import math\n\nHALF = math.pie\nclass Theirs: ...\n")
    (tmp_path / "their_other.py").write_text("from math import pie\n")
    for name, said in [
        ("their_faulty:Theirs", r"AttributeError: module 'math' has no attribute 'pie' \(their_faulty\.py, line 3\)"),
        ("their_other:Theirs", r"ImportError: cannot import name 'pie' from 'math' .* \(their_other\.py, line 1\)"),
    ]:
        with pytest.raises(ConfigError, match=f"element 'theirs' cannot be loaded: {said}"):
            registry._load("theirs", name)
