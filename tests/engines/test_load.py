"""What infer loads: the built engine where one fits and nothing else was asked for, and the default when it fails."""

from __future__ import annotations

import shutil
from importlib.util import find_spec

import pytest

from millrace.engines import Built, Engine, cache, engine, open_engine
from millrace.testing.models import make_level_model


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MILLRACE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path):
    return make_level_model(tmp_path / "m.onnx")


def keep(model, file="half.onnx", gain=1.5):
    made = Engine("onnx", {"parallel": 1, "threads": 1}, "fp16", file=file)
    with cache.kept(model, "cpu", {}) as place:
        if file:
            shutil.copy(model, place / file)
        cache.write(place, Built(made, place, "m.onnx", "cpu", 1.0, 60.0, gain), {})


def opened(*arguments, **options):
    found = open_engine(*arguments, **options)
    found.runtime.close()
    return found


def test_the_built_engine_is_taken_and_heeds_parallel(model):
    assert opened(model).built is None
    keep(model)
    assert opened(model).runtime.parallel == 1
    assert opened(model).built.engine.file == "half.onnx"
    assert opened(model, parallel=3).runtime.parallel == 3


def test_the_built_engine_is_told_what_is_read(model, monkeypatch):
    keep(model)
    told, load = [], engine.load_runtime
    monkeypatch.setattr(engine, "load_runtime", lambda *where, **given: told.append(given) or load(*where, **given))
    reads = lambda inputs, outputs, metadata: None  # noqa: E731
    assert opened(model, reads=reads).built.engine.file == "half.onnx"
    assert told == [{"parallel": 1, "threads": 1, "reads": reads}]


@pytest.mark.parametrize("asked", [{"use": "default"}, {"runtime": "onnx"}, {"threads": 2}])
def test_it_is_not_taken_where_something_else_was_asked_for(model, asked):
    keep(model)
    assert opened(model, **asked).built is None


@pytest.mark.skipif(find_spec("openvino") is None, reason="needs millrace[openvino]")
def test_openvino_keeps_what_it_compiled(model):
    made = Engine("openvino", {"parallel": 1, "threads": 1}, "fp32")
    with cache.kept(model, "cpu", {}) as place:
        cache.write(place, Built(made, place, "m.onnx", "cpu", 1.0, 60.0, 1.5), {})
    assert opened(model).built.engine.runtime == "openvino"
    assert any((cache.find(model).folder / "compiled").iterdir())


def test_a_kept_default_is_just_the_default(model):
    keep(model, file=None, gain=1.0)
    assert opened(model).built is None


def test_one_that_cannot_be_loaded_is_passed_over_with_a_word(model):
    keep(model)
    (cache.find(model).folder / "half.onnx").write_bytes(b"spoiled")
    found = opened(model)
    assert found.built is None and "cannot be used" in found.problem


def test_run_says_which_engine_it_used_and_can_do_without(model, clip, tmp_path, capfd):
    from millrace.cli import invoke

    keep(model)
    assert invoke(["run", str(clip()), "--model", model]) == 0
    assert "engine onnx fp16, 1 call of 1 thread (built" in capfd.readouterr().out
    assert invoke(["run", str(clip()), "--model", model, "--no-cache"]) == 0
    assert "engine onnx" not in capfd.readouterr().out


def test_a_recorded_run_names_the_engine(model, clip, tmp_path):
    import json

    from millrace.cli import invoke

    keep(model)
    for more, named in (([], "onnx fp16, 1 call of 1 thread on cpu"), (["--no-cache"], "onnxruntime")):
        assert invoke(["run", str(clip()), "--model", model, "--record", str(tmp_path / "r.jsonl"), "-q", *more]) == 0
        header = json.loads((tmp_path / "r.jsonl").read_text().splitlines()[0])
        assert named in json.dumps(header)
