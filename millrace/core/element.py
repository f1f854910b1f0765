"""The one contract that an author of an element must know.

    class Brighten(Element):
        amount: int = setting(default=10, help="grey levels to add")

        def process(self, item):
            ...
            yield item

Who calls what, and when:

* `validate()` before anything runs, when the element is put into a graph: raise ConfigError for settings that cannot
  work, alone or together (a folder that is not there, a line of one point). It looks, and opens nothing.
* `open(context)` once, in the thread that will run the element, before any item; elements that receive open
  before those that send.
* `expect(streams)` whenever the ordered list of announced streams changes: those that can reach this element and
  have not ended here, open or to come. One that will never come (its source failed, an element before refused it)
  is taken from the list. A stream is announced before anything of it comes.
* `start_stream(start)` when a stream opens, and again when its caps change: returns the StreamStart for those
  downstream. Raise StreamError to refuse this stream alone; under `on_error: skip` any error does.
* `process(item)` for every item: yields none, one or many, or returns a list of them. An element that looks at single
  frames defines `process_frame(frame)` instead: it changes the frame in place and returns nothing; a batch is unpacked.
  What is raised costs the item at hand, so an error in `process(batch)` costs the whole batch, an error in
  `process_frame` that frame. One call may yield some 32 items more than there is room for; then it waits.
* `finish_item()`, where an element with `process_frame` defines it, after all frames of an item and before it goes on:
  for what is better done once for them together. What is raised here costs no frame.
* `flush(stream)` before a discontinuity or new caps: gives back what is held of the stream, remembers the rest.
* `closing(stream, last)` before that, when a stream ends: `last` is a frame without a picture that tells what is over
  with the stream (its open events), or None; returns what those downstream are told.
* `end_stream(stream)` when a stream ends, or is refused: gives back what is held, then forgets the stream. When the
  pipeline is stopped it may be left at its first `yield`: what must be given back belongs into `close` too.
* `on_deadline()` no later than `self.deadline` (seconds of time.monotonic; None: never); the engine clears it first.
  Of a `patient` element later, when what it gave before has been taken and those behind it are not `occupied`.
  Where `self.enough` let items wait, the engine first sets it to 1 and brings them.
* `on_wake()` soon after any thread called `context.wake()`.
* `prepare(settings)` in the thread that asks, then `apply(prepared)` between two items: a live change.
* `close()` once, in the same thread as `open`, whether or not anything failed. An `open` that raises cleans up
  after itself: its `close` is not called.

* `cancel()` from another thread when the pipeline is stopped, for elements that wait for the world outside.

No two of these run at the same time (but `prepare` and `cancel`), so an element needs no lock. Only markers are hidden
from an element: the engine forwards them in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from typing import Annotated, Any, ClassVar, Literal, dataclass_transform

from .caps import FRAMES
from .errors import SettingError
from .item import Item, StreamStart

Seconds = Annotated[float, "seconds"]  # the type of a setting that a file may also write as "40ms", "2s", "5m"


def setting(
    *,
    default: Any = MISSING,
    help: str = "",
    factory: Any = MISSING,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[Any] | None = None,
    live: bool = False,
) -> Any:
    """Declare one setting: its default, its text for `inspect` and the docs, and its limits.

    `live` says that the setting may be changed while the pipeline runs.
    """
    facts = {"help": help, "minimum": minimum, "maximum": maximum, "choices": choices, "live": live}
    return field(default=default, default_factory=factory, metadata=facts)


def state(factory: Callable[[], Any], *, init: Literal[False] = False) -> Any:
    """Declare a field that is not a setting: `tracks: dict[str, Track] = state(dict)`.

    `init` is there for type checkers: the field is no argument of the constructor.
    """
    return field(init=init, default_factory=factory)


class Context:
    """What the engine gives an element at `open`."""

    def __init__(
        self,
        name: str,
        wake: Callable[[], None] = lambda: None,
        warn: Callable[[str, str | None], None] = lambda message, stream: None,
        finish: Callable[[str], None] = lambda stream: None,
        restart: Callable[[str], None] = lambda stream: None,
    ) -> None:
        self.name = name
        self.wake = wake  # any thread: make the engine call on_wake() soon
        self.finish = finish  # no more of this stream is wanted: its source ends, what is under way comes still
        self.restart = restart  # the source of this stream shall open it anew, if it can: the next epoch
        self._warn = warn

    def warn(self, message: str, stream: str | None = None) -> None:
        """Post a warning on the bus: something was wrong and the element went on."""
        self._warn(message, stream)


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(setting, state))
class Element:
    """A step of a pipeline. Annotated fields are its settings and its keyword-only constructor."""

    threaded: ClassVar[bool] = False  # own thread behind a channel: it waits, or works outside the GIL
    joins: ClassVar[bool] = False  # the same stream arrives by every input link; frames are paired
    partitioned: ClassVar[bool] = False  # may be split over `workers` threads, each with streams of its own
    in_files: ClassVar[bool] = True  # False: it meets a program's own code, so only a program can use it
    writes: ClassVar[bool] = False  # writes what it passes on: after an OutputError the others go on without it
    takes: ClassVar[str | None] = FRAMES  # what `process` is given: frames (or batches of them), packets, None: either
    gives: ClassVar[str | None] = None  # what it yields, when that is not what it takes

    queue: ClassVar[int] = 4  # items of each stream that may wait before it, when it stands behind a channel

    burst: ClassVar[int | None] = None  # the same for live streams that come from a source (None: as `queue` says)
    sheds: ClassVar[bool] = False  # what it yields of a live stream is dropped, oldest first, where it would wait

    deadline: float | None = None  # assign it: when on_deadline() must run
    enough: int = 1  # assign it: fewer items than that may wait for its deadline; it is woken for them together
    wanted: Container[str] | None = None  # assign it: only what belongs to these streams, please

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclass(kw_only=True, eq=False, repr=False)(cls)

    @property
    def own_thread(self) -> bool:
        """Whether it heads a thread: as its class says, unless its settings make that needless."""
        return self.threaded

    @property
    def ready(self) -> bool:
        """False asks the engine to bring no item yet (markers neither); `context.wake()` makes it look again."""
        return True

    @property
    def patient(self) -> bool:
        """True asks the engine to let its deadline wait while those behind it are occupied."""
        return False

    @property
    def occupied(self) -> bool:
        """True asks a `patient` element before it to hold back what may wait; `context.wake()` has it asked again."""
        return False

    def validate(self) -> None: ...

    @property
    def merges(self) -> str | None:
        """The one stream that it makes of all that come (`tile`); None: streams stay apart.

        Such an element yields the StreamStart and the StreamEnd of that stream itself; `start_stream` may answer None.
        """
        return None

    def splits(self, stream: str) -> Sequence[str]:
        """The streams that it makes of one (`dewarp`: one for each view); that stream itself where it makes no other.

        Such an element yields their StreamStarts and StreamEnds itself, and `start_stream` answers None. It is asked
        from any thread, after `validate`.
        """
        return (stream,)

    def open(self, context: Context) -> None: ...

    def expect(self, streams: Sequence[str]) -> None: ...

    def start_stream(self, start: StreamStart) -> StreamStart | None:
        return start

    def process(self, item: Any) -> Iterable[Item]:
        yield item

    def flush(self, stream: str) -> Iterator[Item]:
        yield from ()

    def closing(self, stream: str, last: Any) -> Any:
        return last

    def end_stream(self, stream: str) -> Iterator[Item]:
        yield from self.flush(stream)

    def on_deadline(self) -> Iterator[Item]:
        yield from ()

    def on_wake(self) -> Iterator[Item]:
        yield from ()

    def prepare(self, settings: Mapping[str, Any]) -> Any:
        return settings

    def apply(self, prepared: Any) -> None:
        for name, value in prepared.items():
            setattr(self, name, value)

    def cancel(self) -> None:
        """Make what waits for the world outside end soon: the pipeline stops. Called from another thread."""

    def close(self) -> None: ...


class Source(Element):
    """An element with nothing before it: a thread of its own, or of the element that it feeds, reads the world."""

    away = False  # assign it: what it reads is lost at the moment, and it tries to get it back

    @property
    def quick(self) -> bool:
        """Whether it never waits, and reads faster than what it feeds works: then it needs no thread of its own."""
        return False

    def read(self) -> Iterator[Item | StreamStart]:
        """Yield a StreamStart of the source's own name, then items; the engine adds a missing StreamEnd.

        Raise SourceError to fail. The generator is closed in the thread that reads it, at a `yield`, when it ends.
        """
        yield from ()

    def interrupt(self) -> None:
        """Make a blocking `read()` return or raise soon. Called from another thread, maybe more than once."""

    def restart(self) -> None:
        """Open what is read anew, if that makes sense: a camera that hangs. Called from another thread."""


def check_live(name: str, element: Element, settings: Mapping[str, Any]) -> None:
    """Raises SettingError for a setting that does not exist or cannot change while running."""
    fields = getattr(type(element), "__dataclass_fields__", {})
    live = [key for key, field in fields.items() if field.metadata.get("live")]
    for key, value in settings.items():
        if key not in live:
            what = "cannot change while running" if key in fields else "does not exist"
            raise SettingError(name, key, value, f"it {what}; those that can: {', '.join(live) or 'none'}")
