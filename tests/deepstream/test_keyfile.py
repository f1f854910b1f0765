"""GLib's key-file rules, each by hand, and all against the library itself where it is installed."""

from __future__ import annotations

import ctypes
import ctypes.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.core.errors import ConfigError
from millrace.deepstream import read
from millrace.deepstream.keyfile import GLib, KeyFile, parse_keyfile

NOTATION = GLib()


def values(file: KeyFile) -> dict[str, dict[str, str]]:
    return {name: {e.key: e.text for e in group.entries} for name, group in file.groups.items()}


def test_groups_keys_comments_and_blanks():
    file = parse_keyfile("\n# first\n  [a]  \n x = 1 \ny=\n[b]\nz=2 # no comment\n\t# one\n[a]\r\nx=3\r\nw= '4'\n")
    assert values(file) == {"a": {"x": "3", "y": "", "w": "'4'"}, "b": {"z": "2 # no comment"}}
    assert [(entry.text, entry.line) for entry in file.groups["a"].entries][:2] == [("1 ", 4), ("", 5)]
    assert file.groups["a"].get("x").line == 10
    assert file.groups["a"].get("none") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x=1\n", "f:1: a key stands before the first [group]"),
        ("[a]\nword\n", "f:2: 'word' is no [group], no key=value and no # comment"),
        ("[a]\n=1\n", "f:2: '=1' is no"),
        ("[]\n", "f:1: '[]' cannot be the name of a group"),
        ("[a[b]\n", "f:1: '[a[b]' cannot be"),
        ("[a]\nb[c=1\n", "f:2: 'b[c' cannot be the name of a key"),
        ("[a]\nb=\0\n", "f:2: is not text"),
    ],
)
def test_bad_lines_are_named(text, said):
    with pytest.raises(ConfigError) as error:
        parse_keyfile(text, "f")
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3), ("3 ## x", 3), ("-2", -2), ("+7", 7), ("007", 7), ("2147483647", 2147483647)]
)
def test_integers(text, value):
    assert NOTATION.integer(text) == value


@pytest.mark.parametrize("text", ["", "0x10", "3.7", "3a", "a", "2147483648", "9" * 5000, "٣"])
def test_integers_refused(text):
    with pytest.raises(ValueError):
        NOTATION.integer(text)


@pytest.mark.parametrize(
    ("text", "value"), [("0.5", 0.5), ("1e-3", 1e-3), (".5", 0.5), ("5.", 5.0), ("0x10", 16.0), ("inf", math.inf)]
)
def test_numbers(text, value):
    assert NOTATION.number(text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [("0.5 ", "blanks follow it"), ("0.5 # x", "a comment needs a line"), ("0,5", "is not"), ("", "is not")],
)
def test_numbers_refused(text, said):
    with pytest.raises(ValueError, match=said):
        NOTATION.number(text)


def test_booleans():
    assert [NOTATION.boolean(text) for text in ("1", "0", "true", "false", "1  ", "true\t")] == [1, 0, 1, 0, 1, 1]
    for text in ("TRUE", "1 # c", "yes", "", "01", "2"):
        with pytest.raises(ValueError):
            NOTATION.boolean(text)


def test_texts_and_lists():
    assert NOTATION.text(r"a\sb\n\t\\;") == "a b\n\t\\;"
    assert NOTATION.items("a;b c; d;;") == ["a", "b c", " d", ""]
    assert NOTATION.items(r"a\;b;c") == ["a;b", "c"]
    assert NOTATION.items("") == []
    for text in (r"\x", "a\\", r"\;"):
        with pytest.raises(ValueError):
            NOTATION.text(text)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "none.txt")
    path = tmp_path / "latin.txt"
    path.write_bytes(b"[a]\nx=\xe9\ny=1\n")
    file = read(path)
    assert file.notation.integer(file.groups["a"].get("y").text) == 1
    with pytest.raises(ValueError, match="UTF-8"):
        file.notation.text(file.groups["a"].get("x").text)


# --- against the library ---------------------------------------------------------------------------------------------


