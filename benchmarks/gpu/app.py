"""The whole application on one GPU beside decode-only: "Must show" 1 of the GPU issue.

    python benchmarks/gpu/app.py hevc.mp4 h264.mp4 --models folder --streams 8 32 128 --processes 1 4

decode → batch → ResNet-18 detector at 960x544 → track → two ResNet-18 classifiers, each identity once → lines and
zones → JSON lines, all in our elements; `--processes N` spreads the streams over so many. Models: train.py.
Beside it, in the same run, decode-only by others' loops (decode_only.py): ratios are to the best of all ways, thread
counts and numbers of streams that were tried.
Figures of one window: fps, its ratio to decode-only, CPU seconds of all processes per 1,000 frames, time from a decoded
picture to its line (p50, p99), objects with identities a frame, GPU memory.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from processes import Processes, add_child, asked, ready

HERE = Path(__file__).parent
SECONDS = 5.0  # of a window
START = 180.0  # to load, record or compile the networks, and to open all streams


# one process


def work(arguments: argparse.Namespace) -> None:
    """Run the application. For each number of streams that comes: add those of ours, say `ready`, wait for the window's
    begin, tell what was done in it."""
    import common
    from application import LoopingFile, application
    from threads import Threads, samples, shares

    from millrace.core import Pipeline
    from millrace.cuda.context import gpu

    gpu(common.DEVICE)
    if arguments.interval:
        sys.setswitchinterval(arguments.interval)
    classifiers = [f"{arguments.models}/classifier{n}.yaml" for n in range(arguments.classifiers)]
    options = {"compiled": True} if arguments.compiled else {}
    with tempfile.TemporaryDirectory() as folder:
        graph = application(
            f"{arguments.models}/{arguments.detector}.yaml", classifiers, common.DEVICE, folder, arguments.workers,
            arguments.batch, **options,
        )  # fmt: skip
        pipeline = Pipeline(graph)
        seen = Seen()
        pipeline.tap("json", seen)
        pipeline.bus.subscribe(told)
        there = 0
        for total in asked():
            names = [f"s{n}" for n in range(arguments.first, total, arguments.step)]
            for name in names[there:]:
                pipeline.add_source(name, LoopingFile(stream=name, uri=arguments.clip), into="decode")
            first = not there
            if first:
                pipeline.start()
            there, before, until = len(names), seen.frames, time.monotonic() + START
            while seen.frames - before < 20 * there:
                if pipeline.errors or pipeline.wait(0.05) or time.monotonic() > until:
                    raise SystemExit("no start: " + "; ".join(map(str, pipeline.errors)))
            gc.collect()
            gc.freeze()
            if first:
                common.stay_on(arguments.cores, arguments.first)
            ready()
            seen.begin()
            cpu, start, threads, stats = time.process_time(), time.perf_counter(), Threads(), pipeline.stats()
            time.sleep(arguments.seconds)
            took = time.perf_counter() - start
            figures = seen.end(took) | {"cpu": time.process_time() - cpu, "threads": threads.shares()}
            figures["elements"] = shares(stats, pipeline.stats(), took)
            if arguments.profile:
                figures["samples"] = samples()
            figures["errors"] = [str(error)[:300] for error in pipeline.errors]
            print(json.dumps(figures), flush=True)
        os._exit(0)


def told(message: Any) -> None:
    if message.kind in ("error", "warning"):
        print(message.text, file=sys.stderr)


class Seen:
    """What passes the last element."""

    def __init__(self) -> None:
        self.frames = self.before = self.objects = self.batches = 0
        self.counting = False
        self.waits: list[int] = []

    def __call__(self, item: Any) -> None:
        frames = getattr(item, "frames", None)
        if frames is None:
            return
        self.frames += len(frames)
        if self.counting:
            now = time.monotonic_ns()
            self.batches += 1
            self.waits.extend([now - frame.arrived for frame in frames])
            self.objects += sum([found.id is not None for frame in frames[:1] for found in frame.objects])

    def begin(self) -> None:
        self.objects, self.batches, self.waits = 0, 0, []  # of this window, not of those with fewer streams
        self.before, self.counting = self.frames, True

    def end(self, took: float) -> dict[str, Any]:
        self.counting = False
        waits = np.array(self.waits or [0]) / 1e6
        done = self.frames - self.before
        p50, p99 = np.percentile(waits, (50, 99)).round(1).tolist()
        return {"frames": done, "fps": done / took, "p50_ms": p50, "p99_ms": p99,
                "objects": self.objects / max(1, self.batches)}  # fmt: skip


# all of them


def begin(clip: str, processes: int, arguments: argparse.Namespace) -> Processes:
    command = [__file__, clip, "--models", arguments.models, "--workers", str(arguments.workers),
               "--batch", str(arguments.batch), "--seconds", str(SECONDS), "--detector", arguments.detector,
               "--classifiers", str(arguments.classifiers),
               *(["--cores", str(arguments.cores)] if arguments.cores else []),
               *(["--compiled"] if arguments.compiled else []),
               *(["--interval", str(arguments.interval)] if arguments.interval else []),
               *(["--profile"] if arguments.profile else [])]  # fmt: skip
    return Processes(command, processes)


def window(processes: Processes, streams: int, profile: bool) -> dict[str, Any]:
    """Wait until all are ready with their part of the streams, let them count at the same time."""
    import common

    processes.begin(streams, START + 20)
    with common.Utilisation() as used:
        time.sleep(SECONDS - 0.3)
        memory = common.memory()
    told = processes.told()
    frames = sum(each["frames"] for each in told)
    shown = {
        "fps": round(sum(each["fps"] for each in told), 1),
        "cpu_s_per_1000": round(1000 * sum(each["cpu"] for each in told) / max(1, frames), 3),
        "p50_ms": max(each["p50_ms"] for each in told), "p99_ms": max(each["p99_ms"] for each in told),
        "objects": round(float(np.mean([each["objects"] for each in told])), 2),
        "memory_mb": memory, **used.figures, "threads": told[0]["threads"],
        "elements": told[0]["elements"],
    }  # fmt: skip
    if profile:
        shown["samples"] = told[0]["samples"]
    errors = [error for each in told for error in each["errors"]]
    return shown | ({"errors": errors[:2]} if errors else {})


def decode_only(clip: str, streams: int, ways: list[str]) -> dict[str, Any]:
    """The best of some ways, each `how:threads`."""
    best: dict[str, Any] = {"fps": 0.0}
    for way in ways:
        how, _, threads = way.partition(":")
        command = [sys.executable, str(HERE / "decode_only.py"), clip, "--streams", str(streams), "--how", how,
                   "--threads", threads, "--seconds", "3"]  # fmt: skip
        try:
            said = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
            found = json.loads(said.stdout.strip().splitlines()[-1])
        except (subprocess.TimeoutExpired, IndexError, ValueError):
            found = {"how": how, "threads": threads, "fps": 0.0, "error": "nothing came"}
        print(json.dumps({"what": "decode-only way", "clip": Path(clip).name, **found}), flush=True)
        if found["fps"] > best["fps"]:
            best = found
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--models", required=True, help="the folder that train.py filled")
    parser.add_argument("--streams", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--processes", type=int, nargs="+", default=[1])
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--classifiers", type=int, default=2)
    parser.add_argument("--detector", default="detector", help="or slim_detector, a quarter of its work")
    parser.add_argument("--cores", type=int, help="on so many of its own each process stays")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--interval", type=float, help="seconds after which a thread is asked for the lock")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--ways", nargs="+", default=["nvc+av:4", "nvc+av:8", "av:8"], help="of decode-only")
    parser.add_argument("--beside", type=int, nargs="+", help="streams of decode-only; default: as the application")
    parser.add_argument("--out")
    add_child(parser)
    parser.add_argument("--seconds", type=float, default=SECONDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        arguments.clip = arguments.clips[0]
        return work(arguments)
    import common

    out = common.Out(arguments.out)
    for clip in arguments.clips:
        whole = 0.0
        for streams in arguments.beside or arguments.streams if arguments.ways != ["none"] else []:
            best = decode_only(clip, streams, arguments.ways)
            whole = max(whole, best["fps"])
            out("decode-only", clip=Path(clip).name, **{"streams": streams, **best})
        for number in arguments.processes:
            facts = {"clip": Path(clip).name, "processes": number, "compiled": arguments.compiled,
                     "detector": arguments.detector, "cores": arguments.cores}  # fmt: skip
            processes = begin(clip, number, arguments)
            try:
                for streams in sorted(arguments.streams):
                    figures = window(processes, streams, arguments.profile)
                    ratio = round(figures["fps"] / whole, 3) if whole else None
                    out("application", streams=streams, **facts, ratio=ratio, **figures)
            except (RuntimeError, ValueError, OSError) as error:
                out("FAILED", streams=streams, **facts, error=str(error))
            finally:
                processes.close()
                time.sleep(1.0)
                out("killed", processes=number, memory_mb=common.memory())
    return None


if __name__ == "__main__":
    main()
