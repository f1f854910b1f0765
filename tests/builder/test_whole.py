"""The whole of `millrace build`, on networks made here."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from builder.networks import make_classifier

from millrace.builder import Wishes, build
from millrace.builder.calibration import pictures
from millrace.builder.report import Report
from millrace.builder.subject import open_subject
from millrace.core import ConfigError
from millrace.engines import cache
from millrace.media import InputSpec
from millrace.testing.models import make_detector, make_level_model

QUICK = Wishes(frames=24, rounds=3, seconds=0.02, finalists=2)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MILLRACE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    """A folder of 42 pictures of their own."""
    import cv2

    place = tmp_path / "pictures"
    place.mkdir()
    random = np.random.default_rng(1)
    for number in range(42):
        cv2.imwrite(str(place / f"{number:02}.png"), random.integers(0, 255, (32, 32, 3), np.uint8))
    return str(place)


def test_a_classifier_is_built_kept_and_answered_from_the_cache(tmp_path, folder):
    model = make_classifier(tmp_path / "m.onnx")
    said = []
    report = build(str(model), [folder], QUICK, say=said.append)
    assert report.kind == "classes" and not report.cached
    assert report.trials[0].engine.label.endswith("the default") and report.trials[0].gain == 1.0
    tried = {trial.engine.precision for trial in report.trials}
    assert {"fp32", "fp16", "int8"} <= tried
    assert any("int8" in text for text in said)
    assert all(trial.accuracy.agreement >= 0.97 for trial in report.trials if trial.final)
    found = cache.find(model)
    assert found.engine == report.best.engine
    with_file = found.load(model)
    with_file.close()

    again = build(str(model), [folder], QUICK)
    assert again.cached and again.trials == report.trials and again.took == report.took
    assert not build(str(model), [folder], Wishes(**{**vars_of(QUICK), "accuracy": 0.5})).cached


def vars_of(wishes):
    return {name: getattr(wishes, name) for name in type(wishes).__slots__}


def test_a_detector_is_judged_by_its_detections(tmp_path, folder):
    boxes = [(8.0, 12.0, 24.0, 44.0, 0.9, 2)]
    model = make_detector(tmp_path / "d.onnx", boxes, classes=5, batch=None)
    report = build(model, [folder], Wishes(**{**vars_of(QUICK), "precisions": ("fp32",)}))
    assert report.kind == "detections"
    judged = report.trials[0].accuracy
    assert (judged.how, judged.agreement, judged.evidence) == ("F1", 1.0, 24)
    assert report.judged_on.startswith("24 frames of ") and report.tuned_on.startswith("12 others")
    batched = [trial for trial in report.trials if trial.engine.batch > 1]
    assert {trial.engine.batch for trial in batched} == {2, 4, 8}
    assert all(trial.rate > 0 and "one by one" in trial.refused for trial in batched)  # measured, but not taken


def test_two_detections_are_too_few_to_allow_a_loss(tmp_path, folder):
    model = make_level_model(tmp_path / "m.onnx", width=16, height=16)
    report = build(model, [folder], Wishes(**{**vars_of(QUICK), "frames": 2}))
    lossy = [trial for trial in report.trials if trial.accuracy and not trial.accuracy.exact]
    assert all("too few to judge by" in trial.refused for trial in lossy)


def test_what_judges_tunes_nothing(tmp_path, folder, clip):
    both = pictures([folder, str(clip(count=60))], InputSpec(16, 16, fit="stretch"), 36)
    assert sorted(set(both.sources)) == [0, 1]
    judge, tune = both.held_out()
    assert 10 <= len(tune) <= 12 and len(judge) + len(tune) == len(both.tensors)
    whole = [tensor.tobytes() for tensor in both.tensors]
    assert sorted(tensor.tobytes() for tensor in judge + tune) == sorted(whole)
    first = both.sources.index(1)
    mine = [tensor.tobytes() for tensor in tune[first // 3 :]]
    assert mine == whole[first : first + len(mine)]  # the beginning of each source


def test_too_few_pictures_tune_nothing_and_it_is_said(tmp_path, folder):
    model = make_classifier(tmp_path / "m.onnx")
    report = build(str(model), [folder], Wishes(**{**vars_of(QUICK), "frames": 12, "runtimes": ("onnx",)}))
    assert "6 pictures besides those that judge are too few to tune on: 8 are needed" in report.tuned_on
    assert [each.why for each in report.left_out if each.what == "onnx int8"] == [report.tuned_on]
    assert "too few to tune on" in report.html()


def test_when_the_time_is_over_what_there_is_decides(tmp_path, folder):
    model = make_classifier(tmp_path / "m.onnx")
    report = build(str(model), [folder], Wishes(**{**vars_of(QUICK), "within": 0.01}))
    assert len(report.trials) == 1 and report.chosen == 0
    late = [each.what for each in report.left_out if each.why == "the 0.01 s were over"]
    assert {"onnx fp16", "onnx int8"} <= set(late) and any("denormals" in what for what in late)


def test_the_report_as_a_page_and_as_json(tmp_path, folder):
    model = make_classifier(tmp_path / "<m>.onnx")
    report = build(str(model), [folder], QUICK)
    page = report.html()
    assert "<m>" not in page and "&lt;m&gt;.onnx" in page  # names are escaped
    assert "http" not in page.replace("http-equiv", "")  # nothing is fetched from elsewhere
    assert all(trial.engine.label in page for trial in report.trials)
    copy = Report.from_dict(json.loads(json.dumps(report.to_dict())))
    assert copy.trials == report.trials and copy.left_out == report.left_out and copy.chosen == report.chosen
    assert (cache.find(model).folder / "report.html").read_text() == page


def test_a_card_tells_how_a_model_that_nobody_reads_wants_its_pictures(tmp_path):
    make_classifier(tmp_path / "m.onnx")
    (tmp_path / "m.yaml").write_text("input: {colour: BGR, scale: 0.5}\n")
    subject = open_subject(str(tmp_path / "m.onnx"))
    try:
        assert (subject.spec.colour, subject.spec.scale, subject.spec.width) == ("BGR", 0.5, 16)
    finally:
        subject.close()


def test_calibration_pictures_are_evenly_spread(tmp_path, folder, clip):
    spec = InputSpec(16, 16, fit="stretch")
    video = clip(count=100)
    taken = pictures([str(video)], spec, 10)
    levels = [float(tensor.mean()) for tensor in taken.tensors]
    assert len(levels) == 10 and len({round(level) for level in levels}) >= 8
    both = pictures([str(video), folder], spec, 10)
    assert len(both.tensors) == 10 and "clip.mp4, pictures" in both.what
    assert pictures([], spec, 4).what.startswith("frames of a generated street")


def test_tensors_that_a_run_kept_are_taken_as_they_are(tmp_path):
    spec = InputSpec(16, 16, fit="stretch")
    kept = np.random.default_rng(2).random((5, 3, 16, 16), np.float32)
    np.savez(tmp_path / "kept.npz", pictures=kept, what="5 frames of gate")
    taken = pictures([str(tmp_path / "kept.npz")], spec, 4)
    assert taken.what == "5 frames of gate" and np.array_equal(np.concatenate(taken.tensors), kept[:4])
    with pytest.raises(ConfigError, match="the model wants"):
        pictures([str(tmp_path / "kept.npz")], InputSpec(32, 16), 4)
    (tmp_path / "bad.npz").write_bytes(b"no")
    with pytest.raises(ConfigError, match="not a file of prepared pictures"):
        pictures([str(tmp_path / "bad.npz")], spec, 4)


def test_crops_are_those_of_the_detectors_objects(tmp_path, folder):
    boxes = [(8.0, 8.0, 40.0, 40.0, 0.9, 2), (0.0, 0.0, 4.0, 4.0, 0.8, 2)]  # the second is too small
    detector = make_detector(tmp_path / "d.onnx", boxes, classes=5)
    taken = pictures([folder], InputSpec(16, 16, fit="stretch"), 24, detector)
    assert len(taken.tensors) == 24 and taken.what == "objects found by d.onnx of pictures"
    with pytest.raises(ConfigError, match="no picture to judge by was found by"):
        pictures([folder], InputSpec(16, 16), 24, detector, ["3"])


def test_wrong_inputs_are_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="there is no file"):
        build(str(tmp_path / "none.onnx"))
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ConfigError, match="not a model"):
        build(str(tmp_path / "bad.onnx"))
    assert cache.listed() == []


def millrace(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-m", "millrace", *arguments], cwd=cwd, capture_output=True, text=True, timeout=100,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_the_command_prints_a_table_and_lists_and_clears(tmp_path, folder):
    model = make_classifier(tmp_path / "m.onnx")
    asked = ["build", str(model), "--calibrate", folder, "--rounds", "3", "--seconds", "0.02", "--frames", "24", "-q"]
    code, out, err = millrace(*asked, "--html", "page.html", cwd=tmp_path)
    assert (code, err) == (0, "")
    assert "the default" in out and "int8" in out and "chosen" in out and "noise" in out
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    code, out, _ = millrace(*asked, cwd=tmp_path)
    assert code == 0 and "s saved" in out
    assert "m.onnx" in millrace("build", "--list", cwd=tmp_path)[1]
    assert "1 engine deleted" in millrace("build", "--clear", cwd=tmp_path)[1]
    assert "no engine is kept" in millrace("build", "--list", cwd=tmp_path)[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "build what?"),
        (["m.onnx", "--goal", "througput"], "Did you mean 'throughput'?"),
        (["m.onnx", "--precisions", "int8"], "fp32 is always among them"),
        (["m.onnx", "--runtimes", "onxx"], "Did you mean 'onnx'?"),
        (["m.onnx", "--html", "nowhere/p.html"], "does not exist"),
    ],
)
def test_wrong_options_are_one_sentence(arguments, said, tmp_path, capfd):
    from millrace.cli import invoke

    assert invoke(["build", *arguments]) == 2
    assert said in capfd.readouterr().err


def test_beside_a_pipeline_it_waits_for_its_turn(tmp_path, folder):
    """As `optimize: background` starts it; a second one waits while another builds."""
    import fcntl

    model = make_classifier(tmp_path / "m.onnx")
    asked = [sys.executable, "-m", "millrace", "build", str(model), "--calibrate", folder, "--beside", "-q",
             "--precisions", "fp32", "--runtimes", "onnx"]  # fmt: skip
    (tmp_path / "cache").mkdir()
    with open(tmp_path / "cache" / "building.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        child = subprocess.Popen(asked, cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.getcwd()},
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
        with pytest.raises(subprocess.TimeoutExpired):
            child.communicate(timeout=1.5)
    _, said = child.communicate(timeout=100)
    assert (child.returncode, said) == (0, b"")
    assert cache.find(model) is not None
