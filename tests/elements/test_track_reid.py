"""Re-identification in the track element: a model asked over the frames of a batch, or embeddings that came along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from millrace.core.caps import Caps
from millrace.core.element import Context
from millrace.core.errors import ConfigError
from millrace.core.item import StreamStart
from millrace.elements.track import Track
from millrace.media import Batch, Frame, Image, Object, box
from millrace.testing.models import make_detector, make_vector_model

CAPS = Caps("frames", width=160, height=120)
COLOURS = [(200, 30, 30), (30, 30, 200), (30, 200, 30)]
NVREID = """%YAML:1.0
DataAssociator:
  associationMatcherType: 1
  matchingScoreWeight4Iou: 0.5
  matchingScoreWeight4ReidSimilarity: 0.5
ReID:
  reidType: 1
  reidFeatureSize: 48
  inferDims: [3, 16, 16]
  netScaleFactor: 0.00392156862745098
  keepAspc: 0
  outputReidTensor: {shown}
  onnxFile: {model}
"""


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "v.yaml").write_text("kind: embedding\ninput: {scale: 0.00392156862745098, mean: 0, std: 1}\n")
    return str(make_vector_model(tmp_path / "v.onnx"))


def opened(*streams: str, **settings: Any) -> tuple[Track, list[str]]:
    track, warned = Track(**settings), []  # type: ignore[var-annotated]
    track.open(Context("track", lambda: None, lambda message, stream: warned.append(message)))
    for stream in streams:
        track.start_stream(StreamStart(stream, CAPS))
    return track, warned


def frame(n: int, places: dict[int, float], stream: str = "a", inferred: bool = True) -> Frame:
    """Things of some colours (by number) at some x."""
    pixels = np.full((120, 160, 3), 90, np.uint8)
    objects = []
    for number, x in places.items():
        pixels[40:80, round(x) : round(x) + 20] = COLOURS[number]
        objects.append(Object(box((x, 40, x + 20, 80)), 0, "person", 0.9))
    image = Image("RGB", [pixels], 160, 120)
    return Frame(stream, n, n * 40_000_000, image, objects=objects, inferred=["det"] if inferred else [])


def given(track: Track, *frames: Frame) -> list[Frame]:
    (out,) = track.process(Batch(list(frames)) if len(frames) > 1 else frames[0])
    return list(out.frames) if isinstance(out, Batch) else [out]  # type: ignore[list-item]


def test_a_batch_is_asked_for_at_once(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    track, _ = opened("a", "b", tracker="deepsort", reid=model)
    calls: list[list[str]] = []
    assert track.embedder is not None
    look = track.embedder.look
    monkeypatch.setattr(
        track.embedder, "look", lambda wanted: (calls.append([f.stream for f, _ in wanted]), look(wanted))
    )
    assert vars(track)["process_frame"] is None  # so that the engine does not unpack batches
    a, b = given(track, frame(0, {0: 10, 1: 100}), frame(0, {2: 50}, "b"))
    assert calls == [["a", "a", "b"]]
    looks = [found.embedding for found in [*a.objects, *b.objects]]
    assert [look.shape for look in looks if look is not None] == [(48,)] * 3
    assert float(looks[0] @ looks[1]) < 0.5  # type: ignore[operator]
    given(track, frame(1, {0: 10, 1: 100}, inferred=False))
    assert len(calls) == 1
    track.close()


def test_frames_of_one_stream_in_a_batch_come_one_after_the_other(model: str) -> None:
    track, _ = opened("a", tracker="deepsort", reid=model)
    out = given(track, *(frame(n, {0: 10.0 + n, 1: 100}) for n in range(4)))
    assert [[found.id for found in each.objects] for each in out] == [[1, 2]] * 4
    track.close()


def test_who_comes_back_has_its_identity(model: str) -> None:
    track, _ = opened("a", tracker="deepsort", reid=model, max_age=0.4)
    for n in range(15):
        given(track, frame(n, {0: 20, 1: 100}))
    for n in range(15, 40):
        given(track, frame(n, {1: 100}))
    seen: list[int | None] = []
    for n in range(40, 50):
        (back,) = given(track, frame(n, {0: 40, 1: 100}))
        seen = [found.id for found in back.objects]
    assert seen == [1, 2]
    track.close()


def test_embeddings_that_came_along_are_taken(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    track, _ = opened("a", tracker="deepsort", reid=model)
    assert track.embedder is not None
    monkeypatch.setattr(track.embedder, "look", lambda wanted: pytest.fail("nobody need be asked"))
    shown = frame(0, {0: 10})
    shown.objects[0].embedding = np.ones(48, np.float32) / np.sqrt(48, dtype=np.float32)
    given(track, shown)
    track.close()


@pytest.mark.parametrize("shown", [0, 1])
def test_deepstreams_file_names_its_network(tmp_path: Path, model: str, shown: int) -> None:
    (tmp_path / "deepsort.yml").write_text(NVREID.format(model=model, shown=shown))
    track, warned = opened("a", config=str(tmp_path / "deepsort.yml"))
    assert not warned and track.embedder is not None
    assert track.embedder.loaded.card.batch == 100
    ids = []
    for n in range(8):
        (out,) = given(track, frame(n, {0: 10, 1: 100}))
        ids = [found.id for found in out.objects]
        assert [found.embedding is not None for found in out.objects] == [bool(shown)] * 2
    assert ids == [1, 2]
    assert len(track.trackers["a"].looks.slots) == 2  # type: ignore[attr-defined]
    track.close()


def test_a_network_that_is_not_there_is_told_and_motion_goes_on(tmp_path: Path, model: str) -> None:
    text = NVREID.format(model="/opt/nvidia/deepstream/reid.onnx", shown=1)
    (tmp_path / "deepsort.yml").write_text(text)
    track, warned = opened("a", config=str(tmp_path / "deepsort.yml"))
    assert "reid.onnx" in warned[0] and "`reid`" in warned[0]
    assert track.trackers["a"].rules.appearance() is None
    other, quiet = opened("a", config=str(tmp_path / "deepsort.yml"), reid=model)
    assert not quiet and other.trackers["a"].rules.appearance() is not None
    other.close()
    along, quiet = opened("a", config=str(tmp_path / "deepsort.yml"), reid="infer")
    assert not quiet and along.embedder is None and along.trackers["a"].rules.appearance() is not None


def test_what_is_no_model_for_it_is_an_error(tmp_path: Path) -> None:
    detector = str(make_detector(tmp_path / "d.onnx", []))
    with pytest.raises(ConfigError, match="no embedding model"):
        opened("a", tracker="deepsort", reid=detector)
    with pytest.raises(ConfigError, match="there is no file"):
        opened("a", tracker="deepsort", reid=str(tmp_path / "nowhere.onnx"))


def test_nobody_has_an_embedding_is_told_once() -> None:
    track, warned = opened("a", tracker="deepsort")
    for n in range(60):
        track.process_frame(frame(n, {0: 10}))
    assert len(warned) == 1 and "embedding" in warned[0]
