"""Vectors of objects → who they are, from a folder of named photos."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from ..core.element import Context, Element, Seconds, setting, state
from ..core.errors import ConfigError, SettingError
from ..core.item import Item
from ..imaging.files import read_picture
from ..media import Detections, Frame, Label, Object, Reading
from ..parsers import kind_of
from ._gallery import Gallery, Vector, photos, read_gallery, whole
from ._model import LoadedModel, check_files, load_model
from ._units import Imagings, Wanted, wanted_objects

BLIND = 50  # frames with objects and no vector before somebody is told


class Identify(Element):
    """Says who the objects are: `identify: {gallery: people, model: face_id.onnx}`.

    The folder holds photos, `anna.jpg`, `anna-2.jpg` or `anna/any.jpg`. `model` is the embedding model that ran on the
    objects before (`infer` with the same one); it makes the vectors of the photos. With `detector`, the largest thing
    that it finds in a photo counts, else the whole photo. An object whose vector is nearer than `threshold` (cosine) to
    a photo gets its name as a label, others get `unknown`. Vectors of one identity are averaged over its frames. Photos
    that come, change or go while running count after `reload` seconds.
    """

    gallery: str = setting(help="folder of photos: NAME.jpg, NAME-2.jpg, NAME/any.jpg")
    model: str = setting(help="the embedding model, as `infer` names it")
    detector: str | None = setting(default=None, help="finds the face or person in a photo; default: the whole photo")
    threshold: float = setting(default=0.5, help="least cosine of a match", minimum=-1, maximum=1, live=True)
    unknown: str = setting(default="unknown", help="the name of strangers; empty: no label", live=True)
    label: str = setting(default="name", help="the name of the label")
    on: dict[str, Any] | None = setting(default=None, help="only these objects, as infer's `on` names them")
    average: int = setting(default=30, help="frames over which the vectors of an identity are averaged", minimum=1)
    reload: Seconds = setting(default=2.0, help="seconds between looks at the folder, 0: never", minimum=0)
    device: str = setting(default="cpu", help="where the models run on the photos")

    known: Gallery = state(Gallery)
    means: dict[str, dict[int, tuple[Vector, int]]] = state(dict)  # sums of vectors by stream and identity
    imagings: Imagings = state(Imagings)
    looking: Future[Gallery | None] | None = state(lambda: None)
    pool: ThreadPoolExecutor | None = state(lambda: None)
    models: list[LoadedModel] = state(list)
    blind: dict[str, int] = state(dict)

    def validate(self) -> None:
        try:
            photos(self.gallery)
        except ConfigError as error:
            raise SettingError("identify", "gallery", self.gallery, str(error)) from None
        for name in (self.model, self.detector):
            if name is not None:
                check_files(name)
        self.objects: Wanted | None = wanted_objects(self.on, None)

    def open(self, context: Context) -> None:
        self.validate()
        self.context = context
        self.models = []
        try:
            for name in (self.model, self.detector):
                if name is not None:
                    self.models.append(load_model(name, self.device, parallel=1))
            if kind_of(self.models[0].reader.guess.parser) != "embedding":
                raise ConfigError(f"{self.model} is no embedding model (`kind: embedding` in its card says so)")
            self._take(read_gallery(self.gallery, self._vector, Gallery()))
        except BaseException:
            self.close()
            raise
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="millrace-gallery")
        self.looked = time.monotonic()

    def process_frame(self, frame: Frame) -> None:
        self._look()
        objects = frame.objects if self.objects is None else self.objects.of(frame)
        seen = False
        for found in objects:
            if found.embedding is None:
                continue
            seen = True
            name, near = self.known.who(self._mean(frame.stream, found))
            if near < self.threshold:
                name = self.unknown
            if name:
                found.labels.append(Label(self.label, name, round(max(0.0, near), 6)))
        self._blind(frame.stream, bool(objects), seen)

    def _mean(self, stream: str, found: Object) -> Vector:
        """The mean vector of an object's identity, of length 1."""
        assert found.embedding is not None
        if found.id is None:
            return found.embedding
        own = self.means.setdefault(stream, {})
        total, count = own.get(found.id, (np.zeros_like(found.embedding), 0))
        if count >= self.average:  # the older half counts for less and less
            total, count = total * (1 - 1 / count), count - 1
        total, count = total + found.embedding, count + 1
        own[found.id] = (total, count)
        return np.asarray(total / max(float(np.linalg.norm(total)), 1e-12), np.float32)

    def _blind(self, stream: str, objects: bool, seen: bool) -> None:
        """Say once that no object has a vector."""
        count = self.blind.get(stream, 0)
        if seen or count < 0:
            self.blind[stream] = -1
        elif objects:
            self.blind[stream] = count + 1
            if count + 1 == BLIND:
                self.context.warn("no object has a vector: put infer with the embedding model before identify", stream)

    def _look(self) -> None:
        """Look at the folder now and then, in a thread beside; take what it found."""
        if self.looking is not None and self.looking.done():
            done, self.looking = self.looking, None
            try:
                self._take(done.result())
            except ConfigError as error:
                self.context.warn(f"the gallery stays as it was: {error}", None)
        due = self.reload > 0 and time.monotonic() - self.looked >= self.reload
        if due and self.looking is None and self.pool is not None:
            self.looked = time.monotonic()
            self.looking = self.pool.submit(read_gallery, self.gallery, self._vector, self.known)

    def _take(self, found: Gallery | None) -> None:
        if found is None:
            return
        self.known = found
        for problem in found.problems:
            self.context.warn(f"a photo does not count: {problem}", None)

    def _vector(self, path: str) -> Vector:
        """The vector of a photo. Raises ValueError for one that shows nothing of use."""
        image = read_picture(path)
        imaging, area = self.imagings.of(image), whole(image)
        if len(self.models) > 1:
            detector = self.models[1]
            tensor, (placement,) = imaging.to_tensor([image], detector.spec)
            (found,) = detector.read(detector.runtime.run(detector.feed(tensor, 1)), 1)
            boxes = placement.to_source(found.boxes) if isinstance(found, Detections) else np.zeros((0, 4), np.float32)
            if not len(boxes):
                raise ValueError(f"{self.detector} finds nothing in {path}")
            area = boxes[np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).argmax()]
        model = self.models[0]
        tensor, _ = imaging.to_tensor([image], model.spec, boxes=[area])
        (reading,) = model.read(model.runtime.run(model.feed(tensor, 1)), 1)
        assert isinstance(reading, Reading) and reading.embedding is not None
        return reading.embedding

    def end_stream(self, stream: str) -> Iterator[Item]:
        self.means.pop(stream, None)
        self.blind.pop(stream, None)
        yield from super().end_stream(stream)

    def close(self) -> None:
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)
            self.pool = None
        self.looking = None
        while self.models:
            self.models.pop().runtime.close()
        self.means.clear()
