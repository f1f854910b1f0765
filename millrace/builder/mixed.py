"""BF16 but for the layers that suffer most: OpenVINO runs these in FP32 (what "mixed precision" is in TensorRT).

The graph is written as OpenVINO IR, where a layer's mark `precise` keeps it in FP32. Which layers are marked is
measured on pictures that do not judge: the layers, in the order of the graph, are cut into equal parts, and each part
alone is kept in FP32; then each layer of the part that lowers the mean error of the outputs most. The first layers,
which see the picture, are usually those. Every layer in FP32 costs time, so few are tried before many.
"""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as Tree
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from ..engines import Engine
from ..metrics.agreement import errors
from .candidates import OPENVINO, LeftOut
from .quantise import spread
from .trial import Bench, Trial

PARTS = 8
KEPT = (2, 4, 8)  # so many of the worst layers stay in FP32
LOOKED_AT = 8  # pictures on which the error of each part is measured
WEIGHED = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul")
LOWEST = 0.98  # an engine whose error is no smaller than this share of plain BF16's has not been helped


def mixed(bench: Bench, plain: Trial, say: Callable[[str], None]) -> Iterator[LeftOut | Trial]:
    """The engine of `plain` (BF16 on OpenVINO) with a few of its layers, and the worst part of them, in FP32."""
    what = f"openvino {plain.engine.precision}, mixed"
    if not bench.tuning:
        yield LeftOut(what, bench.untuned)
        return
    say("looking for the layers that BF16 harms most")
    try:
        maker = _Maker(bench, plain.engine)
        choices = maker.choices()
    except (ValueError, RuntimeError) as error:  # the second is OpenVINO's
        yield LeftOut(what, str(error).strip().splitlines()[0])
        return
    for keep in choices:
        if bench.late:
            yield LeftOut(what, bench.too_late)
            return
        yield maker.trial(keep, say)


class _Maker:
    """Writes the graph with marks, and tries it."""

    def __init__(self, bench: Bench, engine: Engine) -> None:
        import openvino as ov  # by way of runtimes.openvino, which has run `plain` and keeps its reports off

        from ..runtimes.openvino import core

        self._bench, self._engine = bench, engine
        self._source = bench.folder / "plain.xml"
        path = bench.folder / engine.file if engine.file else bench.subject.path
        model = core().read_model(str(path))
        ov.save_model(model, str(self._source), compress_to_fp16=False)
        self._tree = Tree.parse(self._source)
        self.layers = [
            str(op.get_friendly_name()) for op in model.get_ordered_ops() if op.get_type_name() in WEIGHED
        ]  # fmt: skip
        self._calls = spread(bench.tuning, LOOKED_AT)
        self._reference = bench.answers(bench.subject.runtime, self._calls)

    def choices(self) -> list[list[str]]:
        """The layers to keep in FP32, few to many. Raises ValueError where none stands out."""
        if len(self.layers) < PARTS:
            raise ValueError(f"it has {len(self.layers)} layers with weights only")
        parts = [[str(name) for name in part] for part in np.array_split(np.array(self.layers), PARTS)]
        errors_of = [self.error(part) for part in parts]
        worst = parts[int(np.argmin(errors_of))]
        if min(errors_of) >= LOWEST * self.error([]):
            raise ValueError("no part of its layers stands out")
        if self._bench.late:
            return [worst]
        layers = sorted(worst, key=lambda layer: self.error([layer]))
        return [*(layers[:count] for count in KEPT if count < len(layers)), worst]

    def write(self, name: str, keep: Sequence[str]) -> Path:
        """The graph as `name`.xml and .bin, with these layers in FP32."""
        root = self._tree.getroot()
        wanted = set(keep)
        for layer in root.iter("layer"):
            for old in layer.findall("rt_info"):
                if old.get("made") == "here":
                    layer.remove(old)
            if layer.get("name") in wanted:
                layer.insert(1 if layer.find("data") is not None else 0, _mark())
        path = self._bench.folder / f"{name}.xml"
        self._tree.write(path, encoding="utf-8", xml_declaration=True)
        shutil.copy(self._source.with_suffix(".bin"), path.with_suffix(".bin"))
        return path

    def error(self, keep: Sequence[str]) -> float:
        """The mean error of the outputs on the pictures for tuning, with these layers in FP32."""
        path = self.write("looked_at", keep)
        engine = Engine("openvino", {**self._engine.options, "precision": OPENVINO[self._engine.precision]})
        with closing(engine.load(path)) as runtime:
            return errors(self._reference, self._bench.answers(runtime, self._calls))[1]

    def trial(self, keep: Sequence[str], say: Callable[[str], None]) -> Trial:
        note = [self._engine.note] if self._engine.note else []
        note.append(f"{len(keep)} of {len(self.layers)} layers in FP32")
        path = self.write(f"mixed-{len(keep)}", keep)
        engine = Engine("openvino", self._engine.options, self._engine.precision, file=path.name, note=", ".join(note))
        say(f"trying {engine.label}")
        return self._bench.screen(engine)


def _mark() -> Any:
    mark = Tree.Element("rt_info", {"made": "here"})
    Tree.SubElement(mark, "attribute", {"name": "precise", "version": "0"})
    return mark
