"""What a built engine is worth in a pipeline: decode, infer, draw, encode; against run's default and the usual loop.

    millrace build YOLOX.onnx --calibrate CLIP          first
    python benchmarks/built_engine.py [--clip CLIP] [--model YOLOX.onnx] [--rounds 5] [--kinds default built]

Each run is a process of its own, in turns; ratios are medians over rounds, of frames a second and of processor time a
frame. The loop is that of against_the_loop.py, with the setting that was its best there.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from against_the_loop import the_loop

from millrace.elements.infer import Infer
from millrace.summary import Run

KINDS = ("default", "built", "default, infer only", "built, infer only", "loop")


def millrace(clip: str, model: str, engine: str, out: str, codec: str, only: bool, repeat: int) -> tuple[int, str]:
    """Frames, and the engine that ran."""
    import millrace

    flow = millrace.open(clip, loop=repeat).infer(model, engine=engine, name="infer")
    flow = flow.discard() if only else flow.draw(trails=0).encode(codec=codec).file(f"{out}/o.mp4", sound=False)
    run = Run(flow.plan)
    summary = run.run()
    infer = run.pipeline.graph.nodes["infer"].element
    assert isinstance(infer, Infer)
    opened = infer.loaded.opened
    assert opened is not None
    frames = sum(stream.frames_in for stream in summary.streams.values())
    return frames, opened.built.engine.label if opened.built else "the default"


def child(kind: str, clip: str, model: str, codec: str, repeat: int) -> None:
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        if kind == "loop":
            frames, engine = (
                sum(the_loop([clip], model, out, 2, True) for _ in range(repeat)),
                "ONNX Runtime, 2 threads",
            )
        else:
            engine_setting = "auto" if kind.startswith("built") else "default"
            frames, engine = millrace(clip, model, engine_setting, out, codec, kind.endswith("only"), repeat)
        seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime
    print(json.dumps({"frames": frames, "seconds": seconds, "cpu": cpu, "engine": engine}))


def run(kind: str, args: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", kind, "--model", args.model, "--clip", args.clip,
               "--codec", args.codec, "--repeat", str(args.repeat)]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    result = json.loads(done.stdout.splitlines()[-1])
    return {**result, "fps": result["frames"] / result["seconds"], "cpu": result["cpu"] / result["frames"]}


def base_of(kind: str) -> str:
    """What it is compared with."""
    return "default, infer only" if kind.endswith("only") else "default"


def main() -> None:
    data = Path(os.environ.get("MILLRACE_TEST_DATA", "data"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", default=str(data / "videos/car-detection.mp4"))
    parser.add_argument("--model", default=str(data / "models/detect/yolox_nano_416.onnx"))
    parser.add_argument("--codec", default="mpeg4")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--repeat", type=int, default=2, help="read the clip so many times: less of the start-up counts"
    )
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--child")
    args = parser.parse_args()
    if args.child:
        return child(args.child, args.clip, args.model, args.codec, args.repeat)
    if not Path(args.clip).exists() or not Path(args.model).exists():
        print("left out: set MILLRACE_TEST_DATA, or name a --clip and a --model")
        return None
    kinds = list(args.kinds)
    if lacking := {base_of(kind) for kind in kinds} - set(kinds):
        parser.error(f"--kinds: the ratios are to {', '.join(sorted(lacking))}")
    results: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for number in range(args.rounds):
        for kind in kinds[number % len(kinds) :] + kinds[: number % len(kinds)]:
            results[kind].append(run(kind, args))
    print(f"{Path(args.clip).name}, {Path(args.model).name}, {args.codec}, medians of {args.rounds} rounds")
    for kind, rows in results.items():
        base = results[base_of(kind)]
        fps, cpu = (statistics.median(row[key] for row in rows) for key in ("fps", "cpu"))
        ratio = statistics.median(a["fps"] / b["fps"] for a, b in zip(rows, base, strict=True))
        cheaper = statistics.median(b["cpu"] / a["cpu"] for a, b in zip(rows, base, strict=True))
        print(
            f"  {kind:<22} {fps:6.1f} fps {ratio:5.2f}x  {cpu * 1e3:6.2f} ms CPU a frame {cheaper:5.2f}x"
            f"  {rows[0]['engine']}"
        )
    return None


if __name__ == "__main__":
    main()
