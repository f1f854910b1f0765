"""What is compiled beside its use, and how that is broken off; the compiler is played (tests/gpu: a real one)."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

from millrace.runtimes import torch_background
from millrace.runtimes.torch_background import Breakable, BrokenOff, Compiler

WAIT = 20.0


class Work:
    """Done in a thread, step by step, until it is broken off or `enough`."""

    def __init__(self, breakable):
        self.breakable = breakable
        self.began, self.enough = threading.Event(), threading.Event()
        self.outcome = self.after = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            with self.breakable.part():
                self.began.set()
                while not self.enough.is_set():
                    pass
            self.outcome = "done"
        except BrokenOff:
            self.outcome = "broken off"
        self.after = sum(range(1000))  # nothing is raised out here


def test_a_part_is_broken_off_and_nothing_is_begun_after_that():
    breakable = Breakable()
    first = Work(breakable)
    assert first.began.wait(WAIT)
    breakable.break_off()
    first.thread.join(WAIT)
    second = Work(breakable)
    second.thread.join(WAIT)
    breakable.break_off()
    assert (first.outcome, second.outcome) == ("broken off",) * 2 and not second.began.is_set()
    assert first.after == second.after == 499500


def test_what_is_at_its_end_when_it_is_broken_off_raises_it_there_and_never_later():
    for _ in range(300):
        breakable = Breakable()
        work = Work(breakable)
        work.began.wait(WAIT)
        work.enough.set()
        breakable.break_off()
        work.thread.join(WAIT)
        assert work.outcome in ("done", "broken off") and work.after == 499500


def test_an_import_is_not_broken_off(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "slow_to_import.py").write_text("import threading\nthreading.slow_to_import()\nwhole = True\n")
    breakable, begun, go, outcome = Breakable(), threading.Event(), threading.Event(), []

    def imported():
        begun.set()
        while not go.is_set():
            pass

    def run():
        try:
            with breakable.part():
                import slow_to_import

                outcome.append(slow_to_import.whole)
                while True:
                    pass
        except BrokenOff:
            outcome.append("broken off")

    monkeypatch.setattr(threading, "slow_to_import", imported, raising=False)
    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(WAIT)
    breakable.break_off()
    go.set()
    while thread.is_alive() and not outcome:
        time.sleep(0.001)
    breakable.break_off()
    thread.join(WAIT)
    assert outcome == [True, "broken off"]


class Network:
    """Stands for the runtime: to compile takes until it is broken off, or `held` until it is let go."""

    def __init__(self, held=False, error=None):
        self.sizes, self.told, self.replaced, self.freed = [4, 1], [], [], []
        self.held, self.error = held, error
        self.compiling, self.go = threading.Event(), threading.Event()
        self.report = self.told.append

    def record(self, size, compiled, breakable):
        with breakable.part():
            if size == 4:
                return f"graph of {size}"
            self.compiling.set()
            if self.error:
                raise self.error
            while True:
                if self.held:
                    assert self.go.wait(WAIT)  # one step of a library

    def replace(self, size, pair):
        self.replaced.append((size, pair))
        return True

    def free(self):
        self.freed.append(threading.current_thread().name)


def test_a_compile_is_broken_off_when_the_network_is_closed():
    network = Network()
    compiler = Compiler(network)
    assert network.compiling.wait(WAIT)
    compiler.stop(network.free)
    assert network.freed == [threading.current_thread().name]
    assert not compiler._thread.is_alive()
    assert network.replaced == [(4, ["graph of 4"] * 2)] and not network.told


def test_what_cannot_be_broken_off_at_once_is_not_waited_for_and_frees_the_network_at_its_end(monkeypatch):
    monkeypatch.setattr(torch_background, "PATIENCE", 0.05)
    network = Network(held=True)
    compiler = Compiler(network)
    assert network.compiling.wait(WAIT)
    compiler.stop(network.free)
    assert compiler._thread.is_alive() and not network.freed
    network.go.set()
    compiler._thread.join(WAIT)
    assert network.freed == ["millrace-compile"]


def test_what_the_compiler_raises_is_told_and_a_stop_has_nothing_to_wait_for():
    network = Network(error=RuntimeError("no compiler here"))
    compiler = Compiler(network)
    compiler._thread.join(WAIT)
    assert network.told == [
        "the network is not compiled for 1 pictures, it runs as it is: RuntimeError: no compiler here"
    ]
    compiler.stop(network.free)
    assert len(network.freed) == 1


def test_what_imports_when_it_is_to_be_broken_off_is_when_it_has_imported(tmp_path, monkeypatch):
    """Nobody need say it again: who would may be waiting for what is compiled."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "slow_to_load.py").write_text("import threading\nthreading.slow_to_load()\nwhole = True\n")
    network, begun, go = Network(), threading.Event(), threading.Event()
    monkeypatch.setattr(threading, "slow_to_load", lambda: (begun.set(), go.wait(WAIT)), raising=False)

    def record(size, compiled, breakable):
        with breakable.part():
            import slow_to_load

            network.told.append(slow_to_load.whole)
            while True:
                time.sleep(0.001)

    network.record = record
    compiler = Compiler(network)
    assert begun.wait(WAIT)
    compiler.break_off()
    time.sleep(0.1)
    go.set()
    compiler._thread.join(WAIT)
    assert not compiler._thread.is_alive() and network.told == [True]
    compiler.stop(network.free)
    for thread in threading.enumerate():
        if thread.name == "millrace-compile-end":
            thread.join(WAIT)


def test_what_a_library_makes_of_being_broken_off_is_not_told():
    network = Network()
    plain = network.record

    def record(*told):
        try:
            return plain(*told)
        except BrokenOff:
            raise RuntimeError("an internal error") from None

    network.record = record
    compiler = Compiler(network)
    assert network.compiling.wait(WAIT)
    compiler.stop(network.free)
    assert (network.told, len(network.freed)) == ([], 1)


def test_a_process_that_ends_breaks_it_off():
    """Without a stop: the thread is no reason to live, and ends before the interpreter does."""
    program = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from test_torch_background import Network, Compiler
class Tells(Network):
    def record(self, *told):
        try:
            return super().record(*told)
        except BaseException as error:
            print(type(error).__name__, flush=True)
            raise
network = Tells()
Compiler(network)
assert network.compiling.wait(20)
"""
    began = time.monotonic()
    folder = __file__.rpartition("/")[0]
    done = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("BrokenOff\n", "", 0)
    assert time.monotonic() - began < 30
