"""Pictures to judge and calibrate with, made into a model's input: from videos, folders, or tensors kept by a run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import flow
from ..core.errors import ConfigError
from ..devices import part
from ..media import Frame, Image, InputSpec
from ..media.tensor import Placement

SOUGHT = 1500  # frames that are looked at, at most, of each source
SMALLEST = 8  # pixels of the side of a crop


@dataclass(slots=True)
class Pictures:
    """Prepared inputs [1, …], and what they are, for the report. `placements`: where each picture lies in its input;
    `sources`: the number of the source that each comes from.
    """

    tensors: list[NDArray[Any]]
    placements: list[Placement]
    what: str
    sources: list[int]

    def held_out(self) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """(those that judge, those that tune): the first third of each source tunes what is judged on the rest.

        Neighbours in a video look alike, so the two are parted in time, not by turns.
        """
        judge, tune = [], []
        for source in dict.fromkeys(self.sources):
            mine = [tensor for tensor, number in zip(self.tensors, self.sources, strict=True) if number == source]
            tune += mine[: len(mine) // 3]
            judge += mine[len(mine) // 3 :]
        return judge, tune


def pictures(
    sources: Sequence[str], spec: InputSpec, count: int, crops_of: str | None = None, classes: list[str] | None = None
) -> Pictures:
    """About `count` pictures, evenly spread over videos, folders, globs or one .npz of tensors.

    `crops_of`: a detector; then the pictures are the objects that it finds (of `classes`), for a model that looks at
    objects. Without a source: frames of a generated street. Raises ConfigError when there is no picture.
    """
    if len(sources) == 1 and sources[0].endswith(".npz"):
        return _kept(sources[0], spec, count)
    if not sources:
        from ..testing import scene_source  # noqa: F401  the address scene: is known from here on

        sources = ["scene:?seconds=6"]
        what = "a generated street: not what your cameras see"
    else:
        what = ", ".join(os.path.basename(source) or source for source in sources)
    found = _Spread(-(-count // len(sources)) if crops_of is None else count)
    for source in sources:
        for image in _images(source, crops_of, classes):
            found.offer(image, spec)
        found.next_source()
    if not found.tensors:
        raise ConfigError(
            f"{', '.join(sources)}: no picture to judge by{' was found by ' + crops_of if crops_of else ''}"
        )
    step = max(1, len(found.tensors) // count)
    kind = f"{'objects found by ' + os.path.basename(crops_of) if crops_of else 'frames'} of {what}"
    taken = slice(0, count * step, step)
    return Pictures(found.tensors[taken], found.placements[taken], kind, found.sources[taken])


class _Spread:
    """Keeps evenly spread pictures of a source whose length is not known: all, then every second, every fourth …"""

    def __init__(self, count: int) -> None:
        self.count = count
        self.tensors: list[NDArray[Any]] = []
        self.placements: list[Placement] = []
        self.sources: list[int] = []
        self._number = -1
        self._imaging: Any = part("cpu", "imaging")("cpu")
        self.next_source()

    def next_source(self) -> None:
        self._first, self._seen, self._step = len(self.tensors), 0, 1
        self._number += 1

    def offer(self, image: Image, spec: InputSpec) -> None:
        if self._seen % self._step == 0:
            tensor, placed = self._imaging.to_tensor([image], spec)
            self.tensors.append(tensor)
            self.placements.append(placed[0])
            self.sources.append(self._number)
            if len(self.tensors) - self._first >= 2 * self.count:
                del self.tensors[self._first + 1 :: 2]
                del self.placements[self._first + 1 :: 2]
                del self.sources[self._first + 1 :: 2]
                self._step *= 2
        self._seen += 1


def _images(source: str, crops_of: str | None, classes: list[str] | None) -> Iterator[Image]:
    """The pictures of a source, or its objects."""
    frames = flow.open(source)
    frames = frames.infer(crops_of, **({"classes": classes} if classes else {})) if crops_of else frames.decode()
    for number, frame in enumerate(frames):
        yield from [frame.image] if crops_of is None else _crops(frame)
        if number >= SOUGHT:
            return


def _crops(frame: Frame) -> Iterator[Image]:
    imaging = part(frame.image.memory, "imaging")(frame.image.memory)
    for found in frame.objects:
        x1, y1, x2, y2 = (int(value) // 2 * 2 for value in found.box)
        if x2 - x1 >= SMALLEST and y2 - y1 >= SMALLEST:
            yield imaging.crop(frame.image, (x1, y1, x2, y2))


def _kept(path: str, spec: InputSpec, count: int) -> Pictures:
    """Tensors that a running pipeline wrote: `pictures` [n, …] in the model's own layout."""
    try:
        with np.load(path, allow_pickle=False) as file:
            tensors = file["pictures"]
            what = str(file["what"]) if "what" in file else os.path.basename(path)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{path}: not a file of prepared pictures: {error}") from error
    depth = 1 if spec.colour == "GRAY" else 3
    shape = (depth, spec.height, spec.width) if spec.layout == "NCHW" else (spec.height, spec.width, depth)
    if tensors.shape[1:] != shape or not len(tensors):
        raise ConfigError(f"{path}: pictures of shape {tensors.shape[1:]}, the model wants {shape}")
    plain = Placement(1.0, 1.0, 0.0, 0.0, spec.width, spec.height)
    chosen = [tensors[at : at + 1] for at in range(min(count, len(tensors)))]
    return Pictures(chosen, [plain] * len(chosen), what, [0] * len(chosen))
