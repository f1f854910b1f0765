"""`millrace bench`: what the engine costs here, how late live results are, what a GPU reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def bench(
    what: Annotated[str, typer.Argument(help="engine: what it costs; gpu: what each part of it reaches.")] = "engine",
    quick: Annotated[bool, typer.Option("--quick", help="Shorter, less exact.")] = False,
    live: Annotated[bool, typer.Option("--live", help="How late a live stream's results are, and overload.")] = False,
    device: Annotated[str, typer.Option(help="Of `bench gpu`: cuda:0, or cpu.")] = "cuda:0",
    clip: Annotated[Path | None, typer.Option(help="Of `bench gpu`: a video; default: made here.")] = None,
    model: Annotated[str, typer.Option(help="Of `bench gpu`: the detector; default: made here.")] = "",
    streams: Annotated[int, typer.Option(min=1, help="Of `bench gpu`: how many read the clip.")] = 32,
) -> None:
    """Measure what the engine itself costs on this machine, or what a GPU reaches."""
    if what == "gpu":
        from ..testing.bench_gpu import main as gpu

        raise typer.Exit(gpu(device, clip, model, streams, quick))
    if what != "engine":
        raise typer.BadParameter(f"{what!r} is not known; there are: engine, gpu")
    if live:
        from ..testing.bench_live import main
    else:
        from ..testing.bench import main
    raise typer.Exit(main(quick=quick))
