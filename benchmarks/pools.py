"""Several models at work at the same time: a pool of threads for each, or one number of calls for all.

    python benchmarks/pools.py [--seconds 3] [--rounds 5] [MODEL ...]

Each model is kept busy as `infer` keeps it: one call more in flight than can run. "own" gives each model as many
threads as there are cores; "gate" lets only as many calls of all models together run as there are cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from millrace.devices import load_runtime
from millrace.runtimes.base import usable_cores


class Gated:
    """A runtime whose calls pass a gate that all share."""

    def __init__(self, runtime: Any, gate: threading.Semaphore) -> None:
        self.runtime, self.gate = runtime, gate

    def submit(self, feed: dict[str, Any]) -> Any:
        def make() -> dict[str, Any]:
            return feed

        def run() -> Any:
            with self.gate:
                return self.runtime.run(make)

        return self.runtime._pool.submit(run)

    @property
    def parallel(self) -> int:
        return int(self.runtime.parallel)


def keep_busy(runtime: Any, feed: dict[str, Any], until: float, times: list[float]) -> None:
    flying: deque[tuple[float, Any]] = deque()
    while time.perf_counter() < until:
        if len(flying) > runtime.parallel:
            began, future = flying.popleft()
            future.result()
            times.append(time.perf_counter() - began)
        flying.append((time.perf_counter(), runtime.submit(feed)))
    for _, future in flying:
        future.result()


def measure(
    runtimes: list[Any], feeds: list[dict[str, Any]], seconds: float
) -> tuple[float, float, float, list[float]]:
    """Calls a second of all, processor ms a call, 95th percentile of the time of a call, share of each model."""
    times: list[list[float]] = [[] for _ in runtimes]
    cpu, began = time.process_time(), time.perf_counter()
    threads = [
        threading.Thread(target=keep_busy, args=(runtime, feed, began + seconds, own))
        for runtime, feed, own in zip(runtimes, feeds, times, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    counts = [len(own) for own in times]
    every = [each for own in times for each in own]
    spent = (time.process_time() - cpu) / max(1, sum(counts))
    return sum(counts) / took, spent * 1e3, float(np.quantile(every, 0.95)) * 1e3, [c / sum(counts) for c in counts]


def main() -> None:
    data = Path(os.environ.get("MILLRACE_TEST_DATA", "data")) / "models"
    usual = ["detect/yolox_nano_416.onnx", "detect/FastestDet.onnx", "detect/nanodet_m_416.onnx",
             "face/ultraface_rfb_320.onnx"]  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=[str(data / name) for name in usual])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if not all(Path(model).exists() for model in args.models):
        print("left out: set MILLRACE_TEST_DATA, or name models with one input of pictures")
        return
    count = usable_cores()
    kinds: dict[str, tuple[int, int, bool]] = {  # calls of each model, threads of a call, gated
        "own, 1 thread a call": (count, 1, False), "gate, 1 thread a call": (count, 1, True),
        "own, one call on all cores": (1, count, False),
    }  # fmt: skip
    print(
        f"{count} cores; calls of all models a second, ms of CPU a call, 95 % of calls within ms, share of each model"
    )
    for number in sorted({1, min(2, len(args.models)), len(args.models)}):
        results: dict[str, list[Any]] = {kind: [] for kind in kinds}
        for _ in range(args.rounds):
            for kind, (parallel, threads, gated) in kinds.items():
                loaded = [load_runtime(m, "cpu", parallel=parallel, threads=threads) for m in args.models[:number]]
                feeds = [
                    {i.name: np.random.rand(*[d or 1 for d in i.shape]).astype(i.dtype) for i in r.inputs}
                    for r in loaded
                ]
                gate = threading.Semaphore(count)
                results[kind].append(measure([Gated(r, gate) if gated else r for r in loaded], feeds, args.seconds))
                for runtime in loaded:
                    runtime.close()
        base = results["own, 1 thread a call"]
        for kind, rows in results.items():
            ratio = statistics.median(a[0] / b[0] for a, b in zip(rows, base, strict=True))
            rate, cpu, late = (statistics.median(row[n] for row in rows) for n in range(3))
            shares = " ".join(f"{statistics.median(row[3][n] for row in rows):.2f}" for n in range(number))
            print(
                f"  {number} models  {kind:<28} {rate:7.1f}/s {ratio:5.2f}x {cpu:6.2f} ms CPU {late:7.1f} ms   {shares}"
            )


if __name__ == "__main__":
    main()
