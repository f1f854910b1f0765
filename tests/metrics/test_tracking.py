"""Tracking measures: by hand on small cases, and against TrackEval's values."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from millrace.core.errors import ConfigError
from millrace.metrics.mot import corners, judge, read_rows, year
from millrace.metrics.tracking import tally, total

KNOWN = [
    ("TUD-Campus", "py_motmetrics_test_hypothesis.txt", "py_motmetrics_test"),
    ("TUD-Stadtmitte", "py_motmetrics_test_hypothesis.txt", "py_motmetrics_test"),
    ("MOT17-09-metrics", "trackers/MPNTrack_FRCNN.txt", "MPNTrack"),
    ("MOT17-09-metrics", "trackers/Lif_T_FRCNN.txt", "Lif_T"),
    ("MOT17-13-metrics", "trackers/MPNTrack_FRCNN.txt", "MPNTrack"),
    ("MOT17-13-metrics", "trackers/Lif_T_FRCNN.txt", "Lif_T"),
]


def row(frame: int, identity: int, x: float, mark: float = 1, kind: float = 1) -> list[float]:
    return [frame, identity, x, 10, 20, 40, mark, kind, 1]


def rows(*lines: list[float]) -> np.ndarray:
    return np.array(lines, dtype=np.float64).reshape(-1, 9)


def figures(truth: np.ndarray, found: np.ndarray, rules: str = "mot15") -> dict[str, float]:
    return tally(judge("here", truth, found, rules)).figures()


@pytest.mark.parametrize(("sequence", "result", "key"), KNOWN)
def test_agrees_with_trackeval(sequence: str, result: str, key: str) -> None:
    if "MILLRACE_TEST_DATA" not in os.environ:
        pytest.skip("MILLRACE_TEST_DATA is not set: no MOTChallenge sequences")
    folder = Path(os.environ["MILLRACE_TEST_DATA"]) / "mot"
    known = json.loads((folder / "EXPECTED_trackeval.json").read_text())[sequence][key]
    truth = read_rows(folder / sequence / "gt" / "gt.txt")
    ours = tally(judge(sequence, truth, read_rows(folder / sequence / result))).figures()
    for name, value in known.items():
        assert ours["IDs" if name == "IDSW" else name] == pytest.approx(value, abs=1e-3), name


def test_all_right() -> None:
    truth = rows(*(row(n, k, 100 * k + n) for n in range(1, 6) for k in (1, 2)))
    ours = figures(truth, truth)
    assert (ours["HOTA"], ours["MOTA"], ours["IDF1"], ours["MOTP"]) == pytest.approx((100, 100, 100, 100))
    assert (ours["IDs"], ours["Frag"], ours["FP"], ours["FN"], ours["MT"]) == (0, 0, 0, 0, 2)


def test_a_switch_halves_association() -> None:
    truth = rows(*(row(n, 1, n) for n in range(1, 5)))
    found = rows(*(row(n, 7 if n < 3 else 8, n) for n in range(1, 5)))
    ours = figures(truth, found)
    assert ours["IDs"] == 1
    assert ours["DetA"] == pytest.approx(100)
    assert ours["AssA"] == pytest.approx(50)
    assert ours["HOTA"] == pytest.approx(100 * 0.5**0.5)
    assert ours["IDF1"] == pytest.approx(50)
    assert ours["MOTA"] == pytest.approx(75)


def test_a_gap_is_a_fragment_and_no_switch() -> None:
    truth = rows(*(row(n, 1, n) for n in range(1, 6)), *(row(n, 2, 300) for n in range(1, 6)))
    found = rows(*(row(n, 7, n) for n in (1, 2, 4, 5)), *(row(n, 9, 300) for n in range(1, 6)))
    ours = figures(truth, found)
    assert (ours["IDs"], ours["Frag"], ours["FN"]) == (0, 1, 1)


def test_the_best_identities_may_not_be_the_most_frequent_pairs() -> None:
    # 7 fits truth 1 three times and truth 2 twice; 8 fits truth 1 twice: 2 + 2 together are more than 3
    truth = rows(*(row(n, 1, 0) for n in range(1, 6)), *(row(n, 2, 300) for n in range(1, 3)))
    found = rows(*(row(n, 7, 0) for n in (3, 4, 5)), *(row(n, 8, 0) for n in (1, 2)), *(row(n, 7, 300) for n in (1, 2)))
    counted = tally(judge("here", truth, found, "mot15"))
    assert (counted.same, counted.only_truth, counted.only_found) == (4, 3, 3)


def test_distractors_and_unmarked_boxes_count_neither_way() -> None:
    truth = rows(row(1, 1, 0), row(1, 2, 100, kind=7), row(1, 3, 200, mark=0), row(1, 4, 300, kind=3))
    found = rows(row(1, 1, 0), row(1, 2, 100), row(1, 3, 200), row(1, 4, 300))
    assert figures(truth, found, "mot17")["FP"] == 2  # the unmarked pedestrian and the car; not the person at rest
    assert figures(truth, found, "mot17")["FN"] == 0
    assert figures(truth, found, "all")["FP"] == 1


def test_the_rules_are_seen_in_the_truth() -> None:
    assert year(rows(row(1, 1, 0))) == "mot17"
    assert year(np.array([[1, 1, 0, 0, 9, 9, 1, -1, -1, -1.0]])) == "mot15"
    with pytest.raises(ConfigError, match="mot99"):
        judge("here", rows(row(1, 1, 0)), rows(), "mot99")


def test_nothing_found_and_nothing_there() -> None:
    some, none = rows(row(1, 1, 0), row(2, 1, 0)), rows()
    assert figures(some, none)["FN"] == 2
    assert figures(none, some)["FP"] == 2
    assert figures(none, none)["HOTA"] == 0


def test_sequences_add_up() -> None:
    truth = rows(*(row(n, 1, n) for n in range(1, 5)))
    one, other = tally(judge("a", truth, truth)), tally(judge("b", truth, rows()))
    together = total([one, other]).figures()
    assert (together["TP"], together["FN"]) == (4, 4)
    assert together["DetA"] == pytest.approx(50)
    assert together["AssA"] == pytest.approx(100)


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("1,-1,11,21,5,6,0.9\n\n2, -1, 11, 21, 5, 6, 0.8\n")
    assert corners(read_rows(file)).tolist() == [[10, 20, 15, 26]] * 2
    file.write_text("1,1,11,21,5,6,0.9\n2,1,11,21,5,6\n")
    assert read_rows(file)[1, 6] == -1
    file.write_text("1,1,11,21,5,6,0.9\n2,1,eleven,21,5,6\n")
    with pytest.raises(ConfigError, match=r"a\.txt:2: not numbers"):
        read_rows(file)
    for text, complaint in (
        ("1,2,3\n", "at least 6"),
        ("0,1,2,3,4,5\n", "count from 1"),
        ("1,1,nan,1,1,1\n", "finite"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=complaint):
            read_rows(file)
    with pytest.raises(ConfigError, match="nowhere"):
        read_rows(tmp_path / "nowhere.txt")


def test_an_identity_twice_in_a_frame() -> None:
    with pytest.raises(ConfigError, match="twice in frame 1 of the result"):
        judge("here", rows(row(1, 1, 0)), rows(row(1, 1, 0), row(1, 1, 50)))
