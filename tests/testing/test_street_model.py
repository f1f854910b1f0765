"""The detector that ships with the package."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

import millrace
from millrace.models import card
from millrace.testing.scene import Scene, write_clip
from millrace.testing.score import score

MODEL = Path(millrace.__file__).parent / "models" / "street.onnx"


def test_it_is_small_and_says_what_it_is():
    assert MODEL.stat().st_size <= 3_000_000
    facts = card.read_card(MODEL.with_suffix(".yaml"))
    assert "not for real streets" in facts.description and facts.licence == "Apache-2.0"
    names = onnxruntime.InferenceSession(str(MODEL)).get_modelmeta().custom_metadata_map["names"]
    assert names == str(facts.names()) == str(dict(enumerate(("car", "van", "bicycle", "person"))))


@pytest.mark.parametrize("settings", [{"seed": 31}, {"seed": 32, "dusk": True}])
def test_it_finds_what_is_in_an_unseen_scene(tmp_path, settings):
    truth = write_clip(tmp_path / "scene.mp4", Scene(frame_count=24, **settings))
    lines = tmp_path / "run.jsonl"
    millrace.open(tmp_path / "scene.mp4").infer("street").json(lines).run()
    result = score(lines, truth)
    assert result.precision >= 0.9 and result.recall >= 0.9
