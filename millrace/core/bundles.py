"""Items that span streams, on their way beside others in one channel: which may come before which.

A channel holds so many bundles, whosever they are. Those of one sender need no more: they come in its order. Where
several ways meet, bundles of one may wait for room that comes only when those of another have come, which find the
channel full: `x x x x` wait before what takes bundles apart, a batch behind that has all the `x` it may have and waits
for a `y`. There a bundle passes those that have no room now, and one comes into a full channel whose reader rests, as
long as it shares no stream with what waits. So streams depend on each other no more than single items do, and what is
in excess is bounded by one bundle for each stream.

Of one way, what is waited for may come behind more of other streams than may wait: a stream begins late, and bundles
without it are under way. Where they are taken apart the reader gets them all, up to `channel.BEHIND` items of a stream,
while it can go on only with what is not there (`Channel.starve`). What made the bundles takes turns, too, and makes no
more such.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Mapping
from typing import Any, Protocol

from .item import streams_of

NOTHING: Any = object()


class Admits(Protocol):
    """Says whether there is room for what an item of `stream` becomes; of one that spans streams (None), `of` these."""

    def __call__(self, stream: str | None, of: Iterable[str] = ()) -> bool: ...


def only_of(wanted: Container[str] | None) -> str | None:
    """The one stream that is wanted, where it is one."""
    if isinstance(wanted, frozenset) and len(wanted) == 1:
        (only,) = wanted
        return str(only)
    return None


def sharing(bundles: Iterable[Any], streams: Iterable[str]) -> int:
    """How many of these bundles have something of one of these streams."""
    return sum(not streams_of(bundle).isdisjoint(streams) for bundle in bundles)


def choose(
    shares: Mapping[str | None, deque[Any]],
    turns: deque[str | None],
    wanted: Container[str] | None,
    admits: Admits | None,
    meets: bool,
) -> Any:
    """The stream whose oldest item may come, None for a bundle, which then stands first; or NOTHING.

    `shares`: what waits of each stream, `turns`: the streams of all that waits, both in the order of arrival. Nothing
    overtakes a bundle that has something of its stream, nor the other way round. Where ways meet bundles pass others.
    """
    refused: set[Any] = set()
    bundles: list[tuple[set[str], bool]] = []  # those that were passed over, and whether for lack of room only
    left = len(shares)  # streams not looked at
    for stream in turns:
        if stream is None:
            mine = streams_of(shares[None][len(bundles)])
            asked = (meets or not bundles) and refused.isdisjoint(mine)
            if asked and (admits is None or admits(None, mine)):
                if bundles:
                    _bring_forward(shares[None], turns, _earliest(bundles, admits))
                return None
            bundles.append((mine, asked))
            refused |= mine
        elif stream not in refused:
            if (wanted is None or stream in wanted) and (admits is None or admits(stream)):
                return stream
            refused.add(stream)
            left -= 1
            if not left:
                break
    return _before(shares, turns, admits, meets) if None in shares else NOTHING


def _earliest(bundles: list[tuple[set[str], bool]], admits: Admits | None) -> int:
    """Which one goes in place of the one behind these, for which there is room: that may have come while we asked."""
    for n, (mine, asked) in enumerate(bundles):
        if asked and (admits is None or admits(None, mine)):
            return n
    return len(bundles)


def _bring_forward(share: deque[Any], turns: deque[str | None], n: int) -> None:
    """Put bundle `n` of those that wait before all else; the others keep their places."""
    bundle = share[n]
    del share[n]
    share.appendleft(bundle)
    del turns[[at for at, stream in enumerate(turns) if stream is None][n]]
    turns.appendleft(None)


def _before(
    shares: Mapping[str | None, deque[Any]], turns: deque[str | None], admits: Admits | None, meets: bool
) -> Any:
    """The stream of what keeps a bundle back: a bundle comes whatever is wanted, so this does, too."""
    if turns[0] is None and not meets:
        return NOTHING
    waiting = iter(turns)
    singles: list[str] = []  # streams of what stands before the bundle
    passed: set[str] = set()  # streams that bundles before it have
    for bundle in shares[None]:
        for stream in waiting:
            if stream is None:
                break
            if stream not in passed:
                singles.append(stream)
        mine = streams_of(bundle)
        for stream in dict.fromkeys(singles):
            if stream in mine and (admits is None or admits(stream)):
                return stream
        if not meets:
            break
        passed |= mine
    return NOTHING
