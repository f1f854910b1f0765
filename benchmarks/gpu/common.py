"""What the GPU's benchmarks share: output, looping streams, decode workers, NVML, windows."""

from __future__ import annotations

import json
import os
import statistics
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import av

from millrace.core.caps import PACKETS, Caps
from millrace.cuda.context import gpu
from millrace.cuda.nvml import Usage, open_nvml
from millrace.decoders.nvdec import open_decoder
from millrace.fleet.cores import cores_of
from millrace.media import Packet

DEVICE = "cuda:0"
BATCH = 32
WARM, WINDOW = 1.5, 4.0  # seconds


class Out:
    """Figures as lines of JSON, on the screen and in a file."""

    def __init__(self, path: str | None) -> None:
        self.path = path
        self.started = time.perf_counter()

    def __call__(self, what: str, **figures: Any) -> None:
        line = json.dumps({"what": what, "at": round(time.perf_counter() - self.started, 1), **figures}, default=str)
        print(line, flush=True)
        if self.path:
            with open(self.path, "a") as file:
                file.write(line + "\n")


# what goes in


def packets(path: str, stream: str, loop: bool) -> Iterator[Any]:
    """First the caps, then the packets; over and over when `loop`."""
    while True:
        with av.open(path) as container:
            video = container.streams.video[0]
            context = video.codec_context
            parameters = SimpleNamespace(
                extradata=context.extradata,
                colour_matrix=int(context.colorspace),
                colour_range=int(context.color_range),
            )
            yield Caps(PACKETS, codec=context.name, extradata=context.extradata, parameters=parameters)
            scale = Fraction(video.time_base) * 1_000_000_000
            for packet in container.demux(video):
                if packet.size:
                    yield Packet(stream, packet, int(packet.pts * scale), key=packet.is_keyframe)
        if not loop:
            return


class Stream:
    """One looping clip and its decoder; made in the worker's thread."""

    def __init__(self, path: str, name: str) -> None:
        self.name = name
        self.items = packets(path, name, loop=True)
        self.decoder = open_decoder(next(self.items), DEVICE)

    def step(self) -> list[Any]:
        item = next(self.items)
        while isinstance(item, Caps):  # the clip begins again: the same decoder goes on
            item = next(self.items)
        return self.decoder.decode(item)


class Workers:
    """K threads over N streams in turn; each gives its pictures to `sink`."""

    def __init__(self, clip: str, streams: int, workers: int, sink: Callable[[int, list[Any]], None]) -> None:
        self.stopping = threading.Event()
        self.counts = [0] * workers
        self.errors: list[str] = []
        self.ready = threading.Barrier(workers + 1, timeout=60)
        self.threads = []
        for index in range(workers):
            own = [f"s{i}" for i in range(index, streams, workers)]
            self.threads.append(threading.Thread(target=self._run, args=(index, clip, own, sink), daemon=True))
        for thread in self.threads:
            thread.start()
        try:
            self.ready.wait()
        except threading.BrokenBarrierError:
            raise RuntimeError(self.errors[0] if self.errors else "the workers did not start") from None

    def _run(self, index: int, clip: str, names: list[str], sink: Callable[[int, list[Any]], None]) -> None:
        try:
            gpu(DEVICE).use()
            streams = [Stream(clip, name) for name in names]
            self.ready.wait()
            while streams and not self.stopping.is_set():  # one that has none would take the lock from the others
                for stream in streams:
                    pictures = stream.step()
                    if pictures:
                        self.counts[index] += len(pictures)
                        sink(index, pictures)
            for stream in streams:
                stream.decoder.close()
        except Exception:  # noqa: BLE001  # the main thread raises it
            self.errors.append(traceback.format_exc())
            self.stopping.set()
            self.ready.abort()

    def stop(self) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(20)
        if self.errors:
            raise RuntimeError(self.errors[0])


def usage() -> Usage:
    """Of DEVICE, at this moment, by whomever. Raises RuntimeError where NVML cannot be asked."""
    found = open_nvml()
    if isinstance(found, str):
        raise RuntimeError(f"NVML: {found}")
    try:
        return found.usage()[0]
    finally:
        found.close()


class Utilisation:
    """NVML's figures, sampled while something runs."""

    def __enter__(self) -> Utilisation:
        self.decoder: list[int] = []
        self.sm: list[int] = []
        self.going = True
        self.thread = threading.Thread(target=self._sample, daemon=True)
        self.thread.start()
        return self

    def _sample(self) -> None:
        while self.going:
            now = usage()
            self.decoder.append(now.decoder or 0)
            self.sm.append(now.gpu or 0)
            time.sleep(0.25)

    def __exit__(self, *error: object) -> None:
        self.going = False
        self.thread.join()
        self.figures = {"nvdec_percent": statistics.median(self.decoder), "sm_percent": statistics.median(self.sm)}


def memory() -> int:
    """MB of DEVICE that are used, by whomever."""
    return usage().used // 1_000_000


def stay_on(cores: int | None, number: int = 0) -> None:
    """All threads of this process, and those that they begin, on cores of their own; networks were compiled on all."""
    if cores:
        own = cores_of(cores, number)
        for thread in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(thread), own)


def window(count: Callable[[], int], seconds: float = WINDOW) -> dict[str, float]:
    """Warm up, then count what happens in a window: fps, CPU seconds of the process per 1,000."""
    time.sleep(WARM)
    before, cpu, start = count(), time.process_time(), time.perf_counter()
    time.sleep(seconds)
    done, used, took = count() - before, time.process_time() - cpu, time.perf_counter() - start
    return {"fps": round(done / took, 1), "cpu_s_per_1000": round(1000 * used / max(1, done), 3), "frames": done}


def guarded(out: Out, function: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
    """A part that fails must not take the others' figures with it."""
    try:
        return function(out, *arguments, **more)
    except Exception as error:  # noqa: BLE001
        where = traceback.format_exc()[-1500:]
        out("FAILED", part=function.__name__, error=f"{type(error).__name__}: {error}", where=where)
        return None
