"""millrace against the loop that most people write: the same clips, model and ONNX Runtime, in turns, as ratios.

    python benchmarks/against_the_loop.py [--clip CLIP] [--model YOLOX.onnx] [--rounds 3]

The loop: cv2.VideoCapture → letterbox → ONNX Runtime → NMS → cv2 drawing → cv2.VideoWriter (mp4v). It runs with
each of the thread settings that people use, and its best counts. Each run is a process of its own.
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
from typing import Any

LOOPS = {"2 threads": (2, True), "2 threads, no spinning": (2, False), "1 thread": (1, True)}


def the_loop(clips: list[str], model: str, out: str, threads: int, spin: bool) -> int:
    """What a careful person writes in an afternoon; several clips take turns."""
    import cv2
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    height, width = session.get_inputs()[0].shape[2:]
    grids, strides = [], []
    for step in (8, 16, 32):
        y, x = np.meshgrid(np.arange(height // step), np.arange(width // step), indexing="ij")
        grids.append(np.stack([x, y], 2).reshape(-1, 2))
        strides.append(np.full((y.size, 1), step))
    grid, stride = np.concatenate(grids), np.concatenate(strides)
    captures = [cv2.VideoCapture(clip) for clip in clips]
    writers: list[Any] = [None] * len(clips)
    frames = 0
    open_ones = set(range(len(clips)))
    while open_ones:
        for i in sorted(open_ones):
            ok, frame = captures[i].read()
            if not ok:
                open_ones.discard(i)
                continue
            ratio = min(height / frame.shape[0], width / frame.shape[1])
            small = cv2.resize(frame, (int(frame.shape[1] * ratio), int(frame.shape[0] * ratio)))
            padded = np.full((height, width, 3), 114, np.uint8)
            padded[: small.shape[0], : small.shape[1]] = small
            tensor = np.ascontiguousarray(padded.transpose(2, 0, 1), dtype=np.float32)[None]
            output = session.run(None, {session.get_inputs()[0].name: tensor})[0][0]
            scores = output[:, 4:5] * output[:, 5:]
            classes = scores.argmax(1)
            best = scores.max(1)
            keep = best > 0.3
            centre = (output[keep, :2] + grid[keep]) * stride[keep] / ratio
            size = np.exp(output[keep, 2:4]) * stride[keep] / ratio
            boxes = np.concatenate([centre - size / 2, size], 1)
            chosen = cv2.dnn.NMSBoxesBatched(boxes.tolist(), best[keep].tolist(), classes[keep].tolist(), 0.3, 0.45)
            for k in np.array(chosen).flatten():
                x, y, w, h = boxes[k]
                cv2.rectangle(frame, (int(x), int(y)), (int(x + w), int(y + h)), (0, 255, 0), 2)
                text = f"{classes[keep][k]} {best[keep][k]:.2f}"
                cv2.putText(frame, text, (int(x), int(y) - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 255, 0), 1)
            if writers[i] is None:
                fps = captures[i].get(cv2.CAP_PROP_FPS)
                fourcc = cv2.VideoWriter.fourcc(*"mp4v")
                writers[i] = cv2.VideoWriter(f"{out}/loop{i}.mp4", fourcc, fps, (frame.shape[1], frame.shape[0]))
            writers[i].write(frame)
            frames += 1
    for writer in writers:
        if writer is not None:  # else its clip had no picture
            writer.release()
    return frames


def millrace(clips: list[str], model: str, out: str, codec: str) -> int:
    """The same through our main line, without tracking: the loop has none."""
    import millrace

    flow = millrace.open(*clips).infer(model).draw(trails=0)
    flow = flow.encode(codec=codec).file(f"{out}/millrace.mp4", sound=False)  # the loop keeps no sound either
    summary = flow.run()
    return sum(stream.frames_in for stream in summary.streams.values())


def only(what: str, clips: list[str], model: str) -> int:
    """The ceilings: decode alone, inference alone, encode alone, with our own parts."""
    import millrace

    if what == "decode":
        flow = millrace.open(*clips).decode().discard()
    else:
        flow = millrace.open(*clips).decode().infer(model).discard()
    return sum(stream.frames_in for stream in flow.run().streams.values())


def child(what: str, clips: list[str], model: str, settings: list[str]) -> None:
    """One run; prints frames, seconds and processor seconds as JSON."""
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        if what == "loop":
            frames = the_loop(clips, model, out, int(settings[0]), settings[1] == "True")
        elif what == "millrace":
            frames = millrace(clips, model, out, settings[0])
        else:
            frames = only(what, clips, model)
        seconds = time.perf_counter() - began
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"frames": frames, "seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime}))


def run(what: str, clips: list[str], model: str, *settings: Any) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", what, "--model", model, "--settings", *map(str, settings)]
    for clip in clips:
        command += ["--clip", clip]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {"fps": result["frames"] / result["seconds"], "cpu": result["cpu"] / result["frames"]}


def median(runs: list[dict[str, float]], key: str) -> float:
    return statistics.median(each[key] for each in runs)


def compare(clips: list[str], model: str, rounds: int) -> None:
    """One table: the loop with each setting, ours with both codecs, in turns."""
    print(f"\n{len(clips)} x {Path(clips[0]).name}, {Path(model).name}, {os.cpu_count()} cores, median of {rounds}")
    kinds: dict[str, tuple[Any, ...]] = {f"loop, {name}, mp4v": ("loop", *s) for name, s in LOOPS.items()}
    kinds |= {"millrace, mpeg4": ("millrace", "mpeg4"), "millrace, h264": ("millrace", "h264")}
    kinds |= {"decode only": ("decode",), "decode and infer only": ("infer",)}
    results: dict[str, list[dict[str, float]]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, (what, *settings) in kinds.items():
            results[name].append(run(what, clips, model, *settings))
    best = max((n for n in kinds if n.startswith("loop")), key=lambda n: median(results[n], "fps"))
    for name, runs in results.items():
        ratio = statistics.median(a["fps"] / b["fps"] for a, b in zip(runs, results[best], strict=True))
        mark = "  <- the loop's best" if name == best else ""
        print(
            f"  {name:<32} {median(runs, 'fps'):8.1f} fps  {median(runs, 'cpu') * 1000:7.2f} ms CPU a frame"
            f"  {ratio:6.2f}x{mark}"
        )


def main() -> None:
    data = Path(os.environ.get("MILLRACE_TEST_DATA", "data"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", action="append")
    parser.add_argument("--model", default=str(data / "models/detect/yolox_nano_416.onnx"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", default=None)
    parser.add_argument("--settings", nargs="*", default=[])
    args = parser.parse_args()
    clips = args.clip or [str(data / "videos/car-detection.mp4")]
    if args.child:
        child(args.child, clips, args.model, args.settings)
        return
    if not Path(clips[0]).exists() or not Path(args.model).exists():
        print("left out: set MILLRACE_TEST_DATA, or name a --clip and a --model (a YOLOX with one input [1, 3, H, W])")
        return
    compare(clips[:1], args.model, args.rounds)
    compare((clips * 4)[:4], args.model, args.rounds)


if __name__ == "__main__":
    main()
