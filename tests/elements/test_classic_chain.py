"""DeepStream's classic chain as nvinfer files of our own, on a real clip: who is asked how often, and what is said."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import classic_chain

CLIP = "videos/road_640x352_vfr.mp4"


def test_calls_fall_as_identities_persist_and_labels_stay(corpus):
    result = classic_chain.run(corpus, CLIP, 80)
    most = 2 * sum(result.vehicles)
    assert sum(result.vehicles) > 200
    assert sum(result.calls) < 0.3 * most, "one call for each object and frame would be as many"
    assert sum(result.calls[:6]) > sum(result.calls[-6:]), "the first frames ask for everything"
    told = [labels for own in result.told.values() for labels in own]
    assert len(told) > 150 and all(len(labels) <= 2 for labels in told)
    assert result.changes < 0.05 * len(told)
    names = {label.name for found in result.last.objects for label in found.labels}
    assert names == {"color", "type"}


def test_frames_that_do_not_wait_get_the_labels_a_little_later(corpus):
    waits, goes_on = (classic_chain.run(corpus, CLIP, 40, wait) for wait in (True, False))
    first = {number: own[-1] for number, own in waits.told.items()}
    later = {number: own[-1] for number, own in goes_on.told.items()}
    assert set(later) <= set(first) and len(later) >= 3
    assert sum(first[number] == labels for number, labels in later.items()) >= 0.7 * len(later)
    seen = [sum(map(len, each.told.values())) for each in (waits, goes_on)]
    assert 0.5 * seen[0] < seen[1] < seen[0]
