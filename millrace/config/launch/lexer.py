"""A launch line → tokens, by the rules of GStreamer's own lexer (gst/parse/parse.l): the longest match counts.

Beyond them, what a shell would have taken away may stand: single quotes around values, quotes around caps and around
a whole assignment, a backslash at the end of a line, comments from `#` on.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from .text import LaunchText

Kind = Literal["element", "assignment", "preset", "reference", "pad", "bin", "link", "url", "(", ")", ",", "end"]

_BLANK = r"[ \t\r\n\f\v]"
_IDENTIFIER = r"[A-Za-z0-9_][A-Za-z0-9_%:-]*"
_MIME = r"[A-Za-z0-9-]+/[A-Za-z0-9.+-]+"
_SKIP = re.compile(rf"(?:{_BLANK}+|\\(?={_BLANK})|\\$|(?<!\S)#[^\n]*)+")
_ASSIGNED = re.compile(rf"(@?{_IDENTIFIER}){_BLANK}*={_BLANK}*")
_VALUE = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|(?:\\.|[^\s])+', re.DOTALL)
_REFERENCE = re.compile(rf"({_IDENTIFIER})\.({_IDENTIFIER})?")
_PAD = re.compile(rf"\.({_IDENTIFIER})")
_BIN = re.compile(rf"({_IDENTIFIER}){_BLANK}*\.{_BLANK}*\(")
_ELEMENT = re.compile(_IDENTIFIER)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:\\.|[^\s])*|\.{0,2}/(?:\\.|[^\s])+", re.DOTALL)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'', re.DOTALL)
_CAPS = re.compile(rf"{_MIME}{_BLANK}*(?:[,;(!:\\]|$)|ANY{_BLANK}*!|{_MIME}{_BLANK}+[!:]")
_MIME_START = re.compile(_MIME)


class Token(NamedTuple):
    """`text` is the name, the caps or the address; `value` what is assigned, quotes and escapes taken away."""

    kind: Kind
    at: int
    text: str = ""
    value: str = ""
    value_at: int = 0
    literal: bool = False  # in single quotes: a shell puts nothing in


def tokens(line: LaunchText) -> list[Token]:
    """All tokens, and one of the kind "end". Raises LaunchError."""
    out: list[Token] = []
    text, at = line.text, line.start
    while True:
        if skipped := _SKIP.match(text, at):
            at = skipped.end()
        if at >= len(text):
            out.append(Token("end", len(text)))
            return out
        if text[at] in "!:" and not (text[at] == ":" and out and out[-1].kind == "end"):
            token, at = _link(line, at)
        else:
            token, at = _token(line, at)
        out.append(token)


def _token(line: LaunchText, at: int) -> tuple[Token, int]:
    text = line.text
    if text[at] in "(),":
        return Token(text[at], at), at + 1  # type: ignore[arg-type]  # it is one of the kinds
    if text[at] in "\"'":
        return _quoted(line, at)
    if match := _ASSIGNED.match(text, at):
        return _assignment(line, match)
    found: list[tuple[int, Token]] = []
    if match := _BIN.match(text, at):
        found.append((match.end(), Token("bin", at, match[1])))
    if match := _REFERENCE.match(text, at):
        found.append((match.end(), Token("reference", at, match[1], match[2] or "", match.start(2))))
    if match := _PAD.match(text, at):
        found.append((match.end(), Token("pad", at, match[1])))
    if match := _ELEMENT.match(text, at):
        found.append((match.end(), Token("element", at, match[0])))
    if match := _URL.match(text, at):
        found.append((match.end(), Token("url", at, unescape(match[0]))))
    if not found:
        hint = "; that belongs to the shell" if text[at] in "|&><" else ""
        raise line.error(at, f"{text[at]!r} is not expected here: an element, a property=value or `!` is{hint}")
    end, token = max(found, key=lambda pair: pair[0])
    if token.kind == "element" and (mime := _MIME_START.match(text, at)) and mime.end() > end:
        raise line.error(at, f"caps ({mime[0]}) stand between two elements, behind a `!`: a ! {mime[0]} ! b")
    return token, end


def _assignment(line: LaunchText, match: re.Match[str]) -> tuple[Token, int]:
    value = _VALUE.match(line.text, match.end())
    if value is None:
        raise line.error(match.start(), f"{match[1]}= has no value")
    text = value[0]
    name, kind = (match[1][1:], "preset") if match[1].startswith("@") else (match[1], "assignment")
    if text[0] in "\"'" and (len(text) == 1 or text[-1] != text[0]) and text.count(text[0]) == 1:
        raise line.error(value.start(), f"the quote {text[0]} of {name} is not closed")
    literal = text[0] == "'"
    token = Token(kind, match.start(), name, unquote(text), value.start(), literal)  # type: ignore[arg-type]
    return token, value.end()


def _quoted(line: LaunchText, at: int) -> tuple[Token, int]:
    """A whole word in quotes, as it stands in a shell: `"location=a b.mp4"`."""
    match = _QUOTED.match(line.text, at)
    if match is None:
        raise line.error(at, f"the quote {line.text[at]} is not closed")
    inner = match[0][1:-1]
    if assigned := _ASSIGNED.match(inner):
        value = inner[assigned.end() :]
        token = Token("assignment", at, assigned[1], unquote(value), at + 1 + assigned.end(), match[0][0] == "'")
        return token, match.end()
    if inner.strip() in ("!", "(", ")"):
        kind: Kind = "link" if inner.strip() == "!" else inner.strip()  # type: ignore[assignment]
        return Token(kind, at), match.end()
    if _MIME_START.match(inner.strip()):
        raise line.error(at, "caps stand between two elements, behind a `!`: a ! 'video/x-raw, width=640' ! b")
    if (mark := _ELEMENT.fullmatch(inner)) is not None:
        return Token("element", at, mark[0]), match.end()
    raise line.error(at, f"{match[0][:40]} is neither caps nor property=value")


def _link(line: LaunchText, at: int) -> tuple[Token, int]:
    """`!`, or `! caps !`: the caps are the token's text."""
    text = line.text
    begin = at + 1
    if skipped := _SKIP.match(text, begin):
        begin = skipped.end()
    if begin < len(text) and text[begin] in "\"'":
        match = _QUOTED.match(text, begin)
        if match is None:
            raise line.error(begin, f"the quote {text[begin]} is not closed")
        inner = match[0][1:-1].strip()
        if not (_MIME_START.match(inner) or inner == "ANY"):
            return Token("link", at, "", ":" if text[at] == ":" else ""), at + 1
        end = match.end()
        if skipped := _SKIP.match(text, end):
            end = skipped.end()
        if text[end : end + 1] not in ("!", ":"):
            raise line.error(end, f"a `!` is missing behind the caps {inner[:40]}")
        return Token("link", at, inner, "", begin + 1), end + 1
    if not _CAPS.match(text, begin):
        return Token("link", at), at + 1
    end = begin
    while end < len(text) and text[end] != "!":  # what a quote holds belongs to the caps
        quoted = _QUOTED.match(text, end) if text[end] in "\"'" else None
        end = quoted.end() if quoted else end + 1
    if end >= len(text):
        raise line.error(begin, f"behind the caps {text[begin:][:40].strip()} there must be a `!` and an element")
    return Token("link", at, unescape(text[begin:end].strip()), "", begin), end + 1


def unescape(text: str) -> str:
    """The text without its backslashes, which stay inside of double quotes."""
    out, quoted, letters = [], False, iter(text)
    for letter in letters:
        if letter == "\\" and not quoted:
            letter = next(letters, "")
        elif letter == '"':
            quoted = not quoted
        out.append(letter)
    return "".join(out)


def unquote(text: str) -> str:
    """A value without the quotes around it and without its escapes."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        if text[0] == "'":
            return text[1:-1]
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return unescape(text)
