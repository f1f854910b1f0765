"""What users have written themselves, by its name: `package.module:name`, or `file.py:name`."""

from __future__ import annotations

import importlib.util
import os
import traceback
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import ConfigError, MillraceError, redact


def find_named(target: str, folder: str | os.PathLike[str] = ".") -> Any:
    """The function or class that `module:name` or `file.py:name`, a path from `folder`, stands for.

    Raises ConfigError where there is none, and where its module fails as it is imported: then with type and place of
    that error, which is the cause.
    """
    where, _, what = target.rpartition(":")
    if not (where and what):
        raise ConfigError(f"{target!r} names nothing: it is written package.module:name")
    module = _of_file(Path(folder) / where) if where.endswith(".py") else _of_package(where)
    if not hasattr(module, what):
        has = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ConfigError(f"{where} has no {what}; it has: {', '.join(has) or 'no function'}")
    return getattr(module, what)


def told(error: BaseException) -> str:
    """`KeyError: 'boxes' (mine.py, line 12)`: what, and where in the code that the caller of this has called."""
    frames = [each for each in traceback.extract_tb(error.__traceback__)[1:] if "importlib" not in each.filename]
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {redact(str(error))}{place}"


def _of_package(where: str) -> ModuleType:
    try:
        return import_module(where)
    except MillraceError:
        raise  # a sentence already
    except (Exception, SystemExit) as error:  # it is the user's code
        if isinstance(error, ModuleNotFoundError) and error.name and f"{where}.".startswith(f"{error.name}."):
            raise ConfigError(f"there is no module {error.name!r}") from error
        raise ConfigError(f"{where} cannot be imported: {told(error)}") from error


def _of_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"millrace_user_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except MillraceError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{path} cannot be run: {told(error)}") from error
    return module
