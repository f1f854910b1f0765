"""What one device reaches (`millrace bench gpu`): decoding, each further part alone, the engine with all of them.

The clip and the model are the caller's, or made here: numbered pictures of 1920x1080, and a detector with ResNet-18's
work at 960x544 that finds 20 objects. A made clip has few bits, so its rate says little of a camera's: give `clip` for
that. The application of the published figures (two classifiers and analytics besides) is benchmarks/gpu/app.py.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import devices
from ..core import Graph, Pipeline, StreamStart
from ..core.errors import MillraceError
from ..cuda.nvml import Nvml, open_nvml
from ..elements.batch import Batch
from ..elements.decode import Decode
from ..elements.discard import Discard
from ..elements.draw import Draw
from ..elements.infer import Infer
from ..elements.track import Track
from ..imaging.overlay import draw_objects
from ..imaging.style import Style
from ..media import Image, InputSpec, Object, box
from ..sources.file import FileSource
from .bench_model import make_resnet
from .clips import numbered_clip

BATCH = 32
SIZE = (1920, 1080)
OBJECTS = 20  # drawn in a picture


class Row(NamedTuple):
    """One part: frames a second, processor time of this process for one, and how busy the GPU was (percents)."""

    part: str
    fps: float
    cpu: float  # microseconds
    decoder: float | None = None
    kernels: float | None = None


class Window:
    """A while in which things are counted, with NVML's figures where there is a GPU."""

    def __init__(self, device: str, seconds: float) -> None:
        self.seconds = seconds
        self.number = int(device.partition(":")[2] or 0) if devices.kind(device) == "cuda" else None

    def count(self, part: str, done: Callable[[], int]) -> Row:
        """How fast `done` grows."""
        nvml = open_nvml() if self.number is not None else "no GPU"
        before, cpu, begin = done(), time.process_time(), time.perf_counter()
        usage = []
        while (passed := time.perf_counter() - begin) < self.seconds:
            time.sleep(min(0.2, max(0.0, self.seconds - passed)))
            if isinstance(nvml, Nvml):
                usage.append(nvml.usage()[self.number or 0])
        frames, took = max(1, done() - before), time.perf_counter() - begin
        used = (time.process_time() - cpu) / frames * 1e6
        if isinstance(nvml, Nvml):
            nvml.close()
        decoders, kernels = ([getattr(u, name) for u in usage] for name in ("decoder", "gpu"))
        return Row(part, frames / took, used, _middle(decoders), _middle(kernels))

    def repeat(self, part: str, work: Callable[[], int]) -> Row:
        """How fast `work` goes in this thread; it returns how many frames it did, and has waited for the device."""
        work()
        done, cpu, begin = 0, time.process_time(), time.perf_counter()
        while (took := time.perf_counter() - begin) < self.seconds / 2:
            done += work()
        return Row(part, done / took, (time.process_time() - cpu) / done * 1e6)


def _middle(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def measure(device: str, clip: Path, model: str, streams: int, workers: int, seconds: float) -> list[Row]:
    """All parts on one clip; the first row is what the others are compared with."""
    window = Window(device, seconds)
    return [
        decode_only(window, device, clip, streams, workers),
        engine(window, "engine: decode", device, clip, streams, [], workers),
        prepare(window, device),
        drawing(window, device),
        engine(
            window, "engine: decode, infer, track", device, clip, streams,
            [("infer", Infer(model=model, device=device)), ("track", Track())], workers,
        ),
        engine(
            window, "engine: decode, infer, track, draw", device, clip, streams,
            [("infer", Infer(model=model, device=device)), ("track", Track()), ("draw", Draw())], workers,
        ),
    ]  # fmt: skip


def decode_only(window: Window, device: str, clip: Path, streams: int, workers: int) -> Row:
    """The device's decoder fed in turn by a few threads, without the engine."""
    stop, counts, failed = threading.Event(), [0] * workers, []

    def work(number: int) -> None:
        try:
            own = [_Looped(device, clip, f"s{n}") for n in range(number, streams, workers)]
            while own and not stop.is_set():
                for stream in own:
                    counts[number] += stream.step()
        except (MillraceError, ValueError, RuntimeError) as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(workers)]
    for thread in threads:
        thread.start()
    try:
        _until(lambda: bool(failed) or sum(counts) > 8 * streams)
        row = window.count("decode only, no engine", lambda: sum(counts))
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    if failed:
        raise failed[0]
    return row


class _Looped:
    """One stream of a clip, over and over."""

    def __init__(self, device: str, clip: Path, name: str) -> None:
        self._clip, self._name = clip, name
        self._items = self._read()
        start = next(self._items)
        self._decoder = devices.open_decoder(start.caps, device, lambda text: None, threads=1)

    def _read(self) -> Any:
        while True:
            yield from FileSource(stream=self._name, uri=str(self._clip)).read()

    def step(self) -> int:
        item = next(self._items)
        return 0 if isinstance(item, StreamStart) else len(self._decoder.decode(item))


