"""Run a pipeline in a test: bounded in time, its frames in a list."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from ..config import load, loads
from ..config.plan import Plan, Stream
from ..core.element import Source
from ..elements.pull import Pull
from ..flow import Flow
from ..media import Frame
from ..summary import Run, raise_first


def run(what: Flow | Plan | Path | str, timeout: float = 30.0, **streams: Source | str) -> list[Frame]:
    """The frames that leave a pipeline: a flow, a plan, a YAML file (Path) or YAML text (str).

    `streams` are further sources by name. Raises what the pipeline raises, the first stream's error, and
    TimeoutError when it has not ended in time.
    """
    plan = _plan(what)
    plan = replace(plan, streams=[*plan.streams, *(Stream(name, source) for name, source in streams.items())])
    pull = Pull()
    work = Run(plan, pull)
    late = threading.Event()

    def stop() -> None:
        late.set()
        work.pipeline.stop()

    timer = threading.Timer(timeout, stop)
    timer.start()
    try:
        work.start()
        frames = list(pull.frames())
        work.pipeline.wait()
        if late.is_set():
            raise TimeoutError(f"the pipeline has not ended within {timeout:g} s; it gave {len(frames)} frames")
        raise_first(work.summary().errors)
        return frames
    finally:
        timer.cancel()
        timer.join()
        work.pipeline.stop()


def _plan(what: Flow | Plan | Path | str) -> Plan:
    if isinstance(what, Flow):
        return what.plan
    if isinstance(what, Plan):
        return what
    return load(what) if isinstance(what, Path) else loads(what)
