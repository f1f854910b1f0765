"""only: frames of other streams are dropped, alone and in batches."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.core.errors import ConfigError
from millrace.elements.only import Only
from millrace.media import Batch, Frame, Image

PICTURE = Image("GRAY8", [np.zeros((8, 8), np.uint8)], 8, 8)


def frame(stream: str) -> Frame:
    return Frame(stream, 0, 0, PICTURE)


def test_other_streams_are_dropped():
    element = Only(streams=["gate", "yard"])
    frames = [frame(stream=name) for name in ("gate", "door", "yard")]
    assert [each.stream for one in frames for each in element.process(one)] == ["gate", "yard"]
    [batch] = element.process(Batch(frames))
    assert [each.stream for each in batch.frames] == ["gate", "yard"]
    assert list(element.process(Batch([frames[1]]))) == []


def test_none_is_an_error():
    with pytest.raises(ConfigError, match="one stream or more"):
        Only(streams=[]).validate()
