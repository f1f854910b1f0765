"""BF16 with a few layers in FP32: which they are, what it is worth, and that it is kept and loaded again."""

from __future__ import annotations

import re
from contextlib import closing

import numpy as np
import pytest
from builder.networks import make_cancelling, make_classifier, pictures

from millrace.builder.candidates import LeftOut
from millrace.builder.mixed import mixed
from millrace.builder.subject import open_subject
from millrace.builder.trial import Bench, Trial
from millrace.builder.wishes import Wishes
from millrace.engines import Engine
from millrace.engines.machine import cpu

pytest.importorskip("openvino", reason="openvino is an extra")
if not {"avx512_bf16", "amx_bf16", "bf16"} & set(cpu()[1].split()):
    pytest.skip("the processor has no BF16 arithmetic", allow_module_level=True)

QUICK = Wishes(rounds=3, seconds=0.02)
PLAIN = Engine("openvino", {"parallel": 1, "threads": 1, "precision": "bfloat16"}, "bf16")


@pytest.fixture
def bench(tmp_path):
    opened = []

    def make(model, tuning=16):
        subject = open_subject(str(model))
        opened.append(subject)
        random = pictures(24 + tuning)
        return Bench(subject, random[:24], QUICK, tmp_path, random[24:])

    yield make
    for subject in opened:
        subject.close()


def test_the_layers_that_suffer_stay_in_fp32(tmp_path, bench):
    tried = bench(make_cancelling(tmp_path / "m.onnx"))
    plain = tried.screen(PLAIN)
    assert plain.accuracy.mean > 0.01
    found = list(mixed(tried, plain, lambda text: None))
    assert all(isinstance(each, Trial) for each in found)
    best = min(found, key=lambda trial: trial.accuracy.mean)
    assert best.accuracy.mean < plain.accuracy.mean / 2
    assert re.search(r"\d+ of 12 layers in FP32", best.engine.label)
    assert best.engine.precision == "bf16"
    with closing(best.engine.load(tmp_path / "m.onnx", "cpu", tmp_path)) as runtime:
        assert [info.name for info in runtime.outputs] == ["values"]


def test_what_it_cannot_help_is_said(tmp_path, bench):
    tried = bench(make_classifier(tmp_path / "m.onnx"))
    (why,) = mixed(tried, tried.screen(PLAIN), lambda text: None)
    assert isinstance(why, LeftOut)
    assert "2 layers with weights only" in why.why
    tried = bench(make_cancelling(tmp_path / "n.onnx"), tuning=3)
    (why,) = mixed(tried, tried.screen(PLAIN), lambda text: None)
    assert "3 pictures besides those that judge are too few to tune on" in why.why


def test_pictures_that_tune_judge_nothing(tmp_path, bench):
    tried = bench(make_cancelling(tmp_path / "m.onnx"))
    judging = [call["images"] for call in tried.calls]
    assert not any(np.array_equal(each["images"], other) for each in tried.tuning for other in judging)
