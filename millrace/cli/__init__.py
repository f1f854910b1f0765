"""The command line: `millrace run street.mp4 --model yolox.onnx --track --save out.mp4`.

Exit codes: 0 all went well, 1 an element or an output failed, or something unforeseen, 2 a setting, file or argument
is wrong, 3 a source or stream could not be read to its end (the others were finished), 130 stopped by Ctrl+C.

Every command imports what it needs when it runs, so that `millrace --help` is quick.
"""

from __future__ import annotations

import errno
import os
import select
import sys
from collections.abc import Sequence

OK, FAILED, WRONG, SOURCE, INTERRUPTED = 0, 1, 2, 3, 130


def main(arguments: Sequence[str] | None = None) -> None:
    """The `millrace` command. Ends the process with an exit code."""
    sys.exit(invoke(sys.argv[1:] if arguments is None else arguments))


def invoke(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code. Errors become one line on stderr, with `-v` a traceback too."""
    from ._commands import Unheard
    from .app import app

    verbose = any(argument in ("-v", "--verbose") for argument in arguments)
    try:
        app(args=list(arguments), prog_name="millrace", standalone_mode=True)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else FAILED if ended.code else OK
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  # the last line of defence: a user gets a sentence, not a traceback
        raised = error.__cause__ if isinstance(error, Unheard) else error
        assert isinstance(raised, Exception)
        return OK if _reader_has_gone(raised) else _report(raised, verbose)
    return OK


def _reader_has_gone(error: Exception) -> bool:
    """Whether we wrote to a pipe that nobody reads any more: `millrace inspect | head`, `run a.mp4 --json - | head`."""
    if isinstance(error, BrokenPipeError) and _stdout_is_broken():
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left has nowhere to go at the exit
        return True
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno == errno.EPIPE and cause.filename in (None, "-")


def _stdout_is_broken() -> bool:
    """Whether it is that pipe: the connection to a server breaks in the same words."""
    try:
        looks = select.poll()
        looks.register(sys.stdout.fileno(), 0)  # whatever is asked for, a pipe without a reader is told
    except (AttributeError, OSError, ValueError):  # on Windows there is no poll; stdout may be no file
        return False
    return bool(looks.poll(0))


def _report(error: Exception, verbose: bool) -> int:
    from ..core.errors import ConfigError, MillraceError, SourceError, StreamError, redact

    if verbose:
        import traceback

        traceback.print_exception(error)
    known = isinstance(error, MillraceError)
    text = redact(str(error)) if known else f"{type(error).__name__}: {redact(str(error))}"
    hint = "" if known or verbose else " (-v shows where)"
    sys.stderr.write(f"millrace: {text}{hint}\n")
    if isinstance(error, ConfigError):
        return WRONG
    return SOURCE if isinstance(error, (SourceError, StreamError)) else FAILED
