"""The whole of `millrace build`: candidates → judged and measured → the fastest that is allowed → kept."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..core.errors import ConfigError, MissingExtraError
from ..engines import Built, Engine, cache, machine
from .calibration import Pictures, pictures
from .candidates import DEFAULT, LeftOut, candidates, default
from .int8 import int8
from .measure import NOISY, By, take_turns
from .mixed import mixed
from .quantise import to_half
from .report import Report
from .rewrite import unfocus
from .subject import Subject, open_subject
from .trial import Bench, Trial
from .wishes import Wishes

Say = Callable[[str], None]
AGAIN = "the default, again"


def build(
    model: str,
    sources: Sequence[str] = (),
    wishes: Wishes | None = None,
    *,
    device: str = "cpu",
    crops_of: str | None = None,
    classes: Sequence[str] | None = None,
    fresh: bool = False,
    say: Say = lambda text: None,
) -> Report:
    """Find the engine for `model` on this machine and keep it; `run` takes it from then on.

    `sources`: videos, folders or globs whose frames it is judged on; `crops_of`: a detector, whose objects (of
    `classes`) are the pictures. What was built before with the same settings is answered at once, unless `fresh`.
    Raises ConfigError for a model, source or setting that is wrong.
    """
    wishes = wishes or Wishes()
    began = time.monotonic()
    subject = open_subject(model, device)
    try:
        if not subject.path.is_file():
            raise ConfigError(f"{model}: engines are built for models that are files here, not folders or addresses")
        settings = wishes.settings() | {"judged": [*map(_source, sources), crops_of, *(classes or ())]}
        before = None if fresh else cache.same(subject.path, device, settings)
        if before is not None:
            return replace(Report.from_dict(before.facts["report"]), built=before, cached=True)
        say("preparing pictures")
        count = wishes.frames + wishes.frames // 2
        given = pictures(sources, subject.spec, count, crops_of, list(classes or ()) or None)
        with cache.kept(subject.path, device, settings) as folder:
            report = _choose(subject, given, wishes, folder, say)
            report = replace(report, took=time.monotonic() - began)
            built = _keep(report, subject, folder, settings)
        found = cache.same(subject.path, device, settings)
        return replace(report, built=found or built)
    finally:
        subject.close()


def _choose(subject: Subject, given: Pictures, wishes: Wishes, folder: Path, say: Say) -> Report:
    with TemporaryDirectory(dir=folder, prefix=".work-") as place:
        work = Path(place)
        judging, tuning = given.held_out()
        bench = Bench(subject, judging, wishes, work, tuning)
        trials: list[Trial] = []
        left_out: list[LeftOut] = []
        for candidate in _all(bench, wishes, trials, say):
            if isinstance(candidate, LeftOut):
                left_out.append(candidate)
            elif isinstance(candidate, Trial):
                trials.append(candidate)
            elif trials and bench.late:
                left_out.append(LeftOut(candidate.label, bench.too_late))
            else:
                say(f"trying {candidate.label}")
                trials.append(bench.screen(candidate))
        trials, noise, by = _final(bench, trials, wishes, say)
        chosen = choose(trials, noise)
        if chosen.engine.file is not None:
            for file in (work / chosen.engine.file).parent.glob(f"{Path(chosen.engine.file).stem}.*"):
                shutil.copy(file, folder / file.name)  # an .xml has its weights beside it
    return Report(
        model=subject.path.name,
        device=subject.device,
        kind=subject.kind,
        judged_on=f"{len(judging)} {given.what}",
        tuned_on=f"{len(bench.tuning)} others, from earlier in each source" if bench.tuning else bench.untuned,
        machine=machine.machine(),
        versions=machine.versions(),
        settings=wishes.settings(),
        trials=trials,
        left_out=left_out,
        noise=noise,
        by=by,
        chosen=trials.index(chosen),
        rounds=wishes.rounds,
    )


def choose(trials: Sequence[Trial], noise: float) -> Trial:
    """The fastest that is allowed and faster than the default by more than the noise; else the default, the first.

    Of several that the measurement cannot tell from the fastest, the one whose answers are nearest to FP32.
    """
    able = [trial for trial in trials if trial.final and trial.refused is None and trial.gain > 1.0 + noise]
    most = max((trial.gain for trial in able), default=0.0)
    equal = [trial for trial in able if trial.gain >= most / (1.0 + noise)]
    return max(equal, key=lambda trial: (_agreement(trial), trial.gain), default=trials[0])


def _agreement(trial: Trial) -> float:
    return trial.accuracy.agreement if trial.accuracy else 0.0


def _all(bench: Bench, wishes: Wishes, trials: list[Trial], say: Say) -> Iterator[Engine | LeftOut | Trial]:
    """Every candidate, those first that are likely to win; `trials`: what came of those before."""
    plain = list(candidates(bench.subject, wishes))
    on_cpu = bench.subject.device == "cpu" and bench.subject.path.suffix == ".onnx"
    first, *others = [*plain, *(_rewritten(bench, plain) if on_cpu else [])]
    yield first
    yield from sorted(others, key=_rank)  # stable: else in the order in which they were thought of
    if "bf16" in wishes.precisions and bench.subject.device == "cpu":
        yield from _mixed(bench, wishes, trials, say)
    if on_cpu:
        yield from _from_files(bench, wishes, say)


def _rank(candidate: Engine | LeftOut) -> int:
    """Several calls of one thread give most pictures where frames of many streams wait; fewer bits are quicker."""
    if isinstance(candidate, LeftOut):
        return 0
    spread = candidate.options.get("threads", 1) == 1 and candidate.batch == 1
    return 1 + 2 * (not spread) + (candidate.precision == "fp32" and candidate.file is None)


def _mixed(bench: Bench, wishes: Wishes, trials: Sequence[Trial], say: Say) -> Iterator[LeftOut | Trial]:
    """The best BF16 engine with its sensitive layers in FP32, if BF16 is quicker here at all."""
    lower = [trial for trial in trials if (trial.engine.runtime, trial.engine.precision) == ("openvino", "bf16")]
    lower = [trial for trial in lower if trial.accuracy is not None]
    if not lower:
        return
    # One short measurement of time tells engines apart that differ by far; these do not, so processor time decides.
    best = min(lower, key=lambda trial: trial.latency if wishes.goal == "latency" else trial.cpu)
    if best.promise <= 1.0:
        yield LeftOut("openvino bf16, mixed", "BF16 is no quicker here")
    elif bench.late:
        yield LeftOut("openvino bf16, mixed", bench.too_late)
    else:
        yield from mixed(bench, best, say)


def _from_files(bench: Bench, wishes: Wishes, say: Say) -> Iterator[Engine | LeftOut | Trial]:
    """FP16 and INT8, which need a file of their own."""
    base = default(bench.subject)
    for precision in ("fp16", "int8"):
        if precision in wishes.precisions and bench.late:
            yield LeftOut(f"onnx {precision}", bench.too_late)
        elif precision in wishes.precisions:
            yield from _half(bench, base, say) if precision == "fp16" else int8(bench, wishes, base, say)


def _half(bench: Bench, base: Engine, say: Say) -> Iterator[Engine | LeftOut]:
    try:
        say("converting to FP16")
        to_half(bench.subject.path, bench.folder / "fp16.onnx")
        yield Engine("onnx", dict(base.options), "fp16", file="fp16.onnx")
    except (ValueError, MissingExtraError) as error:
        yield LeftOut("onnx fp16", str(error))


def _rewritten(bench: Bench, plain: Sequence[Engine | LeftOut]) -> Iterator[Engine | LeftOut]:
    """The engines that are plain otherwise, on the graph without its focus."""
    try:
        if not unfocus(bench.subject.path, bench.folder / "unfocused.onnx"):
            return
    except MissingExtraError as error:
        yield LeftOut("rewritten graph", str(error))
        return
    for engine in plain:
        if isinstance(engine, Engine) and engine.batch == 1 and engine.note in ("", DEFAULT):
            yield replace(engine, file="unfocused.onnx", note="focus folded")


def _final(bench: Bench, trials: list[Trial], wishes: Wishes, say: Say) -> tuple[list[Trial], float, By]:
    """The best of the screening and the default, twice, measured in turns; the noise of that; what was compared."""
    able = sorted((t for t in trials[1:] if t.refused is None), key=lambda trial: -trial.promise)
    finalists = [trials[0], *able[: wishes.finalists]]
    if trials[0].refused is not None:
        raise ConfigError(f"{bench.subject.path}: the default engine cannot be used: {trials[0].refused}")
    say(f"measuring {len(finalists)} in turns, {wishes.rounds} rounds")
    with ExitStack() as stack:
        engines: dict[str, Any] = {}
        for name, trial in [*((trial.engine.label, trial) for trial in finalists), (AGAIN, trials[0])]:
            runtime = bench.load(trial.engine)
            stack.callback(runtime.close)
            engines[name] = (runtime, bench.batched(trial.engine), trial.engine.batch)
        turns = take_turns(engines, wishes.rounds, wishes.seconds, wishes.goal == "latency")
    base = trials[0].engine.label
    by: By = "time"
    noise = turns.noise(base, AGAIN)
    if noise > NOISY and wishes.goal == "throughput":
        noise, by = turns.noise(base, AGAIN, "cpu"), "cpu"
    for trial in finalists:
        name = trial.engine.label
        better = replace(trial, rate=turns.rate(name), cpu=turns.cpu(name), gain=turns.gain(name, base, by), final=True)
        trials[trials.index(trial)] = better
    return trials, noise, by


def _keep(report: Report, subject: Subject, folder: Path, settings: Mapping[str, Any]) -> Built:
    best = report.trials[report.chosen]
    facts = {"report": report.to_dict(), "accuracy": best.accuracy.agreement if best.accuracy else None}
    built = Built(best.engine, folder, subject.path.name, subject.device, time.time(), report.took, best.gain, facts)
    cache.write(folder, built, settings)
    (folder / "report.html").write_text(report.html(), encoding="utf-8")
    return built


def _source(source: str) -> list[Any]:
    """A source and what tells whether it has changed."""
    try:
        facts = os.stat(source)
    except OSError:
        return [source]
    return [os.path.realpath(source), facts.st_size, facts.st_mtime_ns]
