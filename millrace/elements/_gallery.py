"""The people (or things) that are known: a folder of named photos, as vectors of a model."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError
from ..media import Image

PHOTOS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
Vector = NDArray[np.float32]
Stamp = tuple[int, int]  # when a file was changed, ns, and its size


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Vectors of length 1 [n, d], and the name of each."""

    names: tuple[str, ...] = ()
    vectors: Vector = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    files: Mapping[str, tuple[Stamp, Vector | None]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def who(self, vector: Vector) -> tuple[str, float]:
        """The name whose photo is nearest, and the cosine of the angle; "" and -1 where nobody is known."""
        if not self.names:
            return "", -1.0
        if len(vector) != self.vectors.shape[1]:
            raise ValueError(
                f"an object's vector has {len(vector)} numbers, those of the gallery {self.vectors.shape[1]}: "
                f"both must come from the same model"
            )
        near = self.vectors @ vector
        best = int(near.argmax())
        return self.names[best], float(near[best])


def photos(folder: str) -> dict[str, str]:
    """The name that each photo stands for: `anna.jpg`, `anna-2.jpg`, `anna/any.jpg`. Raises ConfigError."""
    root = Path(folder)
    if not os.path.isdir(root):
        raise ConfigError(f"there is no folder {folder}")
    found = {}
    for path in sorted(root.rglob("*")):
        inner = path.relative_to(root)
        hidden = any(part.startswith(".") for part in inner.parts)
        if path.suffix.lower() in PHOTOS and not hidden and path.is_file():
            stem, _, number = path.stem.rpartition("-")
            alone = stem if stem and number.isdigit() else path.stem
            found[str(path)] = inner.parts[0] if len(inner.parts) > 1 else alone
    return found


def read_gallery(folder: str, vector_of: Callable[[str], Vector], before: Gallery) -> Gallery | None:
    """The gallery as the folder is now, vectors of unchanged photos taken from before; None where nothing changed.

    A photo that cannot be used is a problem that names it; the others count.
    """
    names = photos(folder)
    stamps = {path: _stamp(path) for path in names}
    if before.files and {path: kept[0] for path, kept in before.files.items()} == stamps:
        return None
    files: dict[str, tuple[Stamp, Vector | None]] = {}
    problems = []
    for path, stamp in stamps.items():
        kept = before.files.get(path)
        if kept is not None and kept[0] == stamp:
            files[path] = kept
            continue
        try:
            files[path] = (stamp, vector_of(path))
        except ValueError as error:
            files[path] = (stamp, None)
            problems.append(str(error))
    known = [(names[path], vector) for path, (_, vector) in files.items() if vector is not None]
    vectors = np.stack([vector for _, vector in known]) if known else np.zeros((0, 0), np.float32)
    return Gallery(tuple(name for name, _ in known), vectors, files, tuple(problems))


def _stamp(path: str) -> Stamp:
    try:
        status = os.stat(path)
    except OSError:  # it went away while we looked
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


def whole(image: Image) -> Vector:
    """The box of a whole picture."""
    return np.array([0, 0, image.width, image.height], np.float32)
