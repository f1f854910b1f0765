"""Agreement of two runtimes: right on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.media.tensor import Detections
from millrace.metrics.agreement import cosine, errors, f1, top1


def found(*rows):
    """Detections of (x1, y1, x2, y2, score, class)."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(table[:, :4].astype(np.float32), table[:, 4].astype(np.float32), table[:, 5].astype(np.int64))


A, B = (0, 0, 10, 10, 0.9, 0), (20, 20, 40, 40, 0.8, 1)


def test_f1_of_the_same_is_one_and_counts_what_it_rests_on():
    assert f1([found(A, B), found()], [found(B, A), found()]) == (1.0, 2)
    assert f1([found()], [found()]) == (1.0, 0)


def test_f1_counts_missed_invented_moved_and_renamed():
    assert f1([found(A, B)], [found(A)])[0] == pytest.approx(2 / 3)
    assert f1([found(A)], [found(A, B)])[0] == pytest.approx(2 / 3)
    assert f1([found(A)], [found((0, 0, 10, 4, 0.9, 0))])[0] == 0.0  # IoU 0.4
    assert f1([found(A)], [found((0, 0, 10, 10, 0.9, 3))])[0] == 0.0
    assert f1([found(A)], [found()])[0] == 0.0


def test_f1_gives_each_detection_one_partner():
    assert f1([found(A)], [found(A, A)])[0] == pytest.approx(2 / 3)


def test_errors_are_in_terms_of_the_outputs_range():
    reference = [{"a": np.array([0.0, -4.0])}, {"a": np.array([2.0, 0.0])}]
    outputs = [{"a": np.array([0.0, -3.0])}, {"a": np.array([2.0, 0.0])}]
    assert errors(reference, outputs) == (0.25, pytest.approx(0.0625))


def test_errors_of_nan_and_of_another_shape():
    reference = [{"a": np.zeros(2)}]
    assert errors(reference, [{"a": np.array([np.nan, 0])}])[0] == float("inf")
    with pytest.raises(ValueError, match="missing"):
        errors(reference, [{"b": np.zeros(2)}])
    with pytest.raises(ValueError, match="output a is"):
        errors([{"a": np.zeros((2, 2))}], [{"a": np.zeros((3, 3))}])


def test_as_many_rows_as_were_found_is_no_error():
    assert errors([{"dets": np.zeros((3, 6))}], [{"dets": np.zeros((2, 6))}]) == (0.0, 0.0)


def test_top1_of_classes_and_of_attributes():
    def picture(*scores):
        return {"scores": np.array([scores])}

    reference = [picture(0.7, 0.2, 0.1), picture(0.1, 0.8, 0.1)]
    assert top1(reference, [picture(0.6, 0.3, 0.1), picture(0.5, 0.4, 0.1)]) == 0.5
    sure = [picture(0.9, 0.9, 0.1), picture(0.2, 0.1, 0.1)]
    assert top1(sure, [picture(0.9, 0.3, 0.1), picture(0.2, 0.1, 0.1)]) == pytest.approx(5 / 6)
    near = [picture(0.501, 0.9, 0.1)]
    assert top1(near, [picture(0.499, 0.9, 0.1)]) == 1.0


def test_cosine_is_that_of_the_worst_picture():
    reference = [{"e": np.array([[1.0, 0.0]])}, {"e": np.array([[0.0, 1.0]])}]
    assert cosine(reference, reference) == 1.0
    assert cosine(reference, [{"e": np.array([[2.0, 0.0]])}, {"e": np.array([[1.0, 0.0]])}]) == 0.0
