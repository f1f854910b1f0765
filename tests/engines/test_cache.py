"""Built engines on disk: found for the right model, machine and versions only; damage counts as not there."""

from __future__ import annotations

import json

import pytest

from millrace.engines import Built, Engine, cache, machine


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MILLRACE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"weights")
    return path


def keep(model, settings=None, file=None, gain=1.5, built=100.0, engine=None):
    settings = settings or {"accuracy": 0.97}
    engine = engine or Engine("onnx", {"parallel": 2, "threads": 1}, file=file)
    with cache.kept(model, "cpu", settings) as place:
        if file:
            (place / file).write_bytes(b"made")
        cache.write(place, Built(engine, place, model.name, "cpu", built, 60.0, gain), settings)
    return engine


def test_what_is_kept_is_found(model):
    assert cache.find(model) is None
    engine = keep(model, file="int8.onnx")
    found = cache.find(model)
    assert found.engine == engine
    assert (found.folder / "int8.onnx").read_bytes() == b"made"
    assert "1.50 times the default" in found.text and "60 s" in found.text


def test_another_model_device_machine_or_version_is_not_served(model, tmp_path, monkeypatch):
    keep(model)
    other = tmp_path / "other.onnx"
    other.write_bytes(b"other weights")
    assert cache.find(other) is None
    assert cache.find(model, "cuda:0") is None
    with monkeypatch.context() as patch:
        patch.setattr(cache, "machine", lambda: {"cpu": "another"})
        assert cache.find(model) is None
        assert [fits for _, fits in cache.listed()] == [False]
    with monkeypatch.context() as patch:
        patch.setattr(cache, "versions", lambda: {"onnxruntime": "99"})
        assert cache.find(model) is None
    assert cache.find(model) is not None


def test_new_weights_under_the_same_name_are_another_model(model):
    keep(model)
    model.write_bytes(b"better weights")
    assert cache.find(model) is None


def test_weights_beside_the_file_count(tmp_path):
    graph, weights = tmp_path / "a.xml", tmp_path / "a.bin"
    graph.write_text("<net/>")
    weights.write_bytes(b"1")
    before = machine.digest(graph)
    weights.write_bytes(b"2")
    assert machine.digest(graph) != before


def test_the_last_one_built_counts_and_each_setting_has_its_own(model):
    keep(model, {"accuracy": 0.97}, gain=1.2, built=100.0)
    keep(model, {"accuracy": 0.5}, gain=2.0, built=200.0)
    assert cache.find(model).gain == 2.0
    assert cache.same(model, "cpu", {"accuracy": 0.97}).gain == 1.2
    assert cache.same(model, "cpu", {"accuracy": 0.9}) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda place: (place / "engine.json").write_text("{half"),
        lambda place: (place / "int8.onnx").unlink(),
        lambda place: (place / "engine.json").write_text(json.dumps({"format": 0})),
        lambda place: (place / "engine.json").write_text("[]"),
        lambda place: change(place, "engine", {"runtime": "abacus", "options": {}}),
        lambda place: change(place, "built", "soon"),
        lambda place: change(place, "facts", None),
    ],
)
def test_a_damaged_engine_is_not_there(model, spoil):
    keep(model, file="int8.onnx")
    spoil(cache.find(model).folder)
    assert cache.find(model) is None
    assert cache.listed() == []


def change(place, key, value):
    file = place / "engine.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))


def test_a_build_that_fails_leaves_nothing(model):
    with pytest.raises(RuntimeError), cache.kept(model, "cpu", {}) as place:
        (place / "half.onnx").write_bytes(b"...")
        raise RuntimeError("stopped")
    assert list(place.parent.iterdir()) == []


def test_clearing_one_model_or_all(model, tmp_path):
    keep(model)
    other = tmp_path / "other.onnx"
    other.write_bytes(b"other weights")
    keep(other)
    assert cache.clear(model) == 1
    assert cache.find(other) is not None
    assert cache.clear() == 1
    assert cache.listed() == []


def test_a_machine_is_told_by_processor_flags_and_cores():
    facts = machine.machine()
    assert facts["cores"] >= 1
    assert len(facts["flags"]) == 16
    assert "onnxruntime" in machine.versions()
