"""`recorder`: rules and programs ask for clips; what comes out plays."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import av
import pytest
import sounds
from sounds import begins, clip_with_sound, sound_packets

import millrace
from millrace.core import Context
from millrace.core.errors import ConfigError
from millrace.elements._recording import record
from millrace.elements.recorder import Recorder
from millrace.flow import load
from millrace.media import Event, Image, Packet
from millrace.outputs.clips import Recorded
from millrace.sources import open_source
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


def test_a_rule_that_speaks_after_the_recorder_has_ended_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    ask = record({"recorder": "late"})
    event, frame = Event("rule", "gate", 0, "busy"), millrace.Frame("gate", 0, 0, Image("GRAY8", [], 0, 0))
    with pytest.raises(RuntimeError, match="no recorder is known as 'late'"):
        ask(event, frame)
    recorder = Recorder(known_as="late")
    recorder.open(Context("recorder"))
    ask(event, frame)
    recorder.close()
    ask(event, frame)
    assert "rule busy: recorder late has ended: no clip of gate" in caplog.text


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


def video_packets(path: Path | str) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(video=0) if packet.size]


def test_an_event_is_recorded_from_five_seconds_before_to_ten_after_as_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sounds, "MARKS", (1.0, 4.0, 9.0, 15.0, 19.0))  # seconds of flashes and tones
    path = clip_with_sound(tmp_path / "in.mp4", seconds=20.0, gop=20)  # a key picture each 0.8 s
    done: list[Recorded] = []
    recorder = Recorder(path=str(tmp_path / "{stream}-{name}.mp4"), on_recorded=done.append)

    def ask(frame: millrace.Frame) -> None:
        if frame.index == 200:  # t = 8 s
            recorder.record("gate", "door", frame.pts, before=5, after=10)

    millrace.open(str(path), name="gate").tee(
        clips=lambda way: way.add(recorder), look=lambda way: way.function(ask)
    ).run()
    [clip] = done
    assert 2.2 <= clip.start / 1e9 <= 3.0 <= 18.0 <= clip.end / 1e9 <= 18.2
    with av.open(clip.path) as file:
        assert next(file.demux(video=0)).is_keyframe
        file.seek(0)
        assert float(file.duration / av.time_base) == pytest.approx((clip.end - clip.start) / 1e9, abs=0.1)
    kept, whole = video_packets(clip.path), video_packets(path)
    first = whole.index(kept[0])
    assert kept == whole[first : first + len(kept)] and first % 20 == 0  # byte for byte: nothing was encoded anew
    heard, all_heard = sound_packets(clip.path), sound_packets(path)
    assert len(heard) > 15 * 40
    assert any(all_heard[n : n + len(heard)] == heard for n in range(len(all_heard) - len(heard) + 1))
    flashes, tones = begins(clip.path)
    assert len(flashes) == len(tones) == 3
    assert all(abs(flash - tone) < 0.06 for flash, tone in zip(flashes, tones, strict=True))


def test_twenty_overlapping_events_of_four_cameras_have_a_clip_each(tmp_path: Path) -> None:
    clips = [numbered_clip(tmp_path / f"{name}.mp4", 200, 160, 120, gop=10) for name in "abcd"]
    done: list[Recorded] = []
    recorder = Recorder(path=str(tmp_path / "{stream}-{name}-{number}.mp4"), on_recorded=done.append)

    def ask(frame: millrace.Frame) -> None:
        if frame.index in range(60, 110, 10):
            recorder.record(frame.stream, f"e{frame.index}", frame.pts, before=1, after=2)

    millrace.open(*map(str, clips), name=list("abcd")).tee(
        clips=lambda way: way.add(recorder), look=lambda way: way.function(ask)
    ).run()
    assert {(each.stream, each.name) for each in done} == {(s, f"e{n}") for s in "abcd" for n in range(60, 110, 10)}
    for each in done:
        at, seen = int(each.name[1:]), numbers(each.path)
        assert seen == list(range(seen[0], seen[-1] + 1)) and seen[0] % 10 == 0
        assert at - 35 <= seen[0] <= at - 25 and at + 49 <= seen[-1] <= at + 54, (each, seen[0], seen[-1])
        source = video_packets(tmp_path / f"{each.stream}.mp4")
        kept = video_packets(each.path)
        assert kept == source[seen[0] : seen[0] + len(kept)]


FULL = """
import resource, signal, sys
import millrace
from millrace.elements._recording import record
from millrace.elements.recorder import Recorder
from millrace.summary import Run
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
done, said = [], []
recorder = Recorder(path=sys.argv[2] + "/{stream}-{name}.mp4", on_recorded=done.append)
def ask(frame):
    if frame.index == 60:
        recorder.record("gate", "long", frame.pts, before=1, after=5)
    if frame.index in (70, 150):
        recorder.record("gate", f"short{frame.index}", frame.pts, before=0.1, after=0.1)
