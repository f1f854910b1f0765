from __future__ import annotations

import json

import pytest

from millrace.testing.score import score
from millrace.testing.truth import Truth, TruthObject, line_crossings

LABELS = ("car", "van", "bicycle", "person")
LINE = ((0.0, 100.0), (640.0, 100.0))


def true(identity, x, y=50.0, class_id=0, visible=1.0, size=40.0):
    return TruthObject(identity, class_id, LABELS[class_id], (x, y, x + size, y + size), visible)


def found(x, y=50.0, class_id=0, confidence=0.9, identity=None, size=40.0):
    label, box = LABELS[class_id], [x, y, x + size, y + size]
    return {"box": box, "label": label, "class_id": class_id, "confidence": confidence, "id": identity}


def truth_of(*frames):
    truth = Truth(640, 360, 25, LABELS, LINE, ((0, 0), (9, 0), (9, 9)), [list(f) for f in frames])
    truth.crossings = line_crossings(truth.frames, LINE)
    return truth


def run_of(*frames):
    facts = {"stream": "a", "width": 640, "height": 360}
    return [{**facts, "frame": k, "pts": k * 40_000_000, "objects": list(f)} for k, f in enumerate(frames)]


def test_a_perfect_run():
    result = score(run_of([found(10, identity=1), found(200, identity=2)]), truth_of([true(1, 10), true(2, 200)]))
    assert (result.precision, result.recall, result.idf1, result.count_error) == (1, 1, 1, 0)
    assert (result.right, result.wrong, result.missed) == (2, 0, 0)


def test_wrong_and_missed():
    # of four objects three are found, one of these as another class; one detection is on nothing
    truth = truth_of([true(1, 10), true(2, 100), true(3, 200), true(4, 300)])
    run = run_of([found(10), found(100), found(200, class_id=1), found(500)])
    result = score(run, truth)
    assert (result.right, result.wrong, result.missed) == (2, 2, 2)
    assert (result.precision, result.recall) == (0.5, 0.5)
    assert result.by_class["car"] == (2 / 3, 0.5)
    assert result.by_class["van"] == (0.0, 1.0)


def test_overlap_of_one_half_is_needed():
    # boxes of 40x40 moved by d: IoU = (40 - d) / (40 + d); 1/2 at d = 40 / 3
    assert score(run_of([found(23)]), truth_of([true(1, 10)])).right == 1
    assert score(run_of([found(24)]), truth_of([true(1, 10)])).right == 0


def test_the_most_confident_takes_the_object():
    result = score(run_of([found(10, confidence=0.5), found(18, confidence=0.8)]), truth_of([true(1, 10)]))
    assert (result.right, result.wrong) == (1, 1)


def test_a_second_detection_takes_the_next_object():
    result = score(run_of([found(10, confidence=0.9), found(12, confidence=0.8)]), truth_of([true(1, 10), true(2, 20)]))
    assert (result.right, result.wrong, result.missed) == (2, 0, 0)


@pytest.mark.parametrize("hard", [true(2, 200, visible=0.29), true(2, 200, size=9.5)])
def test_what_does_not_count_is_neither_missed_nor_wrong(hard):
    size = hard.box[2] - hard.box[0]
    truth = truth_of([true(1, 10), hard])
    assert score(run_of([found(10)]), truth).recall == 1
    result = score(run_of([found(10), found(200, size=size, identity=3)]), truth)
    assert (result.precision, result.recall, result.identities) == (1, 1, 0)


def test_small_is_a_share_of_larger_pictures():
    truth = truth_of([true(1, 10, size=28)])
    truth.height = 1080
    run = [{**record, "height": 1080} for record in run_of([])]
    assert score(run, truth).missed == 0
    truth.frames = [[true(1, 10, size=31)]]
    assert score(run, truth).missed == 1


def test_idf1_of_a_switch():
    # ten frames, one object: identity 1 for six of them, then identity 2: 2 * 6 / (10 + 10)
    truth = truth_of(*[[true(7, 10)]] * 10)
    run = run_of(*[[found(10, identity=1 if k < 6 else 2)] for k in range(10)])
    assert score(run, truth).idf1 == pytest.approx(0.6)


def test_idf1_is_the_best_over_the_whole_sequence():
    # objects A and B swap identities after 4 of 10 frames: 6 boxes of each match, 2 * 12 / (20 + 20)
    truth = truth_of(*[[true(1, 10), true(2, 200)]] * 10)
    run = run_of(*[[found(10, identity=1 + (k >= 4)), found(200, identity=2 - (k >= 4))] for k in range(10)])
    assert score(run, truth).idf1 == pytest.approx(0.6)


def test_idf1_counts_boxes_on_nothing_and_missed_ones():
    # 8 of 10 boxes found, and 4 boxes of a second identity on nothing: 2 * 8 / (10 + 12)
    truth = truth_of(*[[true(1, 10)]] * 10)
    frames = [[found(10, identity=1)] if k < 8 else [] for k in range(10)]
    frames = [f + ([found(400, identity=2)] if k < 4 else []) for k, f in enumerate(frames)]
    assert score(run_of(*frames), truth).idf1 == pytest.approx(16 / 22)


def test_line_counts():
    # the true object goes down across y = 100; the run loses it before
    truth = truth_of([true(1, 10, y=40)], [true(1, 10, y=80)])
    assert truth.crossings[0].direction == "in"
    assert score(run_of([found(10, 40, identity=4)], [found(10, 80, identity=4)]), truth).count_error == 0
    assert score(run_of([found(10, 40, identity=4)], [found(10, 80, identity=5)]), truth).count_error == 1
    result = score(run_of([], []), truth, counts={"in": 3, "out": 2})
    assert (result.count_error, result.crossings, result.true_crossings) == (
        4,
        {"in": 3, "out": 2},
        {"in": 1, "out": 0},
    )


def test_a_run_is_read_from_its_file(tmp_path):
    lines = [*run_of([found(10)]), *({**r, "stream": "b"} for r in run_of([found(400)]))]
    path = tmp_path / "run.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert score(path, truth_of([true(1, 10)]), stream="a").precision == 1
    assert score(path, truth_of([true(1, 10)]), stream="b").precision == 0
    with pytest.raises(ValueError, match="name the stream"):
        score(path, truth_of([true(1, 10)]))


def test_a_missing_frame_is_an_error():
    with pytest.raises(ValueError, match="first difference: frame 1"):
        score(run_of([]), truth_of([], []))


def test_another_size_is_an_error():
    truth = truth_of([])
    truth.width = 1280
    with pytest.raises(ValueError, match="640x360"):
        score(run_of([]), truth)


def test_a_last_line_that_tells_what_is_over_is_no_frame():
    run = run_of([found(10, identity=1)])
    run.append({**run[-1], "objects": [], "end": True, "events": []})
    assert score(run, truth_of([true(1, 10)])).right == 1
