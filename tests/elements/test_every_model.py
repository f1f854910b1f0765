"""Every model of the test data runs in a pipeline on a real clip, and says what its published steps say."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "reference"))
import cases

DATA = Path(os.environ.get("MILLRACE_TEST_DATA", "/nowhere"))
CASES = cases.cases(DATA)


def compared(data, case, folder):
    tally, session = cases.Tally(), cases.session_of(data / "models" / case.model)
    with cases.flow(data, case, folder) as running:
        for frame in islice(running, case.frames):
            case.compare(session, frame, frame.image.planes[0], tally)
    return tally


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_says_what_the_published_steps_say(corpus, tmp_path, case):
    tally = compared(corpus, case, tmp_path)
    assert tally.wanted, "nothing was found to compare"
    for what in tally.wanted:
        assert tally.share(what) >= 0.99, f"{case.model}: {tally}"


@pytest.fixture(scope="session")
def started(corpus):
    """Libraries that start threads of their own, once for the process, have started them."""
    if importlib.util.find_spec("openvino"):
        cases.session_of(corpus / "models/openvino_ir/vehicle-attributes-0039.xml")


@pytest.mark.parametrize("case", cases.other_formats(DATA, Path("codes")), ids=lambda case: case.name)
def test_other_formats(started, corpus, tmp_path, case):
    if case.needs:
        pytest.importorskip(case.needs)
    if case.clip == "codes":
        (tmp_path / "codes").mkdir()
        case = replace(case, clip=str(cases.qr_codes(tmp_path / "codes")))
    tally = compared(corpus, case, tmp_path)
    assert tally.wanted, "nothing was found to compare"
    for what in tally.wanted:
        assert tally.share(what) >= 0.99, f"{case.model}: {tally}"


def test_ultraface_finds_the_same_as_onnx_and_as_caffe(corpus):
    """Its ONNX file decodes boxes itself; for Caffe's offsets the parser has the priors, the largest ones too."""
    import millrace

    pytest.importorskip("onnx", reason="Caffe is converted")
    picture = str(corpus / "golden/retail_f120.jpg")
    found = []
    for model in ("face/ultraface_rfb_320.onnx", "caffe/ultraface_RFB-320.caffemodel"):
        flow = millrace.open(picture).infer(str(corpus / "models" / model), confidence=0.06)
        found.append([(each.confidence, *each.box) for frame in flow for each in frame.objects])
    assert len(found[0]) > 20
    assert max(row[4] - row[2] for row in found[0]) > 400  # faces as high as most of the picture
    assert found[1] == [pytest.approx(row, abs=0.02) for row in found[0]]
