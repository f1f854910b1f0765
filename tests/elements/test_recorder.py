"""`recorder`: rules and programs ask for clips; what comes out plays."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

import millrace
from millrace.core.errors import ConfigError
from millrace.elements.recorder import Recorder
from millrace.flow import load
from millrace.outputs.clips import Recorded
from millrace.testing.clips import numbered_clip, read_frame_number


def numbers(path: Path | str) -> list[int]:
    with av.open(str(path)) as file:
        return [read_frame_number(frame.to_ndarray(format="gray")) for frame in file.decode(video=0)]


def test_a_program_asks_for_moments_of_four_cameras(tmp_path: Path) -> None:
    clips = [numbered_clip(tmp_path / f"{name}.mp4", 120, 160, 120, gop=10) for name in "abcd"]
    done: list[Recorded] = []
    recorder = Recorder(path=str(tmp_path / "{stream}-{name}-{number}.mp4"), on_recorded=done.append)
    asked: set[tuple[str, int]] = set()

    def ask(frame: millrace.Frame) -> None:
        if frame.index in (40, 45, 50, 55, 60):  # five moments that overlap, by two names
            recorder.record(frame.stream, f"m{frame.index % 2}", frame.pts, before=0.4, after=0.8)
            asked.add((frame.stream, frame.index))

    flow = millrace.open(*map(str, clips), name=list("abcd")).tee(
        clips=lambda way: way.add(recorder), look=lambda way: way.function(ask)
    )
    flow.run()
    assert len(asked) == 20
    assert {(each.stream, each.name) for each in done} == {(s, n) for s in "abcd" for n in ("m0", "m1")}
    for each in done:
        seen = numbers(each.path)
        wanted = (30, 79) if each.name == "m0" else (30, 74)  # 0.4 s before 40 and 45, 0.8 s after 60 and 55
        assert seen[0] == wanted[0] and wanted[1] <= seen[-1] <= wanted[1] + 4, each
        assert seen == list(range(seen[0], seen[-1] + 1)), each


def test_a_rule_asks_from_yaml(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "in.mp4", 100, 160, 120, gop=10)
    path = tmp_path / "pipeline.yaml"
    path.write_text(f"""
streams:
  gate: {{uri: {clip}, pace: true}}
pipeline:
  - tee:
      clips: [{{recorder: {{path: "{tmp_path}/{{stream}}-{{name}}.mkv"}}}}]
      look:
        - "walker:Walk"
        - analyze:
            zones: {{dock: {{points: [[60, 0], [160, 0], [160, 120], [60, 120]]}}}}
            rules: {{busy: {{when: "zone.dock.count > 0", do: [{{record: {{before: 0.4s, after: 0.4s}}}}]}}}}
""")
    load(path).run()
    seen = numbers(tmp_path / "gate-busy.mkv")
    assert seen[0] % 10 == 0 and seen == list(range(seen[0], seen[-1] + 1)) and 20 < len(seen) < 100


def test_what_cannot_work_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"path .* 'room' is not one of stream, name, number, pts"):
        Recorder(path=str(tmp_path / "{room}.mp4")).validate()
    with pytest.raises(ConfigError, match="there is no folder"):
        Recorder(path="/nowhere/{stream}.mp4").validate()
    with pytest.raises(ConfigError, match="not known"):
        Recorder(path=str(tmp_path / "{stream}.xyz")).validate()
    with pytest.raises(ConfigError, match="not a time in seconds"):
        millrace.open("x").analyze(
            rules={"a": {"when": "zone.x.count > 0", "do": [{"record": {"before": "soon"}}]}},
            zones={"x": {"points": [[0, 0], [1, 0], [1, 1]]}},
        ).pipeline()
