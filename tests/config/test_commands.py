"""Messages that command a pipeline: what is allowed is done, everything else is one sentence."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import av
import pytest

import millrace
from millrace.config import loads
from millrace.config.commands import COMMANDS, Commands
from millrace.config.plan import Listen
from millrace.core.errors import ConfigError
from millrace.flow import Flow
from millrace.summary import Run
from millrace.testing.clips import numbered_clip, read_frame_number


def until(true: Callable[[], Any], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(true())


class Life(NamedTuple):
    """A pipeline that listens, the frames that each stream gave, and its warnings."""

    run: Run
    seen: Counter[str]
    said: list[str]


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    clip = numbered_clip(tmp_path / "in.mp4", 100, 160, 120, gop=10)
    seen: Counter[str] = Counter()
    flow = (
        millrace.open(str(clip), name="gate", pace=True, loop=0)
        .tee(
            clips=lambda way: way.recorder(path=str(tmp_path / "{stream}-{name}-{number}.mp4")),
            look=lambda way: way.draw(name="paint").each(lambda frame: seen.update([frame.stream])),
        )
        .listen(f"file:{tmp_path}/commands.jsonl", allow=list(COMMANDS), sources=[str(tmp_path / "*")], stay=True)
    )
    made = Run(flow.plan)
    said: list[str] = []
    made.pipeline.bus.subscribe(lambda m: said.append(m.text) if m.kind == "warning" else None)
    made.start()
    try:
        assert until(lambda: seen["gate"] > 30)
        yield Life(made, seen, said)
    finally:
        made.close()


def tell(folder: Path, **message: Any) -> None:
    with open(folder / "commands.jsonl", "a") as file:
        file.write(json.dumps(message) + "\n")


def numbers(path: Path) -> list[int]:
    with av.open(str(path)) as file:
        return [read_frame_number(frame.to_ndarray(format="gray")) for frame in file.decode(video=0)]


def test_smart_record_messages_start_and_stop_a_clip(life: Life, tmp_path: Path) -> None:
    start = datetime.now(UTC) - timedelta(seconds=0.6)
    end = start + timedelta(seconds=1.6)
    tell(tmp_path, command="start-recording", start=start.isoformat(), end=end.isoformat(), sensor={"id": "0"})
    path = tmp_path / "gate-clip-1.mp4"
    assert until(lambda: path.exists() and path.stat().st_size > 0)
    tell(tmp_path, sensor={"id": "gate"}, start=start.isoformat().replace("+00:00", "Z"))  # makes it longer
    assert until(lambda: life.seen["gate"] > 120)
    tell(tmp_path, command="stop-recording", sensor={"id": "gate"})
    tell(tmp_path, command="start-recording", stream="gate", name="next", before=0, after=0.2)
    assert until(lambda: (tmp_path / "gate-next-2.mp4").exists())
    life.run.finish(20)
    seen = numbers(path)
    assert seen[0] % 10 == 0 and len(seen) > 60
    assert all((after - before) % 100 == 1 for before, after in pairwise(seen))
    assert not life.said, life.said


def test_streams_come_and_go_and_settings_change(life: Life, tmp_path: Path) -> None:
    numbered_clip(tmp_path / "other.mp4", 20, 160, 120, gop=10)
    tell(tmp_path, command="add-stream", stream="yard", uri=str(tmp_path / "other.mp4"), options={"pace": True})
    assert until(lambda: life.seen["yard"] == 20), life.said
    value = {"camera_id": "7", "camera_name": "dock", "camera_url": str(tmp_path / "other.mp4"), "change": "camera_add"}
    tell(tmp_path, key="sensor", value=value, headers={"source": "vst"})
    assert until(lambda: life.seen["dock"] == 20)
    tell(tmp_path, key="sensor", value={**value, "change": "camera_remove"})
    tell(tmp_path, command="remove-stream", stream="gate")
    assert until(lambda: "gate" not in life.run.streams.names and "dock" not in life.run.streams.names)
    tell(tmp_path, command="set", element="paint", settings={"trails": "5s", "boxes": False})
    paint: Any = life.run.pipeline.graph.named("paint").element
    assert until(lambda: paint.trails == 5.0 and paint.boxes is False)
    assert life.run.pipeline.state == "running"  # `stay`: the last stream is over


WRONG: list[tuple[Any, str]] = [
    ("nonsense", "it is not JSON"),
    ([1], "a command is a JSON object"),
    ({"x": 1}, "it has no `command`: one of start-recording"),
    ({"command": "start-recordin"}, "there is no command 'start-recordin'. Did you mean 'start-recording'"),
    ({"command": "start-recording", "stream": "gat"}, "there is no stream 'gat'. Did you mean 'gate'"),
    ({"command": "start-recording", "stream": "gate", "befor": 1}, "has no 'befor'. Did you mean 'before'"),
    ({"command": "start-recording", "stream": "gate", "before": "x"}, "`before` is a number of seconds"),
    ({"command": "start-recording", "stream": "gate", "name": "x" * 200}, "`name` is a text"),
    ({"command": "start-recording", "sensor": {"id": "3"}}, "there is no stream '3'"),
    ({"command": "start-recording", "sensor": "gate"}, '`sensor` is {"id": "…"}'),
    ({"command": "start-recording", "sensor": {"id": 0}, "start": "soon"}, "`start` is a time like"),
    (
        {
            "command": "start-recording",
            "stream": "gate",
            "start": "2026-01-01T00:00:01Z",
            "end": "2026-01-01T00:00:00Z",
        },
        "is not after the start",
    ),
    ({"command": "add-stream", "stream": "x", "uri": "/etc/passwd"}, "/etc/passwd is not among the sources"),
    ({"command": "add-stream", "stream": "x", "uri": "rtsp://u:secret@h/x"}, r"rtsp://\*\*\*@h/x is not among"),
    ({"command": "add-stream", "stream": "x"}, "`uri` is a text"),
    (
        {"command": "add-stream", "stream": "x", "uri": "/x", "options": {"name": "y"}},
        "`options` is a table of settings",
    ),
    ({"command": "add-stream", "stream": "x", "uri": "/x", "options": 3}, "`options` is a table of settings"),
    ({"command": "remove-stream", "stream": "x"}, "no stream is named 'x'"),
    ({"command": "set", "element": "nothing", "settings": {"a": 1}}, "nothing"),
    ({"command": "set", "element": "paint", "settings": {}}, "`settings` is a table"),
    ({"command": "set", "element": "paint", "settings": {"boxes": "perhaps"}}, "boxes='perhaps' is not allowed"),
    ({"command": "set", "element": "paint", "settings": {"font": "uni"}}, "cannot change while running"),
    ({"key": "sensor", "value": {"change": "camera_move"}}, "`change` is 'camera_move'"),
]


def test_what_is_wrong_is_one_sentence_each_and_nothing_stops(life: Life, tmp_path: Path) -> None:
    listen = Listen("file:x", allow=tuple(COMMANDS), sources=[str(tmp_path / "*")])
    commands = Commands(listen, life.run.pipeline, life.run.streams, ["gate"])
    for message, said in WRONG:
        body = message if isinstance(message, str) else json.dumps(message)
        with pytest.raises(millrace.MillraceError, match=said) as caught:
            commands(body.encode())
        assert "secret" not in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="is not among the sources"):
        commands(json.dumps({"command": "add-stream", "stream": "x", "uri": f"{tmp_path}/../../etc/passwd"}).encode())
    below = Listen("file:x", allow=tuple(COMMANDS), sources=["file:///data/*", "raw:///data/*"])
    commands = Commands(below, life.run.pipeline, life.run.streams, ["gate"])
    for uri in ("file:///data/../etc/passwd", "file:///data/%2e%2e/etc/passwd", "raw:///data/../etc/passwd"):
        with pytest.raises(ConfigError, match="is not among the sources"):
            commands(json.dumps({"command": "add-stream", "stream": "x", "uri": uri}).encode())
    only = Commands(Listen("file:x"), life.run.pipeline, life.run.streams, ["gate"])
    with pytest.raises(ConfigError, match=r"'remove-stream' is not allowed here .* start-recording, stop-recording"):
        only(b'{"command": "remove-stream", "stream": "gate"}')
    before = life.seen["gate"]
    assert until(lambda: life.seen["gate"] > before)


def test_a_host_that_hides_behind_a_user_name_is_not_the_one_that_is_allowed(life: Life) -> None:
    commands = Commands(
        Listen("file:x", allow=["add-stream"], sources=["rtsp://10.0.0.*"]), life.run.pipeline, life.run.streams, []
    )
    for uri in ("rtsp://10.0.0.1@evil.example/x", "rtsp://10.0.0.1:x@evil.example/x", "http://10.0.0.1/x"):
        with pytest.raises(ConfigError, match="is not among the sources"):
            commands(json.dumps({"command": "add-stream", "stream": "x", "uri": uri}).encode())


def test_yaml_says_who_may_command() -> None:
    plan = loads(
        "pipeline: [discard]\nlisten:\n  - {broker: 'mqtt://h/c', allow: [set], sensors: {7: gate}, stay: true}\n"
        "  - file:commands.jsonl\n"
    )
    assert [each.broker for each in plan.listen] == ["mqtt://h/c", "file:commands.jsonl"]
    assert plan.listen[0].allow == ["set"] and plan.listen[0].sensors == {"7": "gate"} and plan.listen[0].stay
    assert loads("pipeline: [discard]\nlisten: {broker: 'file:x'}").listen[0].broker == "file:x"
    for text, said in (
        ("{broker: 'file:x', alow: [set]}", "<text>:2: .*'alow' is not known here. Did you mean 'allow'"),
        ("{topics: x}", "'listen' has no 'broker'"),
        ("[{broker: 3}]", "broker must be a text"),
        ("{broker: 'file:x', stay: perhaps}", "'perhaps' is not one of True, False"),
    ):
        with pytest.raises(ConfigError, match=said):
            loads(f"pipeline: [discard]\nlisten: {text}")
    for text, said in (
        ("{broker: 'file:x', allow: [sett]}", "<text>:2: .*no command 'sett'. Did you mean 'set'"),
        ("{broker: 'mqt://h/x'}", "<text>:2: .*begins with 'mqt'. Did you mean 'mqtt'"),
    ):
        with pytest.raises(ConfigError, match=said):
            Flow(loads(f"pipeline: [discard]\nlisten: {text}")).pipeline()
