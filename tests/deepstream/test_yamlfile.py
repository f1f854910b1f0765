"""DeepStream's YAML files give the same groups and keys as its key files."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.core.errors import ConfigError
from millrace.deepstream import Entry, KeyFile, read
from millrace.deepstream.yamlfile import Yaml, parse_yamlfile

NOTATION = Yaml()


def values(file: KeyFile) -> dict[str, dict[str, str]]:
    return {name: {e.key: e.text for e in group.entries} for name, group in file.groups.items()}


def test_groups_lists_and_nesting():
    text = """%YAML:1.0
property:   # a comment
  onnx-file: model.onnx  # another
  offsets: 1.0;2.0;3.0
  unique: [1, "b c", [2, 3]]
  again: 1
  again: 2
empty:
class-attrs-1: {topk: 20, inner: {x: 0x10}}
source-list:
- uri: a
- uri: b
"""
    file = parse_yamlfile(text)
    assert values(file) == {
        "property": {"onnx-file": "model.onnx", "offsets": "1.0;2.0;3.0", "unique": "1;b c;2;3", "again": "2"},
        "": {"empty": ""},
        "class-attrs-1": {"topk": "20"},
        "class-attrs-1.inner": {"x": "0x10"},
        "source-list.0": {"uri": "a"},
        "source-list.1": {"uri": "b"},
    }
    assert file.groups["property"].get("unique") == Entry("unique", "1;b c;2;3", 5, ("1", "b c", "2;3"))
    assert file.groups["property"].get("again").line == 7
    assert file.groups["source-list.1"].line == 12


@pytest.mark.parametrize(("text", "value"), [("3", 3), ("-3", -3), ("0x1F", 31), ("010", 8), ("0", 0)])
def test_integers(text, value):
    assert NOTATION.integer(text) == value


@pytest.mark.parametrize("text", ["08", "3.0", "true", "", "3 x", "9" * 50])
def test_integers_refused(text):
    with pytest.raises(ValueError):
        NOTATION.integer(text)


def test_other_values():
    assert NOTATION.number("0.5 ") == 0.5 and NOTATION.number("-.inf") == float("-inf")
    assert [NOTATION.boolean(text) for text in ("1", "0", "Yes", "off", "TRUE")] == [1, 0, 1, 0, 1]
    assert NOTATION.items("1; 2;3;") == ["1", "2", "3"] and NOTATION.items("") == []
    for call, text in ((NOTATION.number, "1,5"), (NOTATION.number, "0x1p3"), (NOTATION.boolean, "2")):
        with pytest.raises(ValueError):
            call(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1\n", "f:2: not valid YAML"),
        ("- 1\n", "f:1: there are no groups"),
        ("a:\n  ? [1]\n  : 2\n", "f:2: a key must be a plain word"),
        ("a:\n  b: [1, {x: 1}]\n", "f:2: mappings and other values"),
        ("a: &x\n  b: *x\n", "f:1: nested too deeply"),
        ("a: " + "[" * 3000, "f:1: not valid YAML"),
    ],
)
def test_bad_files_are_named(text, said):
    with pytest.raises(ConfigError) as error:
        parse_yamlfile(text, "f")
    assert str(error.value).startswith(said)


def test_a_small_file_cannot_be_huge():
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    bomb += "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    with pytest.raises(ConfigError, match="more than"):
        parse_yamlfile(bomb)


def test_the_suffix_chooses(tmp_path: Path):
    for name, text in (("a.yml", "property:\n  x: 1\n"), ("a.YAML", "[property]\nx=1\n"), ("a", "[property]\nx=1\n")):
        (tmp_path / name).write_text(text)
        assert values(read(tmp_path / name)) == {"property": {"x": "1"}}


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet="ab:- \n#[]{}\"'&*!|>%?,0.5;\t", max_size=60))
def test_any_text_gives_groups_or_an_error(text: str):
    try:
        file = parse_yamlfile(text)
    except ConfigError:
        return
    for group in file.groups.values():
        for entry in group.entries:
            assert isinstance(entry.text, str) and entry.line >= 1


def test_many_comments_before_the_first_group_take_no_time():
    began = time.perf_counter()
    parse_yamlfile("# a line of a licence\n\n" * 2000 + "group:\n  key: 1\n")
    assert time.perf_counter() - began < 5
