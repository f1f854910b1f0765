"""Plan → pipeline: what is put in by itself, names, branches, and errors that say where."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pictures import Mark, Pictures

from millrace.config import loads
from millrace.config.build import build, complete
from millrace.config.plan import Line, Plan, Step, Stream, Tee
from millrace.core import ConfigError, Element
from millrace.testing.run import run


class Packets(Element):
    """Works on packets."""

    takes = gives = "packets"


def names(line: Line) -> list[Any]:
    out: list[Any] = []
    for step in line:
        if isinstance(step, Tee):
            out.append({label: names(branch) for label, branch in step.branches.items()})
        else:
            assert isinstance(step, Step)
            out.append(step.element if isinstance(step.element, str) else type(step.element).__name__)
    return out


def completed(text: str, streams: int = 1, device: str = "cpu") -> list[Any]:
    plan = loads(f"pipeline: [{text}]")
    plan.streams = [Stream(str(number), "x") for number in range(streams)]
    plan.device = device
    return names(complete(plan))


def test_decode_is_put_in_before_the_first_element_that_wants_frames() -> None:
    assert completed("limit: {count: 1}") == ["decode", "limit"]
    assert completed("decode, limit: {count: 1}") == ["decode", "limit"]
    assert completed("") == ["decode"]
    assert completed("discard") == ["discard"]


def test_packets_tee_off_before_the_decoder() -> None:
    line: Line = [Step(Packets()), Tee({"a": [Step(Packets())], "b": [Step(Mark())]})]
    assert names(complete(Plan(line=line))) == ["Packets", {"a": ["Packets"], "b": ["decode", "Mark"]}]
    assert names(complete(Plan(line=line[1:]))) == ["_Pass", {"a": ["Packets"], "b": ["decode", "Mark"]}]


def test_frames_are_decoded_once_for_all_branches() -> None:
    line: Line = [Tee({"a": [Step(Mark())], "b": [Step(Mark())]})]
    assert names(complete(Plan(line=line))) == ["decode", {"a": ["Mark"], "b": ["Mark"]}]


def test_encode_is_put_in_before_packets_are_wanted_again() -> None:
    assert names(complete(Plan(line=[Step(Mark()), Step(Packets())]))) == ["decode", "Mark", "encode", "Packets"]


def test_several_streams_get_a_batch_that_orders_them() -> None:
    assert completed("infer: {model: m}", 4, "cuda:0") == ["decode", "batch", "infer"]
    assert completed("infer: {model: m}", 4) == ["decode", "batch", "infer"]
    assert completed("infer: {model: m}", 1, "cuda:0") == ["decode", "infer"]
    assert completed("{batch: {size: 2}}, {infer: {model: m}}", 4, "cuda:0") == ["decode", "batch", "infer"]
    assert completed("json: {path: x}", 2) == ["decode", "batch", "json"]
    plan = Plan([Stream(name, "x") for name in "abcd"], [Step("infer", {"model": "m"})])
    sizes = {device: complete(replace(plan, device=device))[1].settings["size"] for device in ("cpu", "cuda:0")}
    assert sizes == {"cpu": 1, "cuda:0": 4}


def test_nodes_are_named_after_elements_and_branches() -> None:
    pipeline = build(
        loads("""
pipeline:
  - limit: {count: 5}
  - limit: {count: 4}
  - limit: {count: 3, name: last}
  - tee: {x: [limit: {count: 1}], y: [limit: {count: 1}, discard]}
