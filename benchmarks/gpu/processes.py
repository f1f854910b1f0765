"""A benchmark's script as several processes at once that measure in the same window."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

# what a child does


def add_child(parser: argparse.ArgumentParser) -> None:
    """The arguments that a child is given: it has the streams `first`, `first` + `step` and so on."""
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--step", type=int, default=1, help=argparse.SUPPRESS)


def asked() -> Iterator[int]:
    """How many streams there shall be in all processes, each time that it is asked for a window."""
    while total := sys.stdin.readline():
        yield int(total)


def ready() -> None:
    """Its part of the streams runs: wait until all processes say so and the window begins."""
    print("ready", flush=True)
    time.sleep(max(0.0, float(sys.stdin.readline()) - time.time()))


# and who begins them


class Processes:
    """`command` so many times, with `--child --first N --step COUNT`; each tells of a window in a line of JSON."""

    def __init__(self, command: Sequence[str], count: int) -> None:
        self.children = [
            subprocess.Popen(
                [sys.executable, *command, "--child", "--first", str(n), "--step", str(count)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for n in range(count)
        ]  # fmt: skip

    def begin(self, streams: int, within: float) -> None:
        """Returns when a window with so many streams begins. Raises RuntimeError where it does not in these seconds."""
        guard = threading.Timer(within, self.close)
        guard.start()
        try:
            self._say(streams)
            for said in self._hear():
                if said.strip() != "ready":
                    raise RuntimeError(f"a process did not start: {said.strip()[:400]}")
            self._say(time.time() + 0.5)
            time.sleep(0.5)
        finally:
            guard.cancel()

    def told(self, within: float = 60.0) -> list[dict[str, Any]]:
        """What each tells of the window. Raises ValueError where one tells nothing, RuntimeError where it failed."""
        guard = threading.Timer(within, self.close)
        guard.start()
        try:
            told = [json.loads(said) for said in self._hear()]
            for each in told:
                if each.get("what") == "FAILED":
                    raise RuntimeError(f"a process failed: {each}")
            return told
        finally:
            guard.cancel()

    def _say(self, line: object) -> None:
        for child in self.children:
            print(line, file=child.stdin, flush=True)

    def _hear(self) -> list[str]:
        return [child.stdout.readline() for child in self.children if child.stdout]

    def close(self) -> None:
        for child in self.children:
            child.kill()
            child.wait()
