"""Of whose outputs a GPU gives only the best cells, and what is said when these are not enough."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from millrace.core.errors import ConfigError
from millrace.elements import _model
from millrace.elements._model import CellsRead, load_model
from millrace.elements.infer import Infer
from millrace.engines import Opened
from millrace.engines.share import key_of
from millrace.media import ASKED, CELL_CLASSES, CELL_NUMBERS, LEFT_OUT, MASK_WINDOWS, MASKS, Cells, TensorInfo
from millrace.runtimes import load
from millrace.testing.models import make_level_model

IMAGE = TensorInfo("images", (None, 3, 256, 256), "float32")
CELLS = 1344  # of a 256x256 input


class Detector:
    """A runtime of a network with a grid, on a GPU as far as anybody can see."""

    metadata, parallel, batches, device = {}, 2, True, "cuda:0"
    inputs = [IMAGE]

    def __init__(self, shape):
        self.outputs = [TensorInfo("head", (None, *shape), "float32")]
        self.told = []
        self.report = self.told.append

    def close(self):
        pass


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """Loads what a card says for a GPU; gives the model and what its runtime was told of what is read."""

    def open_model(card="", shape=(9, CELLS), device="cuda:0", **settings):
        (tmp_path / "net.onnx").write_bytes(b"")
        (tmp_path / "net.yaml").write_text(f"model: net.onnx\n{card}")
        given = {}

        def open_engine(where, device, runtime, use, **options):
            given.update(options)
            return Opened(Detector(shape))

        monkeypatch.setattr(_model, "open_engine", open_engine)
        infer = Infer(model=str(tmp_path / "net.yaml"), device=device, **settings)
        loaded = infer.load(infer.model)
        return loaded, given.get("reads")

    return open_model


def read(loaded, reads):
    return reads(loaded.runtime.inputs, loaded.runtime.outputs, {})


def test_a_recognised_detector(opened):
    loaded, reads = opened()
    assert loaded.reader.guess.parser == "yolov8"
    assert read(loaded, reads) == Cells("head", 2, 4, 9, boxes="centres")
    loaded, reads = opened(shape=(CELLS, 85))
    assert loaded.reader.guess.parser == "yolox"
    grids = ((8, 32, 32), (16, 16, 16), (32, 8, 8))
    assert read(loaded, reads) == Cells("head", 1, 5, 85, 4, True, "grid", grids)


def test_what_the_card_says_counts(opened):
    loaded, reads = opened("parser: yolov5\n", (CELLS, 85))
    assert read(loaded, reads) == Cells("head", 1, 5, 85, 4, boxes="centres")
    loaded, reads = opened("parser: yolov8\nextras: {coefficients: 2}\n")
    assert read(loaded, reads) == Cells("head", 2, 4, 7, boxes="centres")
    loaded, reads = opened("clustering: groups\n")
    assert read(loaded, reads) is None
    loaded, reads = opened("outputs: [head]\n")
    assert read(loaded, reads) == Cells("head", 2, 4, 9, boxes="centres")


def test_who_wants_the_outputs_gets_them(opened, tmp_path):
    (tmp_path / "mine.py").write_text("def parse(outputs, settings):\n    return []\n")
    assert opened(tensors=True)[1] is None
    assert opened("tensors: true\n")[1] is None
    assert opened("tensors: true\n", tensors=False)[1] is not None
    assert opened("parser: mine.py:parse\n")[1] is None
    assert opened(parser=f"{tmp_path}/mine.py:parse")[1] is None
    assert opened(device="cpu")[1] is None
    loaded, reads = opened(parser="raw")
    assert read(loaded, reads) is None


def test_others_than_infer_get_all(opened, tmp_path, monkeypatch):
    opened()
    given = {}
    monkeypatch.setattr(
        _model, "open_engine", lambda *args, **options: given.update(options) or Opened(Detector((9, CELLS)))
    )
    load_model(str(tmp_path / "net.yaml"), "cuda:0")
    assert given == {}


def test_outputs_that_nobody_knows_are_the_loaders_error(opened):
    with pytest.raises(ConfigError, match="no parser knows these outputs"):
        opened(shape=(7, 7))


def test_those_who_read_the_same_share_a_session(tmp_path):
    path = make_level_model(tmp_path / "m.onnx")

    def key(*facts):
        return key_of(
            path, "cuda:0", "torch", {"graphs": [4], "reads": CellsRead(*facts)} if facts else {"graphs": [4]}
        )

    one = key("yolov8", None, None, None, {"transposed": True})
    assert one == key("yolov8", None, None, None, {"transposed": True})
    others = key("yolov5", None, None, None, {"transposed": True}), key("yolov8", None, None, None, {}), key()
    assert len({one, *others}) == 4


def test_a_runtime_that_leaves_nothing_out_does_not_ask(tmp_path):
    path = make_level_model(tmp_path / "m.onnx")
    load(path, "cpu", reads=CellsRead(None, None, None, None, {})).close()
    with pytest.raises(ValueError, match="no option 'reads'"):
        load(path, "cpu", reads=5)


def outputs_of(count, left_out, numbers=None):
    head = np.zeros((count, 9, 40), np.float32)
    return {"head": head, LEFT_OUT: np.array(left_out, np.float32)} | (
        {} if numbers is None else {CELL_NUMBERS: numbers}
    )


def test_that_too_many_were_sure_is_said_once(opened):
    loaded, _ = opened("confidence: 0.25\n")
    loaded.read(outputs_of(2, [0.1, 0.2]), 2)
    assert loaded.runtime.told == []
    for _ in range(3):
        loaded.read(outputs_of(2, [0.1, 0.25]), 2)
    (text,) = loaded.runtime.told
    assert "at least 0.25 sure" in text
    assert "candidates: 4096" in text


@pytest.mark.parametrize("outputs", ["", "outputs: [head]\n"])
def test_parsers_get_what_is_told_of_cells_and_nothing_else_that_is_not_the_networks(opened, outputs):
    loaded, _ = opened(outputs)
    seen = []
    loaded.reader.parser = lambda outputs, count, settings: seen.append(list(outputs)) or [None]
    numbers = np.zeros((1, 40), np.int32)
    loaded.read(outputs_of(1, [0.0], numbers), 1)
    loaded.parse(outputs_of(1, [0.0], numbers))
    loaded.read({**outputs_of(1, [0.0]), CELL_CLASSES: numbers, ASKED: np.zeros((1, 3), np.float32)}, 1)
    assert seen == [["head", CELL_NUMBERS], ["head", CELL_NUMBERS], ["head", CELL_CLASSES]]


@pytest.mark.parametrize("outputs", ["", "outputs: [head, prototypes]\n"])
def test_masks_stand_for_their_prototypes(opened, outputs):
    loaded, _ = opened()
    loaded.reader.card = replace(loaded.reader.card, outputs=["head", "prototypes"] if outputs else None)
    masks = {MASKS: np.zeros((1, 9), np.float32), MASK_WINDOWS: np.zeros((1, 41, 4), np.int32)}
    given = loaded.reader.given({**outputs_of(1, [0.0]), **masks})
    assert list(given) == ["head", MASKS, MASK_WINDOWS]
    whole = loaded.reader.given({**outputs_of(1, [0.0]), "prototypes": masks[MASKS]})
    assert list(whole) == ["head", "prototypes"]


def test_a_runtime_that_asks_is_told_what_counts_at_the_time(opened):
    loaded, _ = opened("confidence: 0.25\niou: 0.5\n")
    pictures = np.zeros((3, 3, 256, 256), np.float32)
    assert list(loaded.feed(pictures, 3)) == ["images"]
    loaded.runtime.asks = True
    assert loaded.feed(pictures, 3)[ASKED].tolist() == [[0.25, 0.5, 0.0]] * 3
    loaded.reader.configure(confidence=0.5, iou=0.625)
    feed = loaded.feed(pictures, 3)
    assert (feed[ASKED].dtype, feed[ASKED].tolist()) == (np.float32, [[0.5, 0.625, 0.0]] * 3)


def test_an_answer_is_read_by_the_overlap_that_was_asked_for(opened):
    """Who changes it gets the answers that are under way as they were asked for, and not half of each."""
    loaded, _ = opened("iou: 0.45\n")
    used = []
    loaded.reader.parser = lambda outputs, count, settings: used.append(settings.iou) or [None]
    for overlap in (0.45, np.inf, 0.7):
        loaded.read({**outputs_of(1, [0.0]), ASKED: np.array([[0.3, overlap, 0]], np.float32)}, 1)
    loaded.read(outputs_of(1, [0.0]), 1)
    assert used == [0.45, 0.45, float(np.float32(0.7)), 0.45]
