"""The INT8 candidates: ways of calibrating, and what to leave out where too much is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec

from ..core.errors import MissingExtraError
from ..engines import Engine
from ..engines.machine import cpu
from .candidates import LeftOut
from .quantise import Quantiser, spread
from .trial import Bench, Trial
from .wishes import Method, Wishes

LOOKED_AT = 3  # pictures on which the harm of each layer is measured
SHARES = (0.03, 0.1, 0.25, 0.5)  # of the layers that stay in FP32, until the limit is kept
VNNI = {"avx512_vnni", "avx_vnni", "asimddp", "i8mm"}


def int8(bench: Bench, wishes: Wishes, base: Engine, say: Callable[[str], None]) -> Iterator[LeftOut | Trial]:
    """Each way of calibrating; the best of them with every operator too; and without its most sensitive layers."""
    if not bench.tuning:
        yield LeftOut("onnx int8", bench.untuned)
        return
    try:
        say("preparing INT8")
        quantiser = Quantiser(
            bench.subject.path, bench.folder, bench.tuning, saturates=not VNNI & set(cpu()[1].split())
        )
    except (ValueError, MissingExtraError) as error:
        yield LeftOut("onnx int8", str(error))
        return
    if not quantiser.nodes:
        yield LeftOut("onnx int8", "no convolution or product to quantise")
        return
    maker = _Maker(bench, quantiser, base, say)
    trials: dict[Method, Trial] = {}
    for method in wishes.methods:
        if bench.late:
            yield LeftOut(f"onnx int8, {method}", bench.too_late)
            continue
        trials[method] = maker.trial(f"int8-{method}.onnx", method)
        yield trials[method]
    judged = [method for method, trial in trials.items() if trial.accuracy is not None]
    if not judged or bench.late:
        return
    method = max(judged, key=lambda each: trials[each].accuracy.agreement)  # type: ignore[union-attr]
    if trials[method].refused is None:
        yield maker.trial("int8-all.onnx", method, everything=True)
        yield from maker.elsewhere(trials[method], wishes)
    elif trials[method].promise > 1.0:  # with fewer layers in INT8 it gets no faster than with all
        yield from _without_sensitive(maker, method)


def _without_sensitive(maker: _Maker, method: Method) -> Iterator[Trial]:
    """Ever more layers in FP32, those first that harm most alone, until the limit is kept or nothing is gained."""
    bench, quantiser = maker.bench, maker.quantiser
    maker.say(f"INT8: measuring the harm of each of {len(quantiser.nodes)} layers")
    calls = spread(bench.tuning, LOOKED_AT)
    reference = bench.answers(bench.subject.runtime, calls)
    worst = quantiser.by_error(bench.answers_of, method, calls, reference)
    for share in SHARES:
        exclude = worst[: max(1, round(share * len(worst)))]
        trial = maker.trial(f"int8-{method}-{share}.onnx", method, exclude)
        yield trial
        if trial.refused is None or trial.promise <= 1.0 or bench.late:
            return


class _Maker:
    """Makes quantised files and tries them."""

    def __init__(self, bench: Bench, quantiser: Quantiser, base: Engine, say: Callable[[str], None]) -> None:
        self.bench, self.quantiser, self.base, self.say = bench, quantiser, base, say

    def trial(self, name: str, method: Method, exclude: Sequence[str] = (), everything: bool = False) -> Trial:
        note = f"{method}, per channel"
        note += f", {len(exclude)} of {len(self.quantiser.nodes)} layers in FP32" if exclude else ""
        note += ", every operator" if everything else ""
        engine = replace(self.base, precision="int8", file=name, note=note)
        self.say(f"trying {engine.label}")
        try:
            self.quantiser.write(name, method, exclude, everything)
        except ValueError as error:
            return Trial(engine, refused=str(error))
        return self.bench.screen(engine)

    def elsewhere(self, trial: Trial, wishes: Wishes) -> Iterator[Trial]:
        """The same file on the other runtime that knows such files."""
        if find_spec("openvino") is None or (wishes.runtimes is not None and "openvino" not in wishes.runtimes):
            return
        engine = replace(trial.engine, runtime="openvino")
        self.say(f"trying {engine.label}")
        yield self.bench.screen(engine)
