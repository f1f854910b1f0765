"""Which process runs which streams: devices for the processes, and a plan for each."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace

from .. import devices
from ..config.build import class_of
from ..config.plan import Line, Plan, Select, Step, Stream, Tee
from ..core.element import Element, Source
from ..core.errors import ConfigError


def is_fleet(plan: Plan, processes: int | None = None) -> bool:
    """Whether a plan asks for more than this process: several devices, or several processes for one."""
    return "," in plan.device or plan.device.endswith(":all") or (processes or 1) > 1


def places(device: str, processes: int | None = None) -> list[str]:
    """The device of each process: `cuda:0,cuda:1` and 4 processes → cuda:0, cuda:1, cuda:0, cuda:1.

    `cuda:all` stands for every GPU that is there, `auto` for the first of them or the cpu. Without a number there is
    one process for each device.
    Raises ConfigError for a device that is not known, and for fewer processes than devices.
    """
    named = [part.strip() for part in devices.named(device).split(",") if part.strip()]
    out = [each for name in named for each in (devices.every(name) if name.endswith(":all") else [name])]
    if len(set(out)) < len(out):
        raise ConfigError(f"device {device!r}: {next(name for name in out if out.count(name) > 1)} stands there twice")
    for name in out:
        devices.kind(name)
    count = len(out) if processes is None else processes
    if count < len(out):
        raise ConfigError(
            f"{count} processes cannot use {len(out)} devices ({', '.join(out)}): name fewer, or ask for {len(out)}"
        )
    return [out[index % len(out)] for index in range(count)]


def split(plan: Plan, where: list[str]) -> list[Plan]:
    """A plan for each place, with its streams: they are dealt out in turn. Places without a stream get none.

    Raises ConfigError where the plan cannot be taken apart: streams that meet in one element, objects of a program.
    """
    check(plan)
    names = tuple(stream.name for stream in plan.streams)
    shares: list[list[Stream]] = [plan.streams[index :: len(where)] for index in range(len(where))]
    return [
        replace(plan, streams=share, device=device, run=names)
        for share, device in zip(shares, where, strict=True)
        if share
    ]


def check(plan: Plan) -> None:
    """Raise ConfigError for what cannot be done in several processes."""
    if plan.listen:
        raise plan.where.error("commands cannot be taken in several processes: run this in one", "listen")
    for stream in plan.streams:
        if isinstance(stream.uri, Source):
            raise stream.where.error(f"stream {stream.name!r} is an object of this program: it stays in this process")
    for step in _steps(plan.line):
        if isinstance(step, Select):
            raise step.where.error("select: the other processes do not have that stream; run this in one process")
        if isinstance(step.element, Element):
            name = type(step.element).__name__
            raise step.where.error(f"{name} is an object of this program: it stays in this process; name it instead")
        if class_of(step).merges is not Element.merges:
            raise step.where.error(
                f"{step.element} puts all streams into one picture, but each process has only its own: "
                "run this in one process"
            )
    try:
        pickle.dumps(plan)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ConfigError(f"this pipeline holds what cannot be handed to another process: {error}") from error


def _steps(line: Line) -> Iterator[Step | Select]:
    for step in line:
        if isinstance(step, Tee):
            for branch in step.branches.values():
                yield from _steps(branch)
        else:
            yield step