flow = millrace.open(sys.argv[1], name="gate").tee(
    clips=lambda way: way.add(recorder), look=lambda way: way.function(ask))
run = Run(flow.plan, keep_open=True)
run.pipeline.bus.subscribe(lambda m: said.append(m.text) if m.kind in ("warning", "error") else None)
run.start()
import time
until = time.monotonic() + 30
while run.streams.rows()["gate"].state == "running" and time.monotonic() < until:
    time.sleep(0.05)
run.finish(30)
print(sorted(each.name for each in done))
print(said)
"""


def test_a_disk_that_is_full_in_the_middle_costs_one_clip_and_one_sentence(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "in.mp4", 250, 320, 240, gop=10)
    most = clip.stat().st_size // 4  # no file may be larger
    ran = subprocess.run(
        [sys.executable, "-c", FULL, str(clip), str(tmp_path), str(most)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    done, said = (ast.literal_eval(line) for line in ran.stdout.splitlines())
    assert done == ["short150", "short70"]
    assert len(said) == 1 and "a clip is lost: cannot write" in said[0] and "gate-long.mp4: File too large" in said[0]
    assert len(numbers(tmp_path / "gate-long.mp4")) > 10  # what was written plays


def test_a_timer_begins_and_ends_clips(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "in.mp4", 250, 160, 120, gop=5)
    done: list[Recorded] = []
    recorder = Recorder(
        path=str(tmp_path / "{number:05d}_{time}_{pid}.mkv"), interval=2.0, before=1.0, after=60.0,
        on_recorded=done.append,
    )  # fmt: skip
    millrace.open(str(clip), name="gate").add(recorder).run()
    spans = [(numbers(each.path)[0], numbers(each.path)[-1]) for each in done]
    assert spans == [(25, 100), (125, 200)]  # from 2 s to 4 s with a second before, from 6 s to 8 s
    assert re.fullmatch(r"00001_\d{8}-\d{6}_\d+\.mkv", Path(done[0].path).name)


def test_times_of_utc_are_those_of_the_camera_s_clock(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "in.mp4", 250, 160, 120, gop=5)
    noon = 1_780_000_000 * 10**9  # by the camera's clock its first picture was taken then; ours says something else
    done: list[Recorded] = []
    said: list[str] = []
    recorder = Recorder(path=str(tmp_path / "{name}-{time}.mp4"), cache=2.0, on_recorded=done.append)
    recorder.open(Context("recorder", warn=lambda text, stream: said.append(text)))

    def seconds(value: float) -> int:
        return noon + round(value * 10**9)

    for item in open_source("gate", str(clip)).read():
        if not isinstance(item, Packet):
            recorder.start_stream(item)
            continue
        assert item.pts is not None
        item.wall = noon + item.pts
        list(recorder.process(item))
        if item.pts == 4 * 10**9:
            recorder.record("gate", "past", start=seconds(3), end=seconds(5))
            recorder.record("gate", "coming", start=seconds(6), end=seconds(7))
            recorder.record("gate", "gone", start=seconds(0), end=seconds(1))
            list(recorder.on_wake())
    list(recorder.end_stream("gate"))
    recorder.close()
    spans = {each.name: (numbers(each.path)[0], numbers(each.path)[-1]) for each in done}
    assert set(spans) == {"past", "coming"} and spans["past"][0] == 75 and spans["coming"][0] == 150
    assert 124 <= spans["past"][1] <= 129 and 174 <= spans["coming"][1] <= 179  # whole groups of reordered pictures
    assert Path(done[0].path).name == "past-20260528-202643.mp4"
    assert len(said) == 1 and "'gone' of gate ended" in said[0] and "before what is kept: a longer `cache`" in said[0]
