"""Sources that come and go at random: each item of an accepted source arrives once and in order, and nothing hangs.

Every life of a stream has an epoch of its own, so that what arrives can be told from what an earlier life has sent.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from test_fuzz import SEEDS, add_diamond, check_nothing_is_kept, frames, some_element
from test_graph import Split
from test_merging import Merge
from toys import WAIT, Fail, Note, Num, Pass, Sink, Slow

from millrace.core import (
    Caps,
    ConfigError,
    Context,
    Element,
    Graph,
    MillraceError,
    Pipeline,
    Source,
    StreamEnd,
    StreamError,
    StreamStart,
    setting,
    state,
)
from millrace.elements.batch import Batch

TROUBLES = ["open", "start", "nothing", "middle", "generator", "close"]


class Life(Source):
    """One life of a stream: counts to `count`, or for ever; notes what it has given. `trouble` says what goes wrong."""

    stream: str = setting(default="a")
    epoch: int = setting(default=0)
    count: int | None = setting(default=None)
    delay: float = setting(default=0.0)
    live: bool = setting(default=False)
    guest: bool = setting(default=False)
    trouble: str = setting(default="")
    sent: list[int] = state(list)
    opened: bool = state(bool)
    began: bool = state(bool)
    over: Any = state(threading.Event)
    stopped: Any = state(threading.Event)

    @property
    def quick(self) -> bool:
        return self.guest

    def open(self, context: Context) -> None:
        self.opened = True
        if self.trouble == "open":
            self.over.set()
            raise OSError("locked")

    def read(self) -> Iterator[Any]:
        try:
            yield from self.give()
        finally:
            if self.trouble == "generator":
                raise OSError("cannot end")

    def give(self) -> Iterator[Any]:
        if self.trouble == "start":
            raise OSError("no picture")
        if self.trouble == "nothing":
            return
        self.began = True
        yield StreamStart(self.stream, Caps("numbers"), live=self.live, epoch=self.epoch)
        for index in itertools.count() if self.count is None else range(self.count):
            if self.stopped.is_set() or (self.delay and self.stopped.wait(self.delay)):
                return
            self.sent.append(index)
            yield Num(self.stream, index, self.epoch)
        if self.trouble == "middle":
            raise OSError("the camera died")

    def interrupt(self) -> None:
        self.stopped.set()

    def close(self) -> None:
        self.over.set()
        if self.trouble == "close":
            raise OSError("cannot close")


class Picky(Element):
    """Gives up the streams whose names begin with `p` at an item."""

    at: int = setting(default=3)

    def process_frame(self, frame: Num) -> None:
        if frame.stream.startswith("p") and frame.index >= self.at:
            raise StreamError(frame.stream, "no more")


class PickySplit(Picky, Split):
    """The same in several threads."""


class Breaks(Split):
    """One of its parts fails, and the pipeline with it."""

    at: int = setting(default=20)
    seen: int = state(int)

    def process(self, item: Num) -> Iterator[Num]:
        self.seen += 1
        if self.seen == self.at:
            raise ValueError("a part broke")
        yield item


class Views(Element):
    """Two streams of each."""

    threaded = True
    begun: set[str] = state(set)

    def splits(self, stream: str) -> Sequence[str]:
        return (f"{stream}.0", f"{stream}.1")

    def start_stream(self, start: StreamStart) -> None:
        self.begun.discard(start.stream)

    def process(self, item: Num) -> Iterator[Any]:
        for name in self.splits(item.stream):
            if item.stream not in self.begun:
                yield StreamStart(name, Caps("numbers"), epoch=item.epoch)
            yield Num(name, item.index, item.epoch)
        self.begun.add(item.stream)

    def end_stream(self, stream: str) -> Iterator[Any]:
        yield from (StreamEnd(name) for name in self.splits(stream))


class World:
    """A random graph, what is done to it, and what should have come of it."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.graph = Graph()
        self.exact = True  # no element loses what a live stream may lose
        self.skipped = self.given_up = -1  # the index that an element skips, that from which streams `p` are refused
        count = rng.choice([1, 1, 2])
        self.entries = [self.graph.add(f"entry{n}", self.entry()) for n in range(count)]
        self.views = self.breaks = False
        self.merges = False
        last = self.line()
        self.sinks = [self.graph.add(f"sink{n}", Sink()) for n in range(rng.choice([1, 1, 2]))]
        for sink in self.sinks:
            self.graph.link(last, sink)
        self.last = last
        self.anchored = rng.random() < 0.6
        self.keep_open = rng.random() < 0.4
        self.pipeline = Pipeline(self.graph, keep_open=self.keep_open)
        self.logs: dict[str, list[Any]] = defaultdict(list)
        for sink in self.sinks:
            self.pipeline.tap(sink, self.logs[sink].append)
        self.lives: dict[str, list[Life]] = defaultdict(list)
        self.branches: list[str] = []
        self.stopping = False  # while others still add and remove

    def entry(self) -> Element:
        rng = self.rng
        kinds: list[Any] = [
            lambda: Pass(), lambda: Note(), lambda: Slow(delay=rng.uniform(0, 0.0005)),
            lambda: Split(workers=rng.randint(2, 5)), lambda: Split(workers=rng.randint(2, 5)),
            lambda: Batch(size=rng.randint(1, 4), timeout=0.004),
        ]  # fmt: skip
        return rng.choice(kinds)()

    def line(self) -> str:
        """What stands between the entries and the sinks; returns the last of it."""
        rng, graph = self.rng, self.graph
        bundles = any(isinstance(graph.nodes[name].element, Batch) for name in self.entries)
        last = graph.add("meet", Pass() if bundles or rng.random() < 0.5 else Split(workers=2))
        for entry in self.entries:
            graph.link(entry, last)
        steps: list[tuple[str, Element, Any]] = []
        if rng.random() < 0.3:
            self.given_up = rng.randint(0, 9)
            picky = Picky if bundles or rng.random() < 0.5 else PickySplit
            steps.append(("picky", picky(at=self.given_up), "fail"))
        if not bundles:
            steps += [(f"line{n}", some_element(rng, True), "fail") for n in range(rng.randint(0, 2))]
            if rng.random() < 0.2:
                self.skipped = rng.randint(0, 9)
                steps.append(("skips", Fail(at=self.skipped), "skip"))
            self.breaks = rng.random() < 0.1
            if self.breaks:
                steps.append(("breaks", Breaks(workers=3, at=rng.randint(1, 60)), "fail"))
            self.views = rng.random() < 0.15
            if self.views:
                steps.append(("views", Views(), "fail"))
            self.merges = not self.views and rng.random() < 0.1
            if self.merges:
                steps.append(("merges", Merge(), "fail"))
        for name, element, on_error in steps:
            graph.link(last, graph.add(name, element, on_error))
            last = name
        if not bundles and not self.views and not self.merges and rng.random() < 0.3:
            last, self.exact = add_diamond(rng, graph, last, True), False
        if not self.merges and rng.random() < 0.4:
            graph.link(last, graph.add("batch", Batch(size=rng.randint(1, 5), timeout=0.004)))
            last = "batch"
        return last

    # what is done

    def begin(self) -> None:
        """Some sources before the start; some of them are taken back."""
        rng, pipeline = self.rng, self.pipeline
        if self.anchored:
            anchor = Life(stream="anchor", delay=0.001, guest=rng.random() < 0.7)
            pipeline.add_source("anchor", anchor, rng.choice(self.entries))
            self.lives["anchor"].append(anchor)
        for _ in range(rng.randint(0, 4)):
            self.add(rng, running=False)
            if rng.random() < 0.1:
                name = pipeline.sources()[-1]
                pipeline.remove_source(name)
                self.lives[name].pop()
                self.anchored = self.anchored and name != "anchor"
        self.keep_open = self.keep_open or not pipeline.sources()

    def end(self, ending: str) -> None:
        pipeline = self.pipeline
        pipeline.resume()
        if ending == "by itself":
            for name in [name for name in pipeline.sources() if self.lives[name][-1].count is None]:
                with contextlib.suppress(ConfigError):  # it ended by itself in between
                    pipeline.remove_source(name, WAIT)
        if ending == "drain" or (ending == "by itself" and self.keep_open):
            pipeline.drain()
        if ending != "stop":
            with contextlib.suppress(MillraceError) if self.breaks else contextlib.nullcontext():
                assert pipeline.wait(WAIT), pipeline.stats()

    def source(self, name: str, rng: random.Random, running: bool) -> Life:
        troubles = TROUBLES if running else TROUBLES[1:]
        live = rng.random() < 0.2 and not self.views
        return Life(
            stream=name, epoch=len(self.lives[name]), live=live, guest=not live and rng.random() < 0.6,
            count=None if rng.random() < 0.25 else rng.choice([0, 1, rng.randint(2, 30)]),
            delay=rng.choice([0.0003, 0.001]) if live or rng.random() < 0.5 else 0.0,
            trouble=rng.choice(troubles) if rng.random() < 0.25 else "",
        )  # fmt: skip

    def add(self, rng: random.Random, who: str = "s", running: bool = True) -> None:
        old = [name for name in list(self.lives) if name.startswith(who)]
        fresh = f"{who}{len(old)}" if rng.random() < 0.8 else f"p{who}{len(self.lives)}"
        name = rng.choice(old) if old and rng.random() < 0.3 else fresh
        source = self.source(name, rng, running)
        if source.delay == 0 and source.count is None:
            source.delay = 0.0002
        going, there = self.going(who), name in self.pipeline.sources()
        into = self.entries[sum(map(ord, name)) % len(self.entries)]
        try:
            self.pipeline.add_source(name, source, into)
        except ConfigError:
            assert there
            return
        except MillraceError as error:
            assert "no source can be added" in str(error)
            allowed = self.breaks or self.stopping or not (self.keep_open or going)
            assert allowed, f"refused while others read: {error}; {going}"
            return
        self.lives[name].append(source)

    def going(self, who: str) -> list[str]:
        """Those of one thread that surely have not ended, and will not before they are removed."""
        return [
            name for name, lives in list(self.lives.items())
            if lives and lives[-1].count is None and not lives[-1].trouble and name.startswith((who, "anchor"))
            and not lives[-1].stopped.is_set()
        ]  # fmt: skip

    def remove(self, rng: random.Random, who: str = "s") -> None:
        names = [name for name in self.pipeline.sources() if name.lstrip("p").startswith(who)]
        if names:
            name = rng.choice(names)
            with contextlib.suppress(ConfigError):  # it ended by itself in between
                self.pipeline.remove_source(name, WAIT)
            last = self.lives[name][-1]  # one that comes as its pipeline breaks is never opened
            assert self.stopping or last.over.is_set() or (self.breaks and not last.opened)

    def branch(self) -> None:
        name = f"branch{len(self.branches)}"
        with contextlib.suppress(MillraceError):  # it has ended
            self.pipeline.add_target(self.last, name, Sink())
            self.branches.append(name)

    def wrong(self) -> None:
        with pytest.raises(ConfigError):
            self.pipeline.add_source("lost", Life(stream="lost"), self.last)
        with pytest.raises(ConfigError):
            self.pipeline.remove_source("nobody")

    def act(self) -> None:
        rng, pipeline = self.rng, self.pipeline
        acts: list[Any] = [
            lambda: self.add(rng), lambda: self.add(rng), lambda: self.add(rng), lambda: self.remove(rng),
            lambda: time.sleep(rng.choice([0.0, 0.001, 0.01])), pipeline.pause, pipeline.resume, pipeline.resume,
            self.branch, self.wrong,
        ]  # fmt: skip
        rng.choice(acts)()

    def other(self, seed: int, failed: list[BaseException]) -> None:
        """A second thread that adds and removes streams of its own."""
        rng = random.Random(seed)
        try:
            for _ in range(rng.randint(2, 8)):
                rng.choice([self.add, self.add, self.remove])(rng, "t")
        except BaseException as error:
            failed.append(error)

    # what came of it

    def arrived(self, log: list[Any]) -> dict[str, list[tuple[int, list[int]]]]:
        """The lives of each stream as a sink saw them: their epochs and the indices of their items."""
        lives: dict[str, list[tuple[int, list[int]]]] = defaultdict(list)
        open_now: set[str] = set()
        for item in log:
            if isinstance(item, StreamStart):
                assert item.stream not in open_now, f"{item.stream} started twice"
                open_now.add(item.stream)
                lives[item.stream].append((item.epoch, []))
            elif isinstance(item, StreamEnd):
                assert item.stream in open_now, f"{item.stream} ended twice"
                open_now.remove(item.stream)
            else:
                for frame in frames([item]):
                    assert frame.stream in open_now, f"{frame.stream}: an item outside of its stream"
                    epoch, indices = lives[frame.stream][-1]
                    assert frame.epoch == epoch
                    indices.append(frame.index)
        assert not open_now, f"not ended: {open_now}"
        return lives

    def expected(self) -> dict[str, list[tuple[Life, list[int]]]]:
        """What should have arrived of each life that began, if nothing was dropped."""
        out: dict[str, list[tuple[Life, list[int]]]] = defaultdict(list)
        for name, lives in self.lives.items():
            for life in lives:
                wanted = [index for index in life.sent if index != self.skipped]
                if name.startswith("p") and self.given_up >= 0:
                    wanted = [index for index in wanted if index < self.given_up]
                if life.began and not self.views:
                    out[name].append((life, wanted))
                elif wanted and self.views:
                    out[f"{name}.0"].append((life, wanted))
                    out[f"{name}.1"].append((life, wanted))
        return out

    def check(self) -> None:
        expected = self.expected()
        lost: dict[str | None, int] = defaultdict(int)
        for stats in self.pipeline.stats().values():
            for name, count in stats.lost.items():
                lost[name] += count
        for sink in self.sinks:
            got = self.arrived(self.logs[sink])
            if self.merges:
                came = sum(len(indices) for _, indices in got.pop("all", []))
                sent = sum(len(wanted) for lives in expected.values() for _, wanted in lives)
                assert not got and sent - sum(lost.values()) <= came <= sent
                continue
            assert set(got) == set(expected)
            for name, lives in expected.items():
                assert [epoch for epoch, _ in got[name]] == [life.epoch for life, _ in lives], name
                gone = 0
                for n, ((_, wanted), (_, indices)) in enumerate(zip(lives, got[name], strict=True)):
                    if any(life.live for life, _ in lives[n:]):  # a live stream does not wait for an earlier life
                        assert indices == sorted(set(indices) & set(wanted))
                        gone += len(wanted) - len(indices)
                    else:
                        assert indices == wanted, name
                if self.exact and self.skipped < 0 and not name.startswith("p"):
                    assert gone == lost[name], name
                elif not any(life.live for life, _ in lives):
                    assert not lost[name]
        for branch in self.branches if not self.merges else ():
            self.check_branch(self.graph.nodes[branch].element.got, expected)  # type: ignore[attr-defined]

    def check_branch(self, got: list[Any], expected: dict[str, list[tuple[Life, list[int]]]]) -> None:
        """Of a branch that came later: the end of one life, then whole ones."""
        seen: dict[tuple[str, int], list[int]] = defaultdict(list)
        for frame in frames(got):
            seen[frame.stream, frame.epoch].append(frame.index)
        for (name, epoch), indices in seen.items():
            wanted = next(wanted for life, wanted in expected[name] if life.epoch == epoch)
            lossy = any(life.live for life, _ in expected[name])
            assert lossy or indices == wanted[len(wanted) - len(indices) :], (name, epoch)


@pytest.mark.parametrize("seed", SEEDS)
def test_sources_come_and_go(seed: int) -> None:
    world = World(seed)
    rng, pipeline = world.rng, world.pipeline
    world.begin()
    ending = rng.choice(["by itself", "by itself", "drain", "stop"])
    failed: list[BaseException] = []
    other = threading.Thread(target=world.other, args=(seed, failed))
    try:
        pipeline.start()
        if rng.random() < 0.4:
            other.start()
        for _ in range(rng.randint(4, 14)):
            world.act()
            if world.keep_open or world.anchored:
                assert world.breaks or not pipeline.wait(0), "it ended before its sources"
        world.stopping = ending == "stop"
        if other.ident and not world.stopping:
            other.join(WAIT)
        world.end(ending)
    finally:
        pipeline.stop()
        if other.ident:
            other.join(WAIT)
    assert not failed, failed
    assert pipeline.sources() == []
    if pipeline.failure is not None:
        assert world.breaks, pipeline.failure
    elif ending != "stop":
        world.check()
        check_nothing_is_kept(pipeline, "drain")