""")
    ).pipeline
    assert list(pipeline.graph.nodes) == ["decode", "limit", "limit-2", "last", "x.limit", "y.limit", "y.discard"]
    assert [link.target for link in pipeline.graph.out_of("last")] == ["x.limit", "y.limit"]


def test_queue_and_on_error_reach_the_graph() -> None:
    graph = build(
        loads("pipeline: [decode, {limit: {count: 1, on_error: skip, queue: {size: 3, policy: drop_oldest}}}]")
    ).pipeline.graph
    [link] = graph.links
    assert (link.size, link.policy) == (3, "drop_oldest") and graph.nodes["limit"].on_error == "skip"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pipeline:\n  - decode\n  - limt: {count: 1}", r"<text>:3: there is no element 'limt'\. Did you mean 'limit'"),
        ("pipeline:\n  - limit:\n      cuont: 1", r"<text>:3: limit has no setting 'cuont'\. Did you mean 'count'"),
        ("pipeline:\n  - limit:\n      count: 0", r"<text>:3: limit: count=0 is not allowed"),
        ("pipeline:\n  - limit", r"<text>:2: limit: count must be given"),
        ("pipeline:\n  - tee:\n      x: [limit: {count: q}]", r"<text>:3: limit: count='q'"),
        ("pipeline:\n  - decode: {name: x}\n  - discard: {name: x}", r"<text>:3: two elements are named 'x'"),
        ("pipeline:\n  - tee: {x: [discard], y: [discard]}\n  - discard", r"<text>:3: .*join the branches first"),
        ("streams: {s: a.mp4}\npipeline:\n  - select: r", r"<text>:3: select: there is no stream 'r'; there are: s"),
        (
            "streams:\n  s: {uri: a.mp4, lop: 1}\npipeline: [decode]",
            r"<text>:2: s has no setting 'lop'. Did you mean 'loop'",
        ),
    ],
)
def test_errors_say_where(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(loads(text))


def test_the_name_of_a_step_is_its_stage_and_its_device_the_plans() -> None:
    people, p = "{name: people, model: street}", "{name: p, model: street, stage: q, device: cpu}"
    graph = build(loads(f"pipeline: [{{infer: {people}}}, {{infer: {p}}}]")).pipeline.graph
    assert [graph.nodes[name].element.stage for name in ("people", "p")] == ["people", "q"]  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"<text>:1: device 'abacus' is not known"):
        build(loads("device: abacus\npipeline: [decode]"))


def test_yaml_runs() -> None:
    frames = run(
        "pipeline: [{limit: {count: 3}}, {'pictures:Mark': {label: van}}]",
        a=Pictures(stream="a"),
        b=Pictures(stream="b"),
    )
    assert sorted((frame.stream, frame.index, frame.objects[0].label) for frame in frames) == [
        (stream, index, "van") for stream in "ab" for index in range(3)
    ]


@pytest.mark.parametrize(
    ("step", "line", "message"),
    [
        ("analyze:\n      lines:\n        door: {points: [[1, 2]]}", 5, "two different points"),
        ("json: {path: no/such/folder/out.jsonl}", 3, "the folder no/such/folder does not exist"),
        ("record:\n      path: no/such/run.jsonl", 4, "the folder no/such does not exist"),
        ("file: {path: out.doc}", 3, "files that end in '.doc' are not known"),
        ("file: {path: no/such/out.mp4}", 3, "there is no folder no/such"),
        ("infer:\n      model: nowhere.onnx", 3, "there is no file nowhere.onnx"),
        ("infer: {model: steret}", 3, "the models that millrace ships are: street"),
        ("track: {tracker: nosuch}", 3, "tracker 'nosuch' is not known"),
        ("draw: {colours: {car: reddish}}", 3, "draw: colours="),
        ("encode: {bitrate: 5000, quality: 20}", 3, "give bitrate or quality, not both"),
        ("function: {call: 'nowhere:at_all'}", 3, "there is no module 'nowhere'"),
        ("pull", 3, "'pull' meets a program's own code"),
    ],
)
def test_what_cannot_work_is_found_before_anything_runs(step: str, line: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build(loads(f"streams: {{a: a.mp4}}\npipeline:\n  - {step}\n", name="p.yaml"))
    assert str(caught.value).startswith(f"p.yaml:{line}: ")


def test_elements_of_a_program_are_checked_too() -> None:
    class Picky(Element):
        """Wants nothing."""

        def validate(self) -> None:
            raise ConfigError("picky: no")

    with pytest.raises(ConfigError, match="picky: no"):
        build(Plan(line=[Step(Picky())]))


def test_an_element_that_takes_anything_may_stand_alone() -> None:
    built = build(Plan([Stream("a", Pictures(stream="a"))], [Step("discard")]))
    assert (built.first, built.last) == ("discard", "discard")
    built.pipeline.start()
    assert built.pipeline.wait(20)
    assert built.pipeline.stats()["discard"].items_in == 5


def test_a_tracker_before_analytics_is_asked_for_the_past() -> None:
    def settings(text: str) -> dict[str, Any]:
        plan = loads(f"pipeline: [{text}]")
        plan.streams = [Stream("a", "x")]
        steps = [step for step in complete(plan) if isinstance(step, Step) and step.element == "track"]
        return dict(steps[0].settings)

    assert settings("track, analyze") == {"report": ["past"]}
    assert settings("{track: {report: [shadows]}}, analyze") == {"report": ["shadows"]}
    assert settings("track, {json: {path: a}}") == {}


def test_a_record_is_told_the_steps_that_follow() -> None:
    plan = loads("pipeline: [{infer: {model: a}}, {record: {path: r}}, {track: {max_age: 3}}, {json: {path: j}}, draw]")
    plan.streams = [Stream("a", "x")]
    (record,) = (step for step in complete(plan) if isinstance(step, Step) and step.element == "record")
    assert record.settings["header"] == {"line": [{"track": {"max_age": 3}}, {"draw": {}}]}


def test_branches_with_streams_of_their_own_come_together_without_a_join() -> None:
    text = "tee: {one: [{select: a}, {limit: {count: 2}}], two: [{select: b}]}"
    frames = run(
        loads(f"pipeline: [{{{text}}}, {{limit: {{count: 3}}}}]"), a=Pictures(stream="a"), b=Pictures(stream="b")
    )
    assert sorted((each.stream, each.index) for each in frames) == [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2)]
    same = "tee: {one: [{select: a}], two: [{select: a}]}"
    with pytest.raises(ConfigError, match="join the branches first"):
        build(loads(f"pipeline: [{{{same}}}, {{limit: {{count: 3}}}}]"))
