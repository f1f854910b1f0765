"""Protobuf's text format, compared with protobuf's own reader where it is installed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.core.errors import ConfigError
from millrace.deepstream.textfile import Text, parse_textfile

NOTATION = Text()


def groups(text: str) -> dict[str, dict[str, str]]:
    return {name: {e.key: e.text for e in group.entries} for name, group in parse_textfile(text).groups.items()}


def test_messages_lists_and_comments():
    text = """# a comment
a { x: 1, y: "two # words" 'more' ; b: < z: [1, 2.5, NAME] > }
a: { x: 3 }
list [ { n: "p" }, { n: "q" } ]
empty {}
"""
    file = parse_textfile(text)
    assert groups(text) == {
        "a": {"x": "1", "y": '"two # wordsmore"'},
        "a.b": {"z": "1, 2.5, NAME"},
        "a#2": {"x": "3"},
        "list": {"n": '"p"'},
        "list#2": {"n": '"q"'},
        "empty": {},
    }
    assert file.groups["a.b"].get("z").items == ("1", "2.5", "NAME")
    assert file.groups["list#2"].line == 4


def test_values():
    assert [NOTATION.integer(text) for text in ("7", "-7", "- 7", "0x1f", "010")] == [7, -7, -7, 31, 8]
    assert [NOTATION.number(text) for text in ("1", ".5", "-2.5e3", "1.5f", "0x10")] == [1, 0.5, -2500, 1.5, 16]
    assert NOTATION.number("-inf") == -math.inf and math.isnan(NOTATION.number("nan"))
    assert [NOTATION.boolean(text) for text in ("true", "t", "1", "False", "0")] == [1, 1, 1, 0, 0]
    assert NOTATION.text(r'"a\n\"\x41\101\\"') == 'a\n"AA\\'
    for call, text in ((NOTATION.integer, "1.0"), (NOTATION.integer, "9" * 60), (NOTATION.number, "x"),
                       (NOTATION.boolean, "yes"), (NOTATION.text, "word")):  # fmt: skip
        with pytest.raises(ValueError):
            call(text)


def test_placeholders(monkeypatch):
    monkeypatch.setenv("WINDOW", "32")
    file = parse_textfile("a { dims: [3, ${WINDOW}, ${OTHER_ONE}] }")
    assert file.groups["a"].get("dims").items == ("3", "32", "${OTHER_ONE}")
    with pytest.raises(ValueError, match="placeholder"):
        NOTATION.integer("${OTHER_ONE}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a {\n x: 1\n", "f:3: the message 'a' is not closed with '}'"),
        ("a\n", "f:2: 'a' is followed by neither ':' nor a message"),
        ("a: }", "f:1: '}' stands where a value is expected"),
        ('\n\na: "x\n', "f:3: a text without its closing quote"),
        ("a: [1 2]", "f:1: ',' or ']' is expected in the list 'a', not '2'"),
        ("a: [1,", "f:1: the list 'a' is not closed"),
        ("a: @", "f:1: '@' is not protobuf's text format"),
        ("} a: 1", "f:1: '}' stands where a field's name is expected"),
        ("a {" * 60, "nested too deeply"),
        ("a: 1abc", "'1abc' is not protobuf's text format"),
    ],
)
def test_bad_texts_are_named(text, said):
    with pytest.raises(ConfigError) as error:
        parse_textfile(text, "f")
    assert said in str(error.value)


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet="ab{}<>[]:,;#\"'\\ \n0.5-ex$", max_size=60))
def test_any_text_gives_groups_or_an_error(text: str):
    try:
        file = parse_textfile(text, "f")
    except ConfigError as error:
        assert str(error).startswith("f:")
    else:
        assert all(entry.line >= 1 for group in file.groups.values() for entry in group.entries)


def test_agrees_with_protobuf():
    """A message with a field of each type, read by both."""
    text_format = pytest.importorskip("google.protobuf.text_format")
    from google.protobuf import descriptor_pb2

    text = 'name: "a\\tb" dependency: ["x", \'y\'] public_dependency: [1, 0x10] message_type { name: "M" }'
    theirs = text_format.Parse(text, descriptor_pb2.FileDescriptorProto())
    file = parse_textfile(text)
    top = file.groups[""]
    assert NOTATION.text(top.get("name").text) == theirs.name
    assert [NOTATION.text(item) for item in top.get("dependency").items] == list(theirs.dependency)
    assert [NOTATION.integer(item) for item in top.get("public_dependency").items] == list(theirs.public_dependency)
    assert NOTATION.text(file.groups["message_type"].get("name").text) == theirs.message_type[0].name


def test_blanks_that_are_none_of_the_format_are_told():
    with pytest.raises(ConfigError, match=r"<text>:2: '.x85' is not protobuf's text format"):
        parse_textfile("a: 1\n\x85 b: 2")
