"""Every example runs, on a clip and a model made here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from millrace.testing.clips import numbered_clip
from millrace.testing.models import make_detector

FOLDER = Path(__file__).parents[1] / "examples"
EXAMPLES = sorted(path.name for path in FOLDER.iterdir() if path.suffix in (".py", ".yaml"))
SAYS = {
    "quickstart.py": "30 frames at",
    "iterate.py": "car 1 at 16,16 to 60,60",
    "custom_element.py": "frame 20:",
    "own_parser.py": "29 [",
    "function_element.py": "clip: 30 of 30 frames have large objects",
    "explicit_pipeline.py": "limit: ",
    "pipeline.yaml": "30 frames in",
    "zones.yaml": "30 frames in",
}
WRITES = {
    "quickstart.py": ("out.mp4", "out.jsonl"),
    "function_element.py": ("large.jsonl",),
    "pipeline.yaml": ("annotated.mp4", "events.jsonl"),
    "zones.yaml": ("counts.jsonl",),
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    numbered_clip(path, frames=30, width=128, height=96)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_detector(tmp_path_factory.mktemp("model") / "model.onnx", [(8, 8, 30, 30, 0.9, 2)])


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name: str, clip: Path, model: str, tmp_path: Path) -> None:
    path = FOLDER / name
    assert len(path.read_text().splitlines()) < 40
    program = [str(path)] if path.suffix == ".py" else ["-m", "millrace", "run", str(path)]
    given = [str(clip), model] if path.suffix == ".py" else []
    if name in ("custom_element.py", "explicit_pipeline.py"):
        given = [str(clip)] * (2 if name.startswith("explicit") else 1)
    environment = {**os.environ, "VIDEO": str(clip), "MODEL": model, "PYTHONPATH": str(FOLDER.parent)}
    done = subprocess.run(
        [sys.executable, *program, *given], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert SAYS[name] in done.stdout
    for written in WRITES.get(name, ()):
        assert (tmp_path / written).stat().st_size > 0
