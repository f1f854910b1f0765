"""Models made ready beside a running pipeline: a file that was replaced, an engine that was built meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import engines, folders, parsers
from ..core.errors import MillraceError, said
from ..engines.machine import digest
from ..metrics.agreement import BOXES, agreement, f1
from ..models.card import find_card
from ._model import LoadedModel, facts_of

LOOK = 0.5  # seconds between two looks at a model's file
SAMPLES = 48  # inputs that an engine is judged on
APART = 5  # one call in so many gives one
CHECKED = 8  # samples on which a built engine is compared again, before it takes over
BUSY = "it was ended after {:g} s, for what else runs left it too little of the processor"
LONGEST = 240.0  # seconds that building may take: it stops trying engines by itself before that


@dataclass(frozen=True, slots=True)
class News:
    """What has come: a model to go on with (`same`: it answers as the old one), or a sentence why there is none."""

    loaded: LoadedModel | None = None
    problem: str | None = None
    same: bool = False


class Renewal(ABC):
    """One thread that makes models ready, and what it has made. `wake` is called when there is news."""

    def __init__(self, wake: Callable[[], None], name: str) -> None:
        self._wake = wake
        self._news: deque[News] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def take(self) -> News | None:
        return self._news.popleft() if self._news else None

    def stop(self) -> None:
        """End soon, without waiting for it."""
        self._stop.set()

    def close(self) -> None:
        self.stop()
        if self._thread.ident is not None:
            self._thread.join()
        while (news := self.take()) is not None:
            if news.loaded is not None:
                news.loaded.runtime.close()

    @abstractmethod
    def _run(self) -> None: ...

    def _tell(self, news: News) -> None:
        self._news.append(news)
        self._wake()


class FileWatch(Renewal):
    """Loads a model anew whenever its file or its card has changed and is at rest; a broken one is told of once.

    Also where it was replaced while `loaded` was being loaded, which may have taken long.
    """

    def __init__(self, loaded: LoadedModel, load: Callable[[], LoadedModel], wake: Callable[[], None]) -> None:
        super().__init__(wake, f"millrace-watch-{loaded.path.name}")
        self._path, self._load = loaded.path, load
        self._facts, self._content = loaded.files, self._hash()
        if facts_of(self._path) != self._facts:
            self._content = None  # perhaps of a file that nobody has loaded

    def _run(self) -> None:
        before = self._facts
        while not self._stop.wait(LOOK):
            now = facts_of(self._path)
            at_rest, before = now == before, now
            if now == self._facts or not at_rest or not now:
                continue
            self._facts = now
            content = self._hash()
            if content is None or content == self._content:
                continue  # touched, or gone again
            self._content = content
            try:
                self._tell(News(self._load()))
            except Exception as error:  # noqa: BLE001 whatever a runtime makes of a broken file: the watch goes on
                self._tell(
                    News(problem=f"the new {self._path.name} cannot be used, the old model goes on: {said(error)}")
                )

    def _hash(self) -> str | None:
        try:
            card = find_card(self._path)
            return digest(self._path) + (card.read_text(encoding="utf-8") if card else "")
        except (OSError, UnicodeDecodeError):
            return None


class Optimizer(Renewal):
    """Builds an engine in a process beside the pipeline, on inputs of its own, and loads it if it answers alike."""

    def __init__(
        self, loaded: LoadedModel, device: str, limit: float, load: Callable[[], LoadedModel], wake: Callable[[], None]
    ) -> None:
        super().__init__(wake, f"millrace-optimize-{loaded.path.name}")
        self._loaded, self._device, self._limit, self._load = loaded, device, limit, load
        self._samples: list[NDArray[Any]] = []
        self._seen = 0
        self._enough = threading.Event()
        self._offering = threading.Lock()

    def offer(self, feed: Mapping[str, Any]) -> None:
        """An input of the model, by any thread: one in so many is copied."""
        if self._enough.is_set():
            return
        pictures = feed.get(self._loaded.image_name)
        with self._offering:  # calls of several threads may have inputs at the same time
            self._seen += 1
            if self._seen % APART or not isinstance(pictures, np.ndarray) or self._enough.is_set():
                return
            self._samples.append(pictures[:1].copy())
            if len(self._samples) >= SAMPLES:
                self._enough.set()

    def _run(self) -> None:
        while not self._enough.wait(0.2):
            if self._stop.is_set():
                return
        try:
            problem = self._build()
            if problem is None and not self._stop.is_set():
                self._take_over()
            elif problem:
                self._tell(News(problem=f"no engine takes over, the default goes on: {problem}"))
        except Exception as error:  # noqa: BLE001 of a runtime, too: its model may be closed while this thread is told to end
            if not self._stop.is_set():
                self._tell(News(problem=f"no engine takes over, the default goes on: {said(error)}"))

    def _build(self) -> str | None:
        """Run `millrace build` at low priority; what it says when it fails."""
        folder = folders.cache() / "samples"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            samples = os.path.join(place, "samples.npz")
            np.savez(samples, pictures=np.concatenate(self._samples), what="frames of the running pipeline")
            command = [sys.executable, "-m", "millrace", "build", str(self._loaded.path), "--calibrate", samples,
                       "--device", self._device, "--accuracy", str(self._limit), "--beside", "--quiet"]  # fmt: skip
            with open(os.path.join(place, "errors"), "w+", encoding="utf-8", errors="replace") as said:
                child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)
                until = time.monotonic() + LONGEST
                while child.poll() is None:
                    if self._stop.wait(0.1) or time.monotonic() > until:
                        child.kill()
                        child.wait()
                        return None if self._stop.is_set() else BUSY.format(LONGEST)
                said.seek(0)
                lines = said.read().strip().splitlines()
        return (lines[-1] if lines else f"it ended with {child.returncode}") if child.returncode else None

    def _take_over(self) -> None:
        built = engines.find(self._loaded.path, self._device)
        if built is None or built.is_default:
            untried = _untried(built) if built else 0
            busy = f"; {untried} engines were not tried, for it got too little of the processor" if untried else ""
            raise MillraceError(f"none that is allowed was faster, of those that were tried in {built.took:.0f} s{busy}"
                             if built else "nothing was kept")  # fmt: skip
        loaded = self._load()
        if loaded.opened is None or loaded.opened.built is None:
            loaded.runtime.close()
            return
        try:
            alike = self._agreement(loaded)
            if alike < self._limit:
                raise MillraceError(f"{loaded.opened.built.engine.label} agrees with it by {alike:.3f} only")
        except Exception:
            loaded.runtime.close()
            raise
        self._tell(News(loaded, same=True))

    def _agreement(self, loaded: LoadedModel) -> float:
        """How much another model agrees with ours on some of the samples."""
        samples = self._samples[:: max(1, len(self._samples) // CHECKED)]
        mine, theirs = (
            [each.runtime.run(each.feed(sample, 1)) for sample in samples] for each in (self._loaded, loaded)
        )
        kind, parse = parsers.kind_of(self._loaded.reader.guess.parser), self._loaded.parse
        if kind in BOXES:  # on a GPU each may give other cells of a grid
            return f1(list(map(parse, mine)), list(map(parse, theirs)))[0]
        return agreement(kind, mine, theirs, parse)


def _untried(built: engines.Built) -> int:
    """How many engines a build had no time for."""
    left_out = built.facts.get("report", {}).get("left_out", [])
    return sum(why.endswith("s were over") for _, why in left_out)
