"""How a running `infer` comes by another model: who looks for one, when it takes over, when the old one is closed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from ..runtimes.files import is_remote
from ._model import LoadedModel, model_and_card
from ._renew import FileWatch, News, Optimizer, Renewal

if TYPE_CHECKING:
    from .infer import Infer


class Renewals:
    """What an `infer` element keeps for changes of its model; without an element it does nothing."""

    def __init__(self, element: Infer | None = None) -> None:
        self.streams: dict[str, bool] = {}  # open streams: whether each is live
        self._element = element
        self._retired: list[tuple[LoadedModel, list[Future[Any]]]] = []
        self._held: News | None = None  # an engine that waits until no file is read
        self._watch: FileWatch | None = None
        self._optimizer: Optimizer | None = None
        self._ended: list[Renewal] = []  # told to end; joined at `close`
        if element is not None:
            self._start_watch(element)
            self._start_optimizer(element)

    def begin_anew(self) -> None:
        """Another model was set: what was under way for the one before is of no use."""
        for source in (self._watch, self._optimizer):
            if source is not None:
                source.stop()
                self._ended.append(source)
        self._watch = self._optimizer = None
        self._drop_held()
        if self._element is not None:
            self._start_watch(self._element)

    def _start_watch(self, element: Infer) -> None:
        if element.watch and not is_remote(model_and_card(element.model)[0]):
            load = partial(element.another, element.model)
            self._watch = FileWatch(element.loaded, load, element.context.wake)
            self._watch.start()

    def _start_optimizer(self, element: Infer) -> None:
        opened = element.loaded.opened
        if element.optimize is None or element.engine != "auto" or opened is None or opened.built is not None:
            return
        load = partial(element.another, element.model)
        self._optimizer = Optimizer(element.loaded, element.device, element.accuracy, load, element.context.wake)
        self._optimizer.start()

    def _drop_held(self) -> None:
        if self._held is not None and self._held.loaded is not None:
            self._held.loaded.runtime.close()
        self._held = None

    def seen(self, make: Callable[[], Mapping[str, Any]]) -> Callable[[], Mapping[str, Any]]:
        """`make`, whose inputs the optimizer may copy."""
        optimizer = self._optimizer
        if optimizer is None:
            return make

        def made() -> Mapping[str, Any]:
            feed = make()
            optimizer.offer(feed)
            return feed

        return made

    def look(self) -> None:
        """Between two items: take what is ready, close what nobody uses any more."""
        element = self._element
        if element is None:
            return
        for source in (self._watch, self._optimizer):
            while source is not None and (news := source.take()) is not None:
                self._take(element, news, source is self._optimizer)
        if self._held is not None and all(self.streams.values()):
            held, self._held = self._held, None
            self._take(element, held, True)
        self.tidy()

    def _take(self, element: Infer, news: News, is_engine: bool) -> None:
        if news.loaded is None:
            element.context.warn(news.problem or "", None)
        elif is_engine and not all(self.streams.values()):
            self._held = news  # two runs over a file give the same: an engine does not change under it
        else:
            element.swap(news.loaded, news.same)
            if not is_engine:
                self._drop_held()  # an engine of the file before, as the optimizer's would be
            if not is_engine and self._optimizer is not None:
                self._optimizer.stop()
                self._ended.append(self._optimizer)
                self._optimizer = None

    def retire(self, loaded: LoadedModel, futures: Sequence[Future[Any] | None]) -> None:
        """Close a model when its last call is done."""
        self._retired.append((loaded, [future for future in futures if future is not None]))

    def tidy(self) -> None:
        for item in [each for each in self._retired if all(future.done() for future in each[1])]:
            self._retired.remove(item)
            item[0].runtime.close()

    def close(self) -> None:
        for source in (self._watch, self._optimizer, *self._ended):
            if source is not None:
                source.close()
        self._watch = self._optimizer = None
        self._ended.clear()
        self._drop_held()
        for loaded, _ in self._retired:
            loaded.runtime.close()
        self._retired.clear()
        self.streams.clear()
