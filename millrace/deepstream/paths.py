"""Where the files are that DeepStream's files name.

What is not where a file says it is can be given in two ways: MILLRACE_DEEPSTREAM_ROOT names a folder that stands for
DeepStream's install folder, and MILLRACE_SUBSTITUTIONS a YAML file that says what to take instead of single files:

    sample_720p.mp4: street.mp4                        # by the last part of its path
    /opt/models/traffic.onnx: ../models/street.onnx    # as it is written
    rtsp://10.0.0.7/main: gate.mp4

Paths there are relative to that file, and go before everything else.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError

INSTALLED = "/opt/nvidia/deepstream/"  # below it: deepstream, or deepstream-9.1
ROOT, SUBSTITUTIONS = "MILLRACE_DEEPSTREAM_ROOT", "MILLRACE_SUBSTITUTIONS"


def resolve(name: str, config: str | os.PathLike[str]) -> Path:
    """A path that a file names: relative to the folder of that file (links followed), as DeepStream takes it.

    What lies below DeepStream's install folder is looked for below MILLRACE_DEEPSTREAM_ROOT, where that is set; what
    the file of substitutions names is taken from there.
    """
    path = Path(os.path.realpath(config)).parent / name
    path = Path(os.path.realpath(path.parent)) / path.name if path.name != ".." else path
    other = substitute(name, str(path), os.path.basename(name))
    if other is not None:
        return Path(other)
    root = os.environ.get(ROOT)
    if root and name.startswith(INSTALLED):
        return Path(root, name.removeprefix(INSTALLED).partition("/")[2])
    return path


def substitute(*names: str) -> str | None:
    """What the file of substitutions gives for the first of these names that it knows. Raises ConfigError."""
    file = os.environ.get(SUBSTITUTIONS)
    if not file:
        return None
    try:
        known = _read(file, os.stat(file).st_mtime_ns)
    except OSError as error:
        raise ConfigError(f"{SUBSTITUTIONS}: {file} cannot be read: {error.strerror or error}") from error
    return next((known[name] for name in names if name in known), None)


def where_else(name: str) -> str:
    """What to do about a file that DeepStream's file names and that is not there: the end of a message."""
    ways = f"{SUBSTITUTIONS} names a YAML file of what to take instead ({os.path.basename(name)}: FILE)"
    if not name.startswith(INSTALLED):
        return f"; {ways}"
    return f"; {ROOT} names a folder with what DeepStream installs below {INSTALLED}deepstream, {ways}"


@lru_cache(maxsize=8)
def _read(file: str, changed: int) -> dict[str, str]:
    import yaml

    try:
        data: Any = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise ConfigError(f"{file}:{mark.line + 1 if mark else 1}: not valid YAML") from error
    if not isinstance(data, dict) or not all(isinstance(each, str) for pair in data.items() for each in pair):
        raise ConfigError(f"{file}: it must be a table of names and paths, {{sample_720p.mp4: street.mp4}}")
    folder = os.path.dirname(os.path.abspath(file))
    return {name: other if "://" in other else os.path.join(folder, other) for name, other in data.items()}


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a file, without a byte order mark. Raises ConfigError for one that is not there or not UTF-8."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error
