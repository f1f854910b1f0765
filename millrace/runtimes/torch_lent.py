"""Memory that a recorded network reads, lent to who prepares pictures: what is written there need not be copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..cuda.context import Event, Gpu
from ..cuda.memory import DeviceArray, add_reader
from ..media import TensorInfo


class Lease:
    """The owner of an input of one recorded graph: it ends when its call is queued, or with the array over it.

    `captured` says in `uses` which events must have happened before the input is written: see cuda.memory.Owner.
    """

    __slots__ = ("__weakref__", "captured")

    def __init__(self, captured: Any) -> None:
        self.captured = captured

    @property
    def uses(self) -> list[Event]:
        return self.captured.uses  # type: ignore[no-any-return]

    def used(self, event: Event) -> None:
        add_reader(self.captured.uses, event)

    def written(self, event: Event) -> None:
        """Its readers have been waited for."""
        self.captured.uses[:] = [event]


def lent(gpu: Gpu, lease: Lease, index: int, info: TensorInfo, count: int) -> DeviceArray:
    """The first `count` pictures of an input, by its number, as an array to write."""
    slot = lease.captured.inputs[index]
    strides = tuple(step * slot.element_size() for step in slot.stride())
    shape = (count, *slot.shape[1:])
    return DeviceArray(gpu, slot.data_ptr(), shape, info.dtype, strides, lease)


def lease_of(values: Sequence[Any], lease: Lease | None) -> Lease | None:
    """The lease, if what was lent is among a call's inputs, each array where the network reads it: it may be a part of
    what was lent, from another picture than the first on."""
    places = zip(values, lease.captured.inputs, strict=False) if lease is not None else ()
    filled = [value.pointer == slot.data_ptr() for value, slot in places if getattr(value, "owner", None) is lease]
    return lease if filled and all(filled) else None