class Library:
    """GKeyFile through ctypes: what it reads, or None for an error."""

    def __init__(self, path: str) -> None:
        self.lib = ctypes.CDLL(path)
        for name in ("g_key_file_new", "g_key_file_get_groups", "g_key_file_get_keys", "g_key_file_get_value",
                     "g_key_file_get_string", "g_key_file_get_string_list"):  # fmt: skip
            getattr(self.lib, name).restype = ctypes.c_void_p
        self.lib.g_key_file_get_double.restype = ctypes.c_double
        self.lib.g_key_file_free.argtypes = self.lib.g_free.argtypes = self.lib.g_strfreev.argtypes = [ctypes.c_void_p]
        self.lib.g_error_free.argtypes = [ctypes.c_void_p]

    def strings(self, pointer: int | None) -> list[bytes] | None:
        if pointer is None:
            return None
        array = ctypes.cast(pointer, ctypes.POINTER(ctypes.c_char_p))
        out: list[bytes] = []
        while (text := array[len(out)]) is not None:
            out.append(text)
        self.lib.g_strfreev(pointer)
        return out

    def string(self, pointer: int | None) -> bytes | None:
        if pointer is None:
            return None
        text = ctypes.string_at(pointer)
        self.lib.g_free(pointer)
        return text

    def get(self, file: int, kind: str, group: bytes, key: bytes) -> Any:
        call = getattr(self.lib, f"g_key_file_get_{kind}")
        error = ctypes.c_void_p()
        args = (ctypes.c_void_p(file), group, key)
        found = call(*args, None, ctypes.byref(error)) if kind == "string_list" else call(*args, ctypes.byref(error))
        if kind == "string_list":
            found = self.strings(found)
        elif kind in ("string", "value"):
            found = self.string(found)
        if error:
            self.lib.g_error_free(error)
            return None
        return found

    def load(self, text: bytes) -> dict[bytes, dict[bytes, dict[str, Any]]] | None:
        file = self.lib.g_key_file_new()
        error = ctypes.c_void_p()
        try:
            data = ctypes.c_char_p(text)
            if not self.lib.g_key_file_load_from_data(
                ctypes.c_void_p(file), data, ctypes.c_size_t(len(text)), 0, ctypes.byref(error)
            ):
                self.lib.g_error_free(error)
                return None
            kinds = ("value", "string", "string_list", "integer", "double", "boolean")
            return {
                group: {
                    key: {kind: self.get(file, kind, group, key) for kind in kinds}
                    for key in self.strings(
                        self.lib.g_key_file_get_keys(ctypes.c_void_p(file), group, None, None)
                    ) or []
                }
                for group in self.strings(self.lib.g_key_file_get_groups(ctypes.c_void_p(file), None)) or []
            }  # fmt: skip
        finally:
            self.lib.g_key_file_free(file)


@pytest.fixture(scope="module")
def library() -> Library:
    path = ctypes.util.find_library("glib-2.0") or "libglib-2.0.so.0"
    try:
        return Library(path)
    except OSError:
        pytest.skip("libglib-2.0 is not installed")


def ours(text: str) -> dict[bytes, dict[bytes, dict[str, Any]]] | None:
    """What `Library.load` gives, by our reader."""

    def call(read: Callable[[str], Any], value: str) -> Any:
        try:
            return read(value)
        except ValueError:
            return None

    def raw(value: str | None) -> bytes | None:
        return None if value is None else value.encode("utf-8", "surrogateescape")

    def items(value: str) -> list[bytes]:
        return [part.encode() for part in NOTATION.items(value)]

    try:
        file = parse_keyfile(text)
    except ConfigError:
        return None
    return {
        name.encode("utf-8", "surrogateescape"): {
            key.encode("utf-8", "surrogateescape"): {
                "value": raw(value),
                "string": raw(call(NOTATION.text, value)),
                "string_list": call(items, value),
                "integer": call(NOTATION.integer, value),
                "double": call(NOTATION.number, value),
                "boolean": call(NOTATION.boolean, value),
            }
            for key, value in keys.items()
        }
        for name, keys in values(file).items()
    }


def same(mine: Any, theirs: Any) -> bool:
    """Equal, with NaN equal to itself."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        return mine.keys() == theirs.keys() and all(same(mine[key], theirs[key]) for key in mine)
    return bool(mine == theirs) or (mine != mine and theirs != theirs)


LETTERS = st.text(alphabet="ab1.;=[]# \t\r\v\f\\snx-+eé", max_size=8)
VALUES = st.one_of(
    LETTERS,
    st.from_regex(r"[ ]?[+-]?[0-9]{0,12}[.]?[0-9]{0,3}(e[0-9])?( ?#?x?)?", fullmatch=True),
    st.from_regex(r"0x[0-9a-f]{0,4}\.?[0-9a-f]{0,2}(p[0-9])?", fullmatch=True),
    st.sampled_from(["true", "false", "1 ", "inf", "nan", "infinity", r"a\;b;c", "TRUE", "-inf", "1e999", "0x1p9999"]),
)
LINES = st.one_of(
    st.builds("[{}]{}".format, st.text(alphabet="ab[ é", max_size=3), st.sampled_from(["", " ", "\t", "x", "\r"])),
    st.builds("{}={}".format, st.text(alphabet="ab [é]", max_size=4), VALUES),
    st.builds("k={}".format, VALUES),
    LETTERS,
)


@settings(max_examples=250, deadline=None)
@given(lines=st.lists(LINES, max_size=6))
def test_agrees_with_glib(library: Library, lines: list[str]):
    text = "[a]\n" + "\n".join(lines)
    theirs = library.load(text.encode())
    mine = ours(text)
    if theirs is not None:  # a translation, `key[de]`, is for GLib's users, not for DeepStream's
        assert mine is not None, text
        mine = {group: {key: v for key, v in keys.items() if b"[" not in key} for group, keys in mine.items()}
        theirs = {group: {key: v for key, v in keys.items() if b"[" not in key} for group, keys in theirs.items()}
    assert same(mine, theirs), (text, mine, theirs)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=60))
def test_bytes_never_crash_the_reader(data: bytes):
    mine = ours("[a]\nk=" + data.decode("utf-8", "surrogateescape"))
    assert mine is None or isinstance(mine, dict)


def test_a_byte_order_mark_is_passed_over():
    assert values(parse_keyfile("\ufeff[a]\nk=1")) == {"a": {"k": "1"}}


def test_agrees_with_glib_on_ends(library: Library):
    for text in ("[a]\nk=1\r", "[a]\n\n\r\nk=1\r\n", "[a]\n k =\v1\n", "[a]\nk=1\x0c\n", ""):
        assert same(ours(text), library.load(text.encode())), repr(text)
