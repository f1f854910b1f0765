"""Files of DeepStream's picture elements, and of labels, with anything in them: read, or one clear error."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millrace.core import ConfigError
from millrace.elements._metamux import read_metamux
from millrace.elements._streammux import read_streammux
from millrace.imaging.dewarp import ways
from millrace.imaging.nvdewarper import read_nvdewarper
from millrace.outputs.labels import LabelError, read_labels

KEYS = (
    "projection-type", "width", "height", "focal-length", "src-fov", "top-angle", "bottom-angle", "pitch", "roll",
    "rot-axes", "rot-matrix", "distortion", "dst-focal-length", "dst-principal-point", "control", "cuda-address-mode",
    "output-width", "output-height", "num-batch-buffers", "batch-size", "adaptive-batching", "overall-max-fps-n",
    "overall-min-fps-d", "max-same-source-frames", "active-pad", "enable", "src-ids-model-1",
    "max-num-frames-per-batch",
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(["0", "1", "4", "18", "-1", "nan", "inf", "1e400", "ZXY", "sink_0", "0;1;2", "1;0;0;0;1;0;0;0;1"]),
    st.integers(-200, 400).map(str), st.floats(width=32).map(str), st.text(max_size=8),
)  # fmt: skip
LINES = st.lists(st.tuples(st.sampled_from(KEYS), VALUES).map("=".join), max_size=8)
FILES = st.lists(
    st.tuples(
        st.sampled_from(["property", "surface0", "surface1", "group-0", "source-config-0", "user-configs"]), LINES
    ),
    max_size=4,
).map(lambda groups: "".join(f"[{name}]\n" + "".join(f"{line}\n" for line in lines) for name, lines in groups))
QUICK = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@given(FILES)
@QUICK
def test_configuration(tmp_path: Path, text: str):
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="utf-8", errors="replace")
    for read in (read_nvdewarper, read_streammux, read_metamux):
        try:
            found = read(path)
        except ConfigError as error:
            assert str(path) in str(error)
            continue
        if read is read_nvdewarper:
            for surface in found.surfaces:
                try:
                    made = ways(surface, 64, 48, (32, 24))
                except ValueError:
                    continue
                assert made.x.shape == (24, 32)


@given(
    st.one_of(
        st.lists(st.lists(VALUES, max_size=9).map(",".join), max_size=4).map("\n".join),
        st.lists(st.lists(VALUES, max_size=18).map(" ".join), max_size=4).map("\n".join),
        st.text(max_size=60).map(lambda text: '{"stream": "a", "frame": 0, "objects": ' + text),
        st.sampled_from(
            ['{"frame": 1, "objects": [{"box": [1,2,3], "label": 1}]}', '{"frame": -1, "objects": 5}', "{}"]
        ),
    )
)
@QUICK
def test_labels(tmp_path: Path, text: str):
    (tmp_path / "kitti").mkdir(exist_ok=True)
    for path in (tmp_path / "a.txt", tmp_path / "kitti" / "000000.txt"):
        path.write_text(text, encoding="utf-8", errors="replace")
        try:
            read_labels(path if path.name == "a.txt" else path.parent, "a", 0)
        except LabelError as error:
            assert str(tmp_path) in str(error)
