"""Built engines on disk, by what they were made of and for.

    ~/.cache/millrace/engines/MODEL/KEY/engine.json      and the files it needs: a quantised model, a report

MODEL is the model's SHA-256, KEY one of machine, library versions and settings. What was written by another version of
millrace, or is damaged, counts as not there: it is only a cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from .. import folders
from .engine import Engine
from .machine import digest, machine, versions

FORMAT = 2  # of engine.json: one of another format is not read


@dataclass(frozen=True, slots=True)
class Built:
    """A kept engine: what it runs, where it lies, how it came to be."""

    engine: Engine
    folder: Path
    model: str  # its name when it was built
    device: str
    built: float  # seconds since 1970
    took: float  # seconds that building it took
    gain: float  # pictures a second, over those of the default on the same machine
    facts: Mapping[str, Any] = field(default_factory=dict)  # accuracy, settings, and more for who looks

    def load(self, model: str | os.PathLike[str]) -> Any:
        """Its runtime. Raises ValueError or ConfigError when it cannot be loaded any more."""
        return self.engine.load(model, self.device, self.folder)

    @property
    def is_default(self) -> bool:
        """Whether nothing better was found than what runs anyway."""
        return self.gain == 1.0 and self.engine.file is None

    @property
    def text(self) -> str:
        """One line for who runs it."""
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.built))
        return f"{self.engine.label} (built {when}, {self.gain:.2f} times the default; {self.took:.0f} s not spent now)"


def find(model: str | os.PathLike[str], device: str = "cpu") -> Built | None:
    """The engine that was built last for this model, device, machine and these library versions; None: there is none.

    Reads the model's file for its hash only where engines are kept at all.
    """
    root = folders.cache() / "engines"
    if not root.is_dir() or not Path(model).is_file():
        return None
    mine = (machine(), versions())
    fitting = [
        built for built, made_for in _read_all(root / digest(model)[:32]) if built.device == device and made_for == mine
    ]
    return max(fitting, key=lambda built: built.built, default=None)


def same(model: str | os.PathLike[str], device: str, settings: Mapping[str, Any]) -> Built | None:
    """The engine that was built with just these settings, for `millrace build` asked a second time."""
    built = _read(folders.cache() / "engines" / digest(model)[:32] / _key(device, settings))
    return built[0] if built else None


@contextmanager
def kept(model: str | os.PathLike[str], device: str, settings: Mapping[str, Any]) -> Iterator[Path]:
    """A folder to write an engine's files into; it takes its place when the block ends well and is gone otherwise."""
    home = folders.cache() / "engines" / digest(model)[:32]
    home.mkdir(parents=True, exist_ok=True)
    work = Path(mkdtemp(prefix=".new-", dir=home))
    try:
        yield work
        target = home / _key(device, settings)
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def write(place: Path, built: Built, settings: Mapping[str, Any]) -> None:
    """Describe an engine in its folder."""
    values = {
        "format": FORMAT, "engine": built.engine.to_dict(), "model": built.model, "device": built.device,
        "built": built.built, "took": built.took, "gain": built.gain, "facts": dict(built.facts),
        "machine": machine(), "versions": versions(), "settings": dict(settings),
    }  # fmt: skip
    (place / "engine.json").write_text(json.dumps(values, indent=1), encoding="utf-8")


def listed() -> list[tuple[Built, bool]]:
    """All kept engines, the newest first, and whether each is for this machine and these library versions."""
    mine = (machine(), versions())
    root = folders.cache() / "engines"
    models = sorted(root.iterdir()) if root.is_dir() else []
    found = [(built, made_for == mine) for model in models for built, made_for in _read_all(model)]
    return sorted(found, key=lambda each: -each[0].built)


def clear(model: str | os.PathLike[str] | None = None) -> int:
    """Delete the engines of one model, or all; returns how many there were."""
    root = folders.cache() / "engines"
    if model is not None:
        root = root / digest(model)[:32]
    count = len(list(root.rglob("engine.json")))
    shutil.rmtree(root, ignore_errors=True)
    return count


def _key(device: str, settings: Mapping[str, Any]) -> str:
    text = json.dumps([FORMAT, device, machine(), versions(), dict(settings)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read_all(home: Path) -> list[tuple[Built, tuple[Any, Any]]]:
    places = sorted(home.iterdir()) if home.is_dir() else []
    return [read for place in places if not place.name.startswith(".") and (read := _read(place))]


def _read(place: Path) -> tuple[Built, tuple[Any, Any]] | None:
    """What a folder holds and what it was made for; None when that cannot be read, or a file is missing."""
    try:
        values = json.loads((place / "engine.json").read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            return None
        engine = Engine.from_dict(values.pop("engine"))
        made_for = (values.pop("machine"), values.pop("versions"))
        values["facts"]["settings"] = values.pop("settings")
        built = Built(engine=engine, folder=place, **values)
        float(built.built), float(built.took), float(built.gain)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if engine.file is not None and not (place / engine.file).is_file():
        return None
    return built, made_for
