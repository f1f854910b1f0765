"""Real processes on real files made here; a process killed in mid-run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import Pipe
from pathlib import Path

import pytest

import millrace
from millrace.config.plan import Plan, Step, Stream
from millrace.core.errors import ConfigError
from millrace.fleet import Fleet
from millrace.fleet.process import Process
from millrace.fleet.worker import Work
from millrace.testing.clips import numbered_clip


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [numbered_clip(folder / f"c{number}.mp4", frames=30 + 10 * number) for number in range(3)]


def plan(clips: list[Path], *line: Step, **options) -> Plan:
    return Plan([Stream(clip.stem, str(clip), options) for clip in clips], list(line))


def until(fleet: Fleet, there, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "it did not come in time"
        fleet.step(0.05)


def test_the_same_files_as_in_one_process(clips, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    flow = millrace.open(*clips)
    flow.json(str(tmp_path / "one" / "out.jsonl")).run()
    summary = flow.json(str(tmp_path / "two" / "out.jsonl")).run(processes=2)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "two").iterdir())
    assert names == ["out-c0.jsonl", "out-c1.jsonl", "out-c2.jsonl"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert {name: stream.frames_out for name, stream in summary.streams.items()} == {"c0": 30, "c1": 40, "c2": 50}
    assert summary.frames == 120 and not summary.errors


def test_one_stream_alone_in_its_process_is_named_as_one_of_several(clips, tmp_path):
    millrace.open(*clips[:2]).json(str(tmp_path / "out.jsonl")).run(processes=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out-c0.jsonl", "out-c1.jsonl"]


def test_lines_on_stdout_stay_whole(clips, capfd):
    Fleet(plan(clips, Step("json", {"path": "-"})), 3).run()
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert len(lines) == 120 and {line["stream"] for line in lines} == {"c0", "c1", "c2"}


def test_a_stream_that_cannot_be_read_is_one_error_and_the_others_go_on(clips, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"this is no video" * 100)
    summary = Fleet(plan([*clips, broken]), 2).run()
    assert summary.frames == 120
    [error] = summary.errors
    assert error.stream == "broken" and "broken" in error.text
    with pytest.raises(millrace.SourceError):
        millrace.open(*clips, broken).run(processes=2)


def test_what_is_wrong_everywhere_is_said_once(clips):
    with pytest.raises(ConfigError, match="no-such-model"):
        Fleet(plan(clips, Step("infer", {"model": "no-such-model.onnx"})), 2).run()


def test_a_killed_process_begins_again_and_its_files_are_written_anew(clips, tmp_path, monkeypatch):
    """The first stream would not end: it is another file when the process has been killed."""
    monkeypatch.setattr("millrace.fleet.supervisor.FIRST_WAIT", 60.0)
    mine = numbered_clip(tmp_path / "c0.mp4", frames=31, pts_ms=[*range(0, 1200, 40), 600_000])
    fleet = Fleet(plan([mine, clips[1]], Step("json", {"path": str(tmp_path / "{stream}.jsonl")}), pace=True), 2)
    heard = []
    fleet.bus.subscribe(heard.append)
    try:
        fleet.start()
        until(fleet, lambda: fleet.frames_out()["c0"] > 3)
        victim = fleet.processes[0]
        os.kill(victim.pid, signal.SIGKILL)
        shutil.copy(clips[0], mine)
        until(fleet, lambda: victim.due is not None)
        victim.due = time.monotonic()
        assert {reading.name: reading.state for reading in fleet.readings()}["c0"] == "reconnecting"
        until(fleet, lambda: victim.summary is not None and fleet.processes[1].summary is not None)
    finally:
        fleet.stop()
    [warning] = [message for message in heard if message.kind == "warning"]
    assert "process 0 (cpu)" in warning.text and "signal 9" in warning.text and "c0" in warning.text
    assert [len((tmp_path / f"c{number}.jsonl").read_text().splitlines()) for number in (0, 1)] == [30, 40]
    assert fleet.summary().frames == 70 and not fleet.summary().errors


def test_one_that_dies_again_and_again_is_given_up_and_the_other_goes_on(clips, monkeypatch):
    monkeypatch.setattr("millrace.fleet.supervisor.RESTARTS", 1)
    streams = [Stream("c0", str(clips[0]), {"pace": True, "loop": 0}), Stream("c1", str(clips[1]), {"pace": True})]
    fleet = Fleet(Plan(streams, []), 2)
    try:
        fleet.start()
        for life in (1, 2):
            until(fleet, lambda: fleet.processes[0].runs and fleet.processes[0].told.readings)
            os.kill(fleet.processes[0].pid, signal.SIGKILL)
            until(fleet, lambda life=life: not fleet.processes[0].runs)
        until(fleet, lambda: fleet.processes[1].summary is not None)
    finally:
        fleet.stop()
    summary = fleet.summary()
    assert summary.streams["c1"].frames_out == 40
    [error] = summary.errors
    assert error.stream == "c0" and "given up" in error.text and summary.streams["c0"].errors == [error.text]


def test_one_that_dies_while_it_drains_does_not_begin_again(clips):
    fleet = Fleet(plan(clips[:1], pace=True, loop=0), 1)
    process = fleet.processes[0]
    try:
        fleet.start()
        until(fleet, lambda: fleet.frames > 0)
        os.kill(process.pid, signal.SIGSTOP)
        fleet.drain()
        os.kill(process.pid, signal.SIGKILL)
        until(fleet, lambda: not process.runs)
        assert process.due is None and not fleet.step(0.01)
    finally:
        fleet.stop()
    assert any("signal 9" in message.text for message in fleet.summary().errors)


def test_what_an_ended_process_has_printed_comes_also_where_its_own_child_holds_the_pipe(clips):
    read, write = os.pipe()
    os.set_blocking(read, False)
    process = Process(0, plan(clips[:1]), lines=read)
    os.write(write, b"whole\nbroken")
    assert process.printed() == b"whole\n" and process.printed(last=True) == b"broken\n"
    assert process.lines == -1
    os.close(write)


def test_a_hung_process_is_ended(clips, monkeypatch):
    monkeypatch.setattr("millrace.fleet.supervisor.SILENCE", 2.0)
    monkeypatch.setattr("millrace.fleet.supervisor.RESTARTS", 0)
    fleet = Fleet(plan(clips[:1], pace=True, loop=0), 1)
    try:
        fleet.start()
        until(fleet, lambda: fleet.frames > 0)
        os.kill(fleet.processes[0].pid, signal.SIGSTOP)
        until(fleet, lambda: not fleet.processes[0].runs)
    finally:
        fleet.stop()
    assert any("hangs" in message.text for message in fleet.summary().errors)


def test_streams_come_to_the_process_with_least_to_do_and_go(clips):
    fleet = Fleet(plan(clips[:1], pace=True, loop=0), 2, keep_open=True)
    try:
        fleet.start()
        until(fleet, lambda: all(process.told.total is not None or process.runs for process in fleet.processes))
        assert fleet.add(Stream("late", str(clips[1]), {"pace": True, "loop": 0})) == "process 1 (cpu)"
        until(fleet, lambda: fleet.frames_out().get("late", 0) > 2)
        with pytest.raises(ConfigError, match="'late' is there already"):
            fleet.add(Stream("late", str(clips[1])))
        fleet.remove("late")
        until(
            fleet,
            lambda: any(r.name == "late" and r.state == "ended" for r in fleet.readings()) or "late" not in fleet.names,
        )
        with pytest.raises(ConfigError, match="no stream is named 'late'"):
            fleet.remove("late")
        (first,) = (name for name in fleet.names if name != "late")
        fleet.remove(first)
        until(fleet, lambda: any(r.name == first and r.state == "ended" for r in fleet.readings()))
        assert fleet.add(Stream(first, str(clips[0]), {"pace": True, "loop": 0})).startswith("process ")
        until(fleet, lambda: any(r.name == first and r.state == "running" for r in fleet.readings()))
        assert not fleet.summary().errors
        fleet.drain()
        until(fleet, lambda: not any(process.runs for process in fleet.processes))
    finally:
        fleet.stop()


def test_a_stream_that_comes_when_its_process_has_just_begun_is_told_to_it_behind_its_work(clips, monkeypatch):
    fleet, heard = Fleet(plan(clips[:1], pace=True, loop=0), 1), []
    fleet.bus.subscribe(heard.append)

    def add() -> None:
        while not fleet.processes[0].runs:
            time.sleep(0.005)
        fleet.add(Stream("late", str(clips[1])))

    def late(*arguments) -> Work:
        adding.start()
        adding.join(0.3)
        return Work(*arguments)

    adding = threading.Thread(target=add)
    monkeypatch.setattr("millrace.fleet.process.Work", late)
    try:
        fleet.start()
        until(fleet, lambda: fleet.frames_out().get("late") == 40)
    finally:
        fleet.stop()
        adding.join(10)
    assert {message.kind for message in heard} <= {"stream-end"}


def test_a_drain_while_a_process_begins_is_not_lost(clips, monkeypatch):
    begin = subprocess.Popen

    def drained(*arguments, **options):
        child = begin(*arguments, **options)
        fleet.drain()  # of another thread, while this one stands here
        return child

    monkeypatch.setattr(subprocess, "Popen", drained)
    fleet = Fleet(plan(clips[:1], pace=True, loop=0), 1)
    try:
        fleet.start()
        until(fleet, lambda: not fleet.processes[0].runs)
    finally:
        fleet.stop()
    assert not fleet.summary().errors


def test_processes_end_when_their_supervisor_is_gone(clips, capfd):
    fleet = Fleet(plan(clips[:1], pace=True, loop=0), 1)
    fleet.start()
    try:
        until(fleet, lambda: fleet.frames > 0)
    finally:
        code = fleet.processes[0].ended()  # closes the connection, and waits
    assert code == 1
    assert "Traceback" not in capfd.readouterr().err


def test_an_end_of_file_in_a_process_is_its_error_and_not_the_end_of_its_supervisor(clips):
    code = (
        "from millrace.fleet import worker\n"
        "def run(self): raise EOFError('no data left')\n"
        "worker._Worker.run = run\n"
        "worker.main()\n"
    )
    ours, theirs = Pipe()
    with ours, theirs, subprocess.Popen([sys.executable, "-c", code, str(theirs.fileno())],
                                        pass_fds=[theirs.fileno()]) as child:  # fmt: skip
        theirs.close()
        ours.send(Work(plan(clips[:1]), list(sys.path)))
        assert ours.poll(60)
        assert str(ours.recv()) == "EOFError: no data left"
        assert child.wait(60) == 1
