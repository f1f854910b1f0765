"""Processes that stay on cores of their own."""

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

import millrace
from millrace.config.plan import Plan, Stream
from millrace.core.errors import ConfigError
from millrace.fleet import Fleet
from millrace.fleet.cores import cores_of, on_cores
from millrace.testing.clips import numbered_clip

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux keeps processes on cores")


def test_each_has_its_own_until_they_run_out(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {2, 3, 4, 7, 8})
    assert [cores_of(2, number) for number in range(4)] == [{2, 3}, {4, 7}, {8, 2}, {3, 4}]
    assert cores_of(5) == {2, 3, 4, 7, 8}
    with pytest.raises(ConfigError, match="cores: 6 is not possible, this process may use 5"):
        cores_of(6)


def test_a_system_without_it_says_so(monkeypatch):
    monkeypatch.delattr(os, "sched_setaffinity")
    with pytest.raises(ConfigError, match="this system cannot keep a process on some of its cores"):
        cores_of(1)


def test_a_thread_gets_its_cores_back():
    before = os.sched_getaffinity(0)
    with on_cores(1):
        assert os.sched_getaffinity(0) == {min(before)}
    with on_cores(None):
        assert os.sched_getaffinity(0) == before
    with pytest.raises(ConfigError), on_cores(1000):
        pass
    assert os.sched_getaffinity(0) == before


@pytest.fixture
def clip(tmp_path) -> Path:
    return numbered_clip(tmp_path / "a.mp4", frames=10)


def test_all_threads_of_a_process_stay_there(clip, monkeypatch):
    """Asked for while they run: paced files that do not end. The supervisor is kept waiting when it has begun one."""
    begin = subprocess.Popen

    def slowly(*arguments, **options):
        child = begin(*arguments, **options)
        time.sleep(0.3)  # enough to import numpy, which begins threads
        return child

    monkeypatch.setattr(subprocess, "Popen", slowly)
    streams = [Stream(name, str(clip), {"pace": True, "loop": 0}) for name in "ab"]
    fleet = Fleet(Plan(streams, []), 2, cores=1)
    fleet.start()
    try:
        while any(process.told.frames < 2 for process in fleet.processes):
            assert fleet.step(0.05)
        for number, process in enumerate(fleet.processes):
            kept = []
            for task in os.listdir(f"/proc/{process.pid}/task"):
                with suppress(ProcessLookupError):  # it has ended meanwhile
                    kept.append(os.sched_getaffinity(int(task)))
            assert len(kept) > 2 and all(cores == cores_of(1, number) for cores in kept)
    finally:
        fleet.stop()


def test_too_many_are_refused_before_anything_runs(clip):
    with pytest.raises(ConfigError, match="cores: 1000 is not possible"):
        millrace.open(clip, clip).run(processes=2, cores=1000)
    with pytest.raises(ConfigError, match="cores: 1000 is not possible"):
        millrace.open(clip).run(cores=1000)


def test_one_process_keeps_to_its_cores_and_leaves_the_program_as_it_was(clip):
    before, seen = os.sched_getaffinity(0), []
    millrace.open(clip).each(lambda frame: seen.append(os.sched_getaffinity(0))).run(cores=1)
    assert len(seen) == 10 and set(map(len, seen)) == {1}
    assert os.sched_getaffinity(0) == before
