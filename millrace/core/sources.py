"""The sources of a pipeline: those that have not ended, by the name of their stream, and what the others counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .element import Element
from .errors import ConfigError
from .reader import SourceWorker
from .stats import NodeStats
from .worker import Worker, stats_of

REMEMBERED = 1024  # ended sources whose counts are kept


class Sources:
    """A table without a lock of its own: the pipeline's is held."""

    def __init__(self) -> None:
        self._workers: dict[str, SourceWorker] = {}
        self._ended: dict[str, NodeStats] = {}

    def __len__(self) -> int:
        return len(self._workers)

    def __iter__(self) -> Iterator[SourceWorker]:
        return iter(list(self._workers.values()))

    def names(self) -> list[str]:
        return list(self._workers)

    def named(self, name: str) -> SourceWorker:
        """Raises ConfigError, with the names that there are."""
        if name not in self._workers:
            raise ConfigError(f"no source is named {name!r}; there are: {', '.join(self._workers) or 'none'}")
        return self._workers[name]

    def add(self, worker: SourceWorker) -> None:
        self._workers[worker.name] = worker

    def end(self, worker: Worker) -> bool:
        """Forget a worker but for its counts; False where it is none of these."""
        name = worker.name
        if not isinstance(worker, SourceWorker) or self._workers.get(name) is not worker:
            return False
        del self._workers[name]
        self._ended.setdefault(name, NodeStats(name)).add(stats_of(worker.nodes[0], worker, True))
        if len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]
        return True

    def behind(self, stream: str, elements: Iterable[Element]) -> list[SourceWorker]:
        """Those that a stream comes from, maybe with others, where `elements` merge and split streams."""
        elements = list(elements)
        if any(element.merges == stream for element in elements):
            return list(self)
        found = []
        for worker in self:
            names = {worker.name, *worker.seen}
            if stream in names or any(stream in element.splits(name) for element in elements for name in names):
                found.append(worker)
        return found

    def stats(self) -> dict[str, NodeStats]:
        """What each has counted in all its lives."""
        out = {name: NodeStats(name) for name in self._ended}
        for name, ended in self._ended.items():
            out[name].add(ended)
        for worker in self:
            out.setdefault(worker.name, NodeStats(worker.name)).add(stats_of(worker.nodes[0], worker, True))
        return out
