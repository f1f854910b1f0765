"""YAML text with lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from millrace.config.text import parse, read
from millrace.core.errors import ConfigError


def value(text: str) -> Any:
    return parse(f"x: {text}").data["x"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1), ("-7", -7), ("0x1F", 31), ("1.5", 1.5), ("1e-3", 1e-3), (".5", 0.5), ("true", True), ("null", None),
        ("", None), ("on", "on"), ("yes", "yes"), ("12:30", "12:30"), ("2026-01-01", "2026-01-01"), ("40ms", "40ms"),
        ("'1'", "1"), ('"true"', "true"), ("[1, a]", [1, "a"]),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_schema(text: str, expected: object) -> None:
    assert value(text) == expected
    assert type(value(text)) is type(expected)


def test_keys_are_texts() -> None:
    assert parse("on: {1: 2}").data == {"on": {"1": 2}}


def test_every_value_knows_its_line() -> None:
    document = parse("a: 1\nb:\n  - x\n  - y: 2\n", "p.yaml")
    assert str(document.error(("b", 1, "y"), "no")) == "p.yaml:4: no"
    assert str(document.error(("b", 1, "other"), "no")) == "p.yaml:4: no"
    assert str(document.error(("nowhere",), "no")) == "p.yaml:1: no"


def test_variables_of_the_environment() -> None:
    data = parse("a: ${env:N}\nb: '${env:N}'\nc: rtsp://${env:U}/x", environment={"N": "5", "U": "host"}).data
    assert data == {"a": 5, "b": "5", "c": "rtsp://host/x"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", r"f:3: 'a' stands twice \(first in line 1\)"),
        ("a: ${env:NOPE}", r"f:1: .*no variable 'NOPE'"),
        ("a: ${file:NOPE}", r"f:1: .*only \$\{env:NAME\} is replaced"),
        ("a: [1", r"f:\d: not valid YAML"),
        ("a: b: c", r"f:1: not valid YAML"),
        ("a: 1\nb: !!python/object:os.system x", r"f:2: the tag"),
        ("a: &x [*x]", r"f:1: an alias that contains itself"),
        ("? [1]\n: 2", r"f:1: a key must be a plain word"),
        ("a: 1\n---\nb: 2", r"f:\d: not valid YAML: but found another document"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(text, "f", environment={})


def test_a_bomb_of_aliases_is_refused() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    with pytest.raises(ConfigError, match="more than 100000 values"):
        parse(bomb)


def test_a_merge_key_fills_what_is_missing() -> None:
    assert parse("base: &b {x: 1, y: 2}\nc: {<<: *b, y: 3}").data["c"] == {"x": 1, "y": 3}


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nope\.yaml: cannot be read: No such file"):
        read(tmp_path / "nope.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        read(tmp_path / "b.yaml")


@pytest.mark.parametrize("text", ["pipeline: " + "[" * 3000, "pipeline: " + "[" * 400 + "]" * 400, "a: {" * 500])
def test_what_is_nested_too_deeply_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"<text>:\d+: .*(nested too deeply|not valid YAML)"):
        parse(text)
