"""Models by name: where their authors keep them, what they are, and a copy on this machine.

`catalogue.yaml` lists them; a file that MILLRACE_CATALOGUE names adds others, of a company's own server for instance.
Nothing is run or trusted but by its hash.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from .. import folders
from ..core.errors import ConfigError, did_you_mean
from .fetch import FetchError, Progress, fetch, is_right

PERMISSIVE = (
    "Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Unlicense", "CC0-1.0", "CC-BY-4.0",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of a model: where it is, `sha256:…` or `sha384:…`, bytes, and the name it has here."""

    url: str
    digest: str
    bytes: int
    name: str

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model of the catalogue. Its first file is the one that is loaded; `card` is written beside it.

    `checked` says how the hash was: against a copy that was run, by the authors' own list, or as others record it.
    """

    what: str
    authors: str
    page: str
    licence: str
    licence_page: str
    checked: Literal["copy", "authors"]
    files: list[File]
    card: dict[str, Any] = field(default_factory=dict)
    needs: str | None = None  # a library besides the base install, as a pip extra
    note: str = ""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    @property
    def permissive(self) -> bool:
        return self.licence in PERMISSIVE

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.files)


def entries() -> dict[str, Entry]:
    """The catalogue, and what MILLRACE_CATALOGUE adds or replaces. Raises ConfigError for a file that is wrong."""
    own = _read(Path(__file__).with_name("catalogue.yaml"))
    more = os.environ.get("MILLRACE_CATALOGUE")
    return {**own, **_read(Path(more))} if more else own


def is_name(text: str) -> bool:
    """Whether a `model` setting may be a name of the catalogue: one word that is no file here."""
    return bool(text) and not any(mark in text for mark in "/\\:.") and not os.path.exists(text)


def place(name: str) -> Path:
    """The folder of a model on this machine, whether or not it is there."""
    return folders.cache() / "models" / name


def have(name: str) -> Path | None:
    """The file of a model that was fetched before; None: it was not, or not all of it is there."""
    entry = get(name)
    home = place(name)
    return home / entry.files[0].name if all((home / each.name).is_file() for each in entry.files) else None


def get(name: str) -> Entry:
    """Raises ConfigError for a name that is not in the catalogue."""
    known = entries()
    if name not in known:
        raise ConfigError(f"no model is named {name!r}.{did_you_mean(name, known)} There are: {', '.join(known)}")
    return known[name]


def pull(
    name: str,
    accept_licence: bool = False,
    progress: Progress = lambda done, size: None,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """The file of a model, fetched where it is not here yet and checked; returns its path.

    Raises ConfigError for an unknown name and a licence that must be accepted first, FetchError when it cannot be had.
    """
    entry = get(name)
    home = place(name)
    missing = [each for each in entry.files if not is_right(home / each.name, each.digest)]
    if missing and not entry.permissive and not accept_licence:
        raise ConfigError(
            f"{name} is under {entry.licence} ({entry.licence_page}), which asks more of its user than to be named. "
            f"If that suits you: millrace models pull {name} --accept-licence"
        )
    whole, before = sum(each.bytes for each in missing), 0
    for each in missing:
        say(f"fetching {each.name} from {each.url}")
        done = before
        fetch(each.url, home / each.name, each.digest, each.bytes, lambda now, _: progress(done + now, whole))  # noqa: B023
        before += each.bytes
    main = home / entry.files[0].name
    _write_card(main.with_suffix(".yaml"), entry)
    return main


def _write_card(path: Path, entry: Entry) -> None:
    import yaml

    values = {"description": entry.what, "licence": entry.licence, **entry.card}
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _read(path: Path) -> dict[str, Entry]:
    try:
        return _parsed(str(path), path.stat().st_mtime_ns)
    except OSError as error:
        raise ConfigError(f"cannot read the catalogue {path}: {error.strerror or error}") from error


@cache
def _parsed(path: str, changed: int) -> dict[str, Entry]:
    import yaml
    from pydantic import TypeAdapter, ValidationError

    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        return TypeAdapter(dict[str, Entry]).validate_python(values)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


__all__ = ["Entry", "FetchError", "File", "entries", "get", "have", "is_name", "place", "pull"]
