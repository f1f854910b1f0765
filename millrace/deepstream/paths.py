"""Where the files are that DeepStream's files name."""

from __future__ import annotations

import os
from pathlib import Path

INSTALLED = "/opt/nvidia/deepstream/"  # below it: deepstream, or deepstream-9.1


def resolve(name: str, config: str | os.PathLike[str]) -> Path:
    """A path that a file names: relative to the folder of that file (links followed), as DeepStream takes it.

    What lies below DeepStream's install folder is looked for below MILLRACE_DEEPSTREAM_ROOT, where that is set.
    """
    root = os.environ.get("MILLRACE_DEEPSTREAM_ROOT")
    if root and name.startswith(INSTALLED):
        return Path(root, name.removeprefix(INSTALLED).partition("/")[2])
    path = Path(os.path.realpath(config)).parent / name
    return Path(os.path.realpath(path.parent)) / path.name if path.name != ".." else path
