"""PyNvVideoCodec, which both decoding and encoding on a GPU use."""

from __future__ import annotations

from typing import Any

from ..core.errors import MissingExtraError


def library(what: str = "decoding") -> Any:
    """The module PyNvVideoCodec; raises MissingExtraError, or ValueError when the driver lacks its video part."""
    try:
        import PyNvVideoCodec
    except ImportError as error:
        if "PyNvVideoCodec" not in str(error):
            raise ValueError(f"PyNvVideoCodec cannot be loaded: {reason_of(error)}") from error
        raise MissingExtraError(f"{what} on a GPU", "PyNvVideoCodec", "cuda") from None
    except RuntimeError as error:  # in a container without the driver's video libraries
        raise ValueError(
            f"{what} on the GPU cannot be used: {reason_of(error)} (in a container, start it with the driver "
            "capability `video`)"
        ) from error
    return PyNvVideoCodec


def reason_of(error: Exception) -> str:
    """Of the library's many lines one: what it calls the error's type, where it does, else the first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kind = next((line.partition(":")[2].strip() for line in lines if line.startswith("Error Type")), "")
    return kind or next(iter(lines), type(error).__name__)
