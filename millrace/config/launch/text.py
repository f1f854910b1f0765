"""A launch line as it is written: places in it, errors that show them, and what belongs to the shell around it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...core.errors import ConfigError, did_you_mean, redact

SHOWN = 60  # characters of the line around an error
_WORD = re.compile(r"\s*(\S+)")
_ENVIRONMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=\S*")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_SECRET = re.compile(
    r"(?i)(://(?=[^/@\s]+@)|\buser-pw\s*=\s*|(?<=[?&;])[\w.-]*(?:password|passwd|secret|token|key|sas|sig|signature)=)"
    r"([^/@&;\s]+)"
)
_COMMANDS = ("gst-launch-1.0", "gst-launch", "gst-launch-1.0.exe")
OPTIONS = {  # of gst-launch-1.0, and what becomes of them
    "-e": "files are finished whenever a run ends", "--eos-on-shutdown": "files are finished whenever a run ends",
    "-v": "`--verbose` of millrace says more", "--verbose": "`--verbose` of millrace says more",
    "-q": "`--quiet` of millrace says less", "--quiet": "`--quiet` of millrace says less",
    "-m": "messages are those of millrace", "--messages": "messages are those of millrace",
    "-t": "tags are not shown", "--tags": "tags are not shown",
    "-f": "faults are caught by Python", "--no-fault": "faults are caught by Python",
    "--no-position": "progress is that of millrace", "-p": "progress is that of millrace",
    "-T": "allocations are not traced", "--trace": "allocations are not traced",
}  # fmt: skip


class LaunchError(ConfigError):
    """What is wrong in a launch line; `column` counts from 1."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.column = column


@dataclass(slots=True)
class LaunchText:
    """The text of a line. `start`: where the description of the pipeline begins, behind `gst-launch-1.0` and options.

    `options`: those of gst-launch with their columns. `environment`: variables that stand before the command, over
    those of the process.
    """

    text: str
    start: int = 0
    options: list[tuple[str, int]] = field(default_factory=list)
    environment: Mapping[str, str] = field(default_factory=dict)

    def error(self, at: int, message: str) -> LaunchError:
        """The error with column (and line, where there are several) and the part of the line it is about."""
        at = max(0, min(at, len(self.text)))
        begin = self.text.rfind("\n", 0, at) + 1
        end = self.text.find("\n", at)
        end = len(self.text) if end < 0 else end
        first = max(begin, at - SHOWN // 3)
        part = _masked(self.text)[first : min(end, first + SHOWN)].expandtabs(1)
        dots = "… " if first > begin else ""
        line = f"line {self.text.count(chr(10), 0, at) + 1}, " if "\n" in self.text else ""
        pointer = " " * (len(dots) + at - first) + "^"
        column = at - begin + 1
        return LaunchError(redact(f"launch {line}column {column}: {message}\n  {dots}{part}\n  {pointer}"), column)

    def column(self, at: int) -> int:
        """The column of a place, from 1."""
        return at - self.text.rfind("\n", 0, at)

    def expand(self, value: str) -> str:
        """What a shell would put in: `$NAME`, `${NAME}` and a leading `~/`. A variable that is not set stays."""

        def variable(match: re.Match[str]) -> str:
            return self.environment.get(match[1] or match[2], match[0])

        value = _VARIABLE.sub(variable, value) if "$" in value else value
        return os.path.expanduser(value) if value.startswith("~/") else value


def _masked(text: str) -> str:
    """The text with stars for passwords, each letter in its place."""
    return _SECRET.sub(lambda match: match[1] + "*" * len(match[2]), text)


def take_command(text: str, environment: Mapping[str, str] | None = None) -> LaunchText:
    """Read what stands before the pipeline: `$ NAME=value gst-launch-1.0 -e -v`. Raises LaunchError for an option."""
    given: dict[str, str] = {}
    at, command = 0, False
    outer = os.environ if environment is None else environment
    line = LaunchText(text)
    if odd := re.search("[\0\ud800-\udfff]", text):
        raise line.error(odd.start(), f"{odd[0]!r} is no letter of a line")
    while match := _WORD.match(text, at):
        word = match[1]
        if not command and word in ("$", "sudo", "time"):
            pass
        elif not command and _ENVIRONMENT.fullmatch(word) and any(name in text for name in _COMMANDS):
            name, _, value = word.partition("=")
            given[name] = value.strip("\"'")
        elif not command and os.path.basename(word) in _COMMANDS:
            command = True
        elif word.startswith("-"):
            if word not in OPTIONS and not word.startswith("--gst-"):
                near = did_you_mean(word, OPTIONS)
                raise line.error(match.start(1), f"gst-launch-1.0 has no option {word!r}.{near}")
            line.options.append((word, line.column(match.start(1))))
        else:
            break
        at = match.end()
    line.start = at
    line.environment = {**outer, **given}
    return line
