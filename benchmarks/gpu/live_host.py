"""How late live streams become by the engine, on a machine without a GPU.

    python benchmarks/gpu/live_host.py clip.mp4 --streams 19 --service 8:13.05 16:23.3 32:43.87

The pipeline of live.py; the driver and NVDEC answer at once (host.py), and the network takes as long as one that was
measured: milliseconds for each size of batch that is recorded, one call after the other.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import common
import host
import live
import numpy as np
from processes import asked

from millrace.elements import _model
from millrace.engines import Opened

BOXES = 24
CARD = "parser: end2end\ninput: {scale: 0.003921569, fit: stretch}\nlabels: [person]\n"


class Timed(host.Network):
    """Answers when a GPU would that runs its calls one after the other."""

    service: dict[int, float] = {}  # seconds for each size of batch

    def answer(self) -> None:
        free = 0.0
        while (call := self.calls.get()) is not None:
            future, count = call
            size = min(each for each in self.service if each >= count)
            free = max(time.monotonic(), free) + self.service[size]
            time.sleep(max(0.0, free - time.monotonic()))
            rows = np.zeros((count, 128, 6), np.float32)
            rows[:, :BOXES, :5] = 100, 100, 200, 220, 0.5
            future.set_result({"rows": rows})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    live.add_arguments(parser)
    parser.set_defaults(streams=[19])
    parser.add_argument("--decoding", type=float, default=0.0, help="microseconds for a picture, without the lock")
    parser.add_argument(
        "--waiting", type=float, default=0.0, help="milliseconds that a decode worker waits for a picture"
    )
    parser.add_argument("--service", nargs="+", default=["8:13.05", "16:23.3", "32:43.87"], help="batch:milliseconds")
    arguments = parser.parse_args()
    out = common.Out(None if arguments.child else arguments.out)
    if arguments.processes > 1 and not arguments.child:
        return live.in_processes(out, arguments)
    host.stand_ins(arguments.decoding, 1000 * arguments.waiting)
    for size, _, took in (each.partition(":") for each in arguments.service):
        Timed.service[int(size)] = float(took) / 1000
    host.replace(_model, open_engine=lambda where, *a, **b: Opened(Timed("detector", 1), None, None))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "m.onnx").write_bytes(b"x")
        Path(folder, "m.yaml").write_text(f"model: m.onnx\n{CARD}")
        plan = lambda runtime: asked() if arguments.child else sorted(arguments.streams)  # noqa: E731
        live.paced(out, arguments, f"{folder}/m.yaml", plan)
    sys.stdout.flush()
    os._exit(0)  # the networks' threads wait for calls


if __name__ == "__main__":
    main()
