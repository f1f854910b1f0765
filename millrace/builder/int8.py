"""The INT8 candidates: ways of calibrating, and what to leave out where too much is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from ..core.errors import MissingExtraError
from ..engines import Engine
from ..engines.machine import cpu
from .candidates import LeftOut
from .quantise import Quantiser, spread
from .trial import Bench, Trial
from .wishes import Wishes

LOOKED_AT = 3  # pictures on which the harm of each layer is measured
SHARES = (0.03, 0.1, 0.25, 0.5)  # of the layers that stay in FP32, until the limit is kept
VNNI = {"avx512_vnni", "avx_vnni", "asimddp", "i8mm"}


def int8(bench: Bench, wishes: Wishes, base: Engine, say: Callable[[str], None]) -> Iterator[LeftOut | Trial]:
    """Each way of calibrating; the best of them with every operator too; and without its most sensitive layers."""
    try:
        say("preparing INT8")
        calls = spread(bench.calls, max(1, len(bench.calls) // 2))
        quantiser = Quantiser(bench.subject.path, bench.folder, calls, saturates=not VNNI & set(cpu()[1].split()))
    except (ValueError, MissingExtraError) as error:
        yield LeftOut("onnx int8", str(error))
        return
    if not quantiser.nodes:
        yield LeftOut("onnx int8", "no convolution or product to quantise")
        return
    trials: list[Trial] = []
    for method in wishes.methods:
        trials.append(_try(bench, quantiser, base, f"int8-{method}.onnx", method, (), say))
        yield trials[-1]
    judged = [trial for trial in trials if trial.accuracy is not None]
    if not judged:
        return
    best = max(judged, key=lambda trial: trial.accuracy.agreement if trial.accuracy else 0.0)
    method = wishes.methods[trials.index(best)]
    if best.refused is None:
        yield _try(bench, quantiser, base, "int8-all.onnx", method, (), say, everything=True)
        return
    yield from _without_sensitive(bench, quantiser, base, best, method, say)


def _without_sensitive(
    bench: Bench, quantiser: Quantiser, base: Engine, best: Trial, method: str, say: Callable[[str], None]
) -> Iterator[Trial]:
    """Ever more layers in FP32, those first that harm most alone, until the limit is kept or nothing is gained."""
    if best.gain <= 1.0:
        return  # with fewer layers in INT8 it gets no faster than with all
    say(f"INT8: measuring the harm of each of {len(quantiser.nodes)} layers")
    looked = spread(list(zip(bench.calls, bench.reference, strict=True)), LOOKED_AT)  # type: ignore[arg-type]
    calls, reference = [pair[0] for pair in looked], [pair[1] for pair in looked]  # type: ignore[index]
    worst = quantiser.by_error(bench.answers_of, method, calls, reference)  # type: ignore[arg-type]
    for share in SHARES:
        exclude = worst[: max(1, round(share * len(worst)))]
        trial = _try(bench, quantiser, base, f"int8-{method}-{share}.onnx", method, exclude, say)
        yield trial
        if trial.refused is None or trial.gain <= 1.0:
            return


def _try(
    bench: Bench, quantiser: Quantiser, base: Engine, name: str, method: str, exclude: list[str] | tuple[str, ...],
    say: Callable[[str], None], everything: bool = False,
) -> Trial:  # fmt: skip
    note = f"{method}, per channel"
    note += f", {len(exclude)} of {len(quantiser.nodes)} layers in FP32" if exclude else ""
    note += ", every operator" if everything else ""
    engine = replace(base, precision="int8", file=name, note=note)
    say(f"trying {engine.label}")
    try:
        quantiser.write(name, method, exclude, everything)  # type: ignore[arg-type]
    except ValueError as error:
        return Trial(engine, refused=str(error))
    return bench.screen(engine)
