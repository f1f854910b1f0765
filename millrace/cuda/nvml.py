"""What NVIDIA's management library says of the GPUs: memory, how busy they are, their decoders and encoders.

Needs no CUDA context and no work on the GPU. Without the library (nvidia-ml-py, in the extra `cuda`) or without a
driver there is nothing to say, and `open_nvml` says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..core.errors import MillraceError


class Gpu(NamedTuple):
    """One GPU, by the number of its `cuda:N`."""

    number: int
    name: str
    memory: int  # bytes; 0: it does not say (it shares the processor's)
    compute: str  # 9.0


class Usage(NamedTuple):
    """How busy one GPU is at this moment; shares are percents, None where it does not say."""

    number: int
    used: int  # bytes of memory
    memory: int
    gpu: int | None
    decoder: int | None
    encoder: int | None


class Nvml:
    """The library, opened."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._handles = _handles(library)
        self.driver = _text(library.nvmlSystemGetDriverVersion())
        version = library.nvmlSystemGetCudaDriverVersion()
        self.cuda = f"{version // 1000}.{version % 1000 // 10}"  # the newest CUDA that the driver knows

    def gpus(self) -> list[Gpu]:
        library, out = self._library, []
        for number, handle in enumerate(self._handles):
            major, minor = self._ask(library.nvmlDeviceGetCudaComputeCapability, handle) or ("?", "?")
            name = _text(self._ask(library.nvmlDeviceGetName, handle) or "?")
            out.append(Gpu(number, name, self._memory(handle)[1], f"{major}.{minor}"))
        return out

    def usage(self) -> list[Usage]:
        library, out = self._library, []
        for number, handle in enumerate(self._handles):
            used, memory = self._memory(handle)
            rates = self._ask(library.nvmlDeviceGetUtilizationRates, handle)
            decoder = self._ask(library.nvmlDeviceGetDecoderUtilization, handle)
            encoder = self._ask(library.nvmlDeviceGetEncoderUtilization, handle)
            out.append(
                Usage(
                    number, used, memory, None if rates is None else rates.gpu,
                    None if decoder is None else decoder[0], None if encoder is None else encoder[0],
                )
            )  # fmt: skip
        return out

    def close(self) -> None:
        self._library.nvmlShutdown()

    def _memory(self, handle: Any) -> tuple[int, int]:
        """Used, and all of it; zeros where it does not say."""
        found = self._ask(self._library.nvmlDeviceGetMemoryInfo, handle)
        return (found.used, found.total) if found is not None else (0, 0)

    def _ask(self, call: Any, handle: Any) -> Any:
        """What the GPU answers; None where it does not know the question (an engine that it has not, a MIG part)."""
        try:
            return call(handle)
        except self._library.NVMLError:
            return None


def _handles(library: Any) -> list[Any]:
    """Of the GPUs that CUDA has here, in its order: CUDA_VISIBLE_DEVICES may hide some, and this library counts all, by
    their places on the bus. Without cuda-bindings that is all there is to go by."""
    from .context import bus_ids

    try:
        places = bus_ids()
    except (MillraceError, RuntimeError):
        places = []
    if places:
        return [library.nvmlDeviceGetHandleByPciBusId(place) for place in places]
    return [library.nvmlDeviceGetHandleByIndex(number) for number in range(library.nvmlDeviceGetCount())]


def open_nvml() -> Nvml | str:
    """The library, or why there is none."""
    try:
        import pynvml
    except ImportError:
        return "nvidia-ml-py is not installed"
    try:
        pynvml.nvmlInit()
        return Nvml(pynvml)
    except pynvml.NVMLError as error:
        return str(error)


def said(usage: Sequence[Usage]) -> str:
    """`cuda:0 97 % busy, decoder 99 %, encoder 0 %, 12.3 of 140.4 GiB`, joined where there are several."""
    return "; ".join(_one(each) for each in usage)


def _one(usage: Usage) -> str:
    shares = (("busy", usage.gpu), ("decoder", usage.decoder), ("encoder", usage.encoder))
    parts = [
        f"{share} % {name}" if name == "busy" else f"{name} {share} %" for name, share in shares if share is not None
    ]
    if usage.memory:
        parts.append(f"{gib(usage.used)} of {gib(usage.memory)} GiB")
    return f"cuda:{usage.number} " + ", ".join(parts)


def gib(size: int) -> str:
    """Bytes in GiB."""
    return f"{size / (1 << 30):.1f}"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
