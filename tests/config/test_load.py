"""YAML → plan."""

from __future__ import annotations

import pytest

import millrace
from millrace.config import loads
from millrace.config.plan import Select, Step, Tee
from millrace.config.write import dumps
from millrace.core.errors import ConfigError

GOOD = """
streams:
  gate: {uri: "rtsp://10.0.0.7/main", latency: 200}
  yard: clips/yard.mp4
device: cuda:0
pipeline:
  - batch: {size: 8, queue: {size: 4, policy: drop_oldest}}
  - infer: {name: people, model: people.yaml, on_error: skip}
  - track
  - tee:
      a: [draw]
      b: [{select: yard}, draw]
  - join: {max_wait: 100ms}
"""


def test_the_shape_of_a_file() -> None:
    plan = loads(GOOD)
    assert [(s.name, s.uri, dict(s.options)) for s in plan.streams] == [
        ("gate", "rtsp://10.0.0.7/main", {"latency": 200}),
        ("yard", "clips/yard.mp4", {}),
    ]
    batch, infer, track, tee, join = plan.line
    assert isinstance(batch, Step) and batch.queue and (batch.queue.size, batch.queue.policy) == (4, "drop_oldest")
    assert isinstance(infer, Step) and (infer.name, infer.on_error) == ("people", "skip")
    assert infer.settings == {"model": "people.yaml"}
    assert isinstance(track, Step) and track.element == "track" and not track.settings
    assert isinstance(tee, Tee) and list(tee.branches) == ["a", "b"] and isinstance(tee.branches["b"][0], Select)
    assert isinstance(join, Step) and plan.device == "cuda:0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("streams: {}", r"f:1: there is no 'pipeline:'"),
        ("", r"f:1: the file must be a mapping of names to values, not nothing"),
        ("pipline: []", r"f:1: 'pipline' is not known here\. Did you mean 'pipeline'\?"),
        ("pipeline: draw", r"f:1: 'pipeline' must be a list of elements, not the text 'draw'"),
        ("pipeline:\n  - draw\n  - 5", r"f:3: a step is an element's name.*not the number 5"),
        ("pipeline:\n  - infer:\n    model: x", r"f:2: .*2 keys \(are the settings indented\?\)"),
        ("pipeline:\n  - infer: 5", r"f:2: the settings of 'infer' must be a mapping"),
        ("pipeline:\n  - tee: {}", r"f:2: 'tee' has no branches"),
        (
            "pipeline:\n  - draw: {on_error: skp}",
            r"f:2: on_error: 'skp' is not one of fail, skip\. Did you mean 'skip'",
        ),
        ("pipeline:\n  - draw: {queue: {size: 0}}", r"f:2: size must be a whole number above 0"),
        ("pipeline:\n  - draw: {queue: {policy: drop}}", r"f:2: policy: 'drop' is not one of wait, drop_oldest"),
        ("streams:\n  a: {url: x}\npipeline: []", r"f:2: stream 'a' has no 'uri'"),
        ("streams:\n  a: {uri: 5}\npipeline: []", r"f:2: uri must be a text, not the number 5"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        loads(text, "f")


def test_a_password_does_not_reach_the_message() -> None:
    with pytest.raises(ConfigError) as caught:
        loads("streams: [\"rtsp://me:secret@host/x\"]\npipeline: [{x: 1, y: 'rtsp://me:secret@host/x'}]")
    assert "secret" not in str(caught.value)


def test_a_name_is_the_node_s_unless_the_element_has_one_of_its_own() -> None:
    plan = loads("pipeline: [{draw: {name: paint}}, {rtsp: {name: 'door/{stream}', on_error: skip}}]")
    draw, rtsp = plan.line
    assert isinstance(draw, Step) and isinstance(rtsp, Step)
    assert (draw.name, dict(draw.settings)) == ("paint", {})
    assert (rtsp.name, dict(rtsp.settings), rtsp.on_error) == (None, {"name": "door/{stream}"}, "skip")
    flow = millrace.open("a.mp4").draw(name="paint").rtsp(name="door")
    assert [(step.name, dict(step.settings)) for step in flow.plan.line] == [("paint", {}), (None, {"name": "door"})]
    assert dumps(loads(dumps(plan))) == dumps(plan)
