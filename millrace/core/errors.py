"""Our exceptions:

* MillraceError
  x ConfigError (ValueError)      a setting, file or graph is wrong; nothing has started         exit code 2
    + SettingError                one element's setting: names it, the value, what is allowed
    + MissingExtraError           a library is needed that a pip extra installs
  x SourceError                   a stream cannot be opened or read                              exit code 3
  x OutputError (OSError)         a file or pipe cannot be written                               exit code 1
  x StreamError                   this stream cannot go on here; the others can                  exit code 3
  x ElementError                  an element failed; names it and the stream                     exit code 1
  x Closed, Cancelled             a channel has ended: used between threads, never shown to a user
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_SECRETS = re.compile(r"(?i)(?<=[?&;])([\w.-]*(?:password|passwd|secret|token|key|sas|sig|signature)=)[^&;\s'\"]+")

_PROPERTIES = re.compile(  # of GStreamer's elements, which stand by themselves
    r"(?i)(?<![\w-])((?:user-pw|proxy-pw|password|passwd|access-token)\s*=\s*)(?!\*)(\"[^\"]*\"|'[^']*'|[^\s!,;)'\"]+)"
)


def redact(text: str) -> str:
    """The text without user names and passwords of URLs, without secret options in them and properties; for a log."""
    return _PROPERTIES.sub(r"\1***", _SECRETS.sub(r"\1***", _CREDENTIALS.sub("***@", text)))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'confidence'?`, or nothing when no known word is near."""
    from difflib import get_close_matches  # only an error needs it

    names = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), list(names), n=1, cutoff=0.6)
    return f" Did you mean {names[near[0]]!r}?" if near else ""


def said(error: BaseException) -> str:
    """An error as a sentence for a log: ours are sentences already, of all others the type comes first."""
    kind = "" if isinstance(error, MillraceError) else f"{type(error).__name__}: "
    return f"{kind}{redact(str(error))}"


class MillraceError(Exception):
    """The root of all errors that millrace raises on purpose. Their texts are made once: they can be pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _revived, (type(self), self.args), self.__dict__


def _revived(kind: type[MillraceError], args: tuple[object, ...]) -> MillraceError:
    """The error as it was, without `__init__`, which would make its text of other arguments."""
    error = kind.__new__(kind, *args)
    error.args = args
    return error


class ConfigError(MillraceError, ValueError):
    """What was asked for cannot be built."""


class SettingError(ConfigError):
    """A setting has a value that is not allowed."""

    def __init__(self, element: str, setting: str, value: object, allowed: str) -> None:
        super().__init__(redact(f"{element}: {setting}={value!r} is not allowed: {allowed}"))
        self.setting = setting


class MissingExtraError(ConfigError):
    """A library that belongs to an extra is not installed."""

    def __init__(self, what: str, library: str, extra: str) -> None:
        super().__init__(f"{what} needs {library}: pip install 'millrace[{extra}]'")


class SourceError(MillraceError):
    """A source cannot be opened or read."""

    def __init__(self, stream: str, message: str) -> None:
        super().__init__(f"{stream}: {redact(message)}")
        self.stream = stream


class OutputError(MillraceError, OSError):
    """A file or pipe cannot be written: no room, no right, nobody reads. `errno` and `filename` are the system's."""

    def __init__(self, path: str, error: OSError) -> None:
        OSError.__init__(self, error.errno, error.strerror or str(error), path)

    def __reduce__(self) -> tuple[Any, ...]:
        return OutputError, (self.filename, OSError(self.errno, self.strerror))

    def __str__(self) -> str:
        return redact(f"cannot write {self.filename}: {self.strerror}")


class StreamError(MillraceError):
    """One stream cannot go on at this element; raise it from `start_stream` or `process`.

    The node ends that stream here (`end_stream`, then StreamEnd downstream); other streams go on.
    """

    def __init__(self, stream: str, message: str) -> None:
        super().__init__(f"{stream}: {redact(message)}")
        self.stream = stream


class ElementError(MillraceError):
    """An element failed and with it the pipeline."""

    def __init__(self, element: str, error: BaseException, stream: str | None = None) -> None:
        where = f"{element} (stream {stream})" if stream else element
        super().__init__(f"{where}: {said(error)}")
        self.__cause__ = error
        self.element = element
        self.stream = stream


class Closed(MillraceError):
    """Every sender of a channel is gone and the channel is empty."""


class Cancelled(MillraceError):
    """The channel was cancelled: the pipeline stops."""