def engine(
    window: Window, name: str, device: str, clip: Path, streams: int, more: list[tuple[str, Any]], workers: int
) -> Row:
    """A pipeline over looping files, its frames counted at its end."""
    graph, end = Graph(), Discard()
    batch = [("batch", Batch(size=BATCH if device != "cpu" else 1))] if more else []
    line = [("decode", Decode(device=device, workers=workers)), *batch, *more, ("end", end)]
    for label, element in line:
        graph.add(label, element)
    for (before, _), (after, _) in itertools.pairwise(line):
        graph.link(before, after)
    pipeline, seen = Pipeline(graph), _Seen()
    for number in range(streams):
        pipeline.add_source(f"s{number}", FileSource(stream=f"s{number}", uri=str(clip), loop=0), into="decode")
    pipeline.tap(line[-2][0], seen)
    pipeline.start()
    try:
        _until(lambda: bool(pipeline.errors) or seen.frames > 8 * streams)
        row = window.count(name, lambda: seen.frames)
    finally:
        pipeline.stop()
        pipeline.wait(60)
    if pipeline.errors:
        raise RuntimeError(str(pipeline.errors[0]))
    return row


class _Seen:
    """Counts frames that pass."""

    frames = 0

    def __call__(self, item: Any) -> None:
        if not isinstance(item, StreamStart):
            self.frames += len(item.frames) if hasattr(item, "frames") else int(hasattr(item, "image"))


def prepare(window: Window, device: str) -> Row:
    """A batch of pictures → a network's input of 640 x 384."""
    imaging, pictures = devices.part(device, "imaging")(device), [_picture(device) for _ in range(BATCH)]
    spec = InputSpec(640, 384, scale=1 / 255)

    def work() -> int:
        tensors = [imaging.to_tensor(pictures, spec)[0] for _ in range(4)]
        _wait(tensors[-1])
        return 4 * BATCH

    return window.repeat("prepare for a network, 640x384", work)


def drawing(window: Window, device: str) -> Row:
    """Boxes and captions of 20 objects into pictures of a decoder, which are copied for it."""
    imaging, pictures = devices.part(device, "imaging")(device), [_picture(device) for _ in range(8)]
    rng = np.random.default_rng(1)
    corners = rng.random((OBJECTS, 2)) * (SIZE[0] - 200, SIZE[1] - 200)
    objects = [
        Object(box([x, y, x + 120, y + 150]), number % 4, ("car", "van", "bicycle", "person")[number % 4], 0.87, number)
        for number, (x, y) in enumerate(corners.tolist())
    ]
    style = Style().fitted(*SIZE, None, None)

    def work() -> int:
        done = []
        for picture in pictures:
            canvas = imaging.canvas(picture)
            draw_objects(canvas, objects, style)
            done.append(canvas.finish())
        _wait(done[-1].planes[0])
        return len(pictures)

    return window.repeat(f"draw {OBJECTS} objects", work)


def _picture(device: str) -> Image:
    """Noise, as a decoder would give it."""
    rng = np.random.default_rng(0)
    planes = [rng.integers(0, 256, (SIZE[1], SIZE[0])).astype(np.uint8)]
    planes.append(rng.integers(0, 256, (SIZE[1] // 2, SIZE[0] // 2, 2)).astype(np.uint8))
    image = Image("NV12", planes, *SIZE, read_only=True)
    if devices.TABLE[devices.kind(device)].upload is None:
        return image
    uploaded: Image = devices.part(device, "upload")(device)(image)
    return uploaded.share()


def _wait(array: Any) -> None:
    """Until the device has written it."""
    ready = getattr(array, "ready", None)
    if ready is not None:
        ready.synchronize()


def _until(done: Callable[[], bool], seconds: float = 180.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError("no frame has come")
        time.sleep(0.02)


def table(rows: Sequence[Row]) -> list[str]:
    """The rows as text, with each rate beside that of decoding alone."""
    lines = [f"{'':34}{'fps':>9}{'of decode':>11}{'CPU µs':>9}{'NVDEC':>8}{'kernels':>9}"]
    for row in rows:
        busy = ["–" if share is None else f"{share:.0f} %" for share in (row.decoder, row.kernels)]
        part = row.fps / rows[0].fps
        lines.append(f"{row.part:34}{row.fps:9.0f}{part:11.2f}{row.cpu:9.0f}{busy[0]:>8}{busy[1]:>9}")
    return lines


def main(
    device: str = "cuda:0", clip: Path | None = None, model: str = "", streams: int = 32, quick: bool = False
) -> int:
    """Print a table for each codec; 1 where the device cannot be used, with what would have been measured."""
    seconds, write = (1.5 if quick else 4.0), sys.stdout.write
    try:
        devices.part(device, "imaging")(device)
    except MillraceError as error:
        write(f"{error}\n")
        write("with one: decoding alone, the engine's decoding, preparing, drawing, and all of them with a model\n")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        if not model:
            model = make_resnet(Path(folder, "resnet18-960x544.onnx"), OBJECTS)
        clips = {clip.name: clip} if clip else {}
        for codec in () if clip else ("h264", "hevc"):
            clips[f"{codec}, made here"] = numbered_clip(Path(folder, f"{codec}.mp4"), 60, *SIZE, codec=codec)
        for name, path in clips.items():
            write(f"{device}, {streams} streams of {name}, {Path(model).name}, windows of {seconds:g} s\n")
            for line in table(measure(device, path, model, streams, 4, seconds)):
                write(line + "\n")
            write("\n")
    write(
        "The first row is our loop over the same decoder. The application of published figures: benchmarks/gpu/app.py\n"
    )
    return 0
