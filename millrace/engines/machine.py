"""What an engine was made for: this processor, these libraries, this model file."""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..runtimes.base import usable_cores

LIBRARIES = ("onnxruntime", "onnxruntime-gpu", "openvino", "torch", "tensorrt")
_BESIDE = (".bin", ".data", ".onnx.data", ".onnx_data", ".weights")  # where formats keep weights apart


@cache
def cpu() -> tuple[str, str]:
    """The processor's name and what it can do, its feature flags sorted; empty where the system does not tell."""
    names: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            names.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    name = names.get("model name") or platform.processor() or platform.machine()
    facts = [names.get(key, "") for key in ("cpu family", "model", "stepping")]
    flags = names.get("flags") or names.get("Features") or ""
    return " ".join([name, "/".join(filter(None, facts))]).strip(), " ".join(sorted(flags.split()))


def machine() -> dict[str, str | int]:
    """What tells this machine from others, as far as speed and arithmetic go."""
    name, flags = cpu()
    return {
        "cpu": name,
        "flags": hashlib.sha256(flags.encode()).hexdigest()[:16],
        "cores": usable_cores(),
        "system": f"{platform.system()} {platform.machine()}",
    }


@cache
def _versions() -> dict[str, str]:
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def versions() -> dict[str, str]:
    """The libraries that compute, those that are installed, with their versions."""
    return dict(_versions())


def digest(model: str | os.PathLike[str]) -> str:
    """SHA-256 of a model: its file, and the weights that its format keeps in files beside it."""
    path = Path(model)
    total = hashlib.sha256()
    beside = {path.with_suffix(suffix) for suffix in _BESIDE} | {Path(f"{path}{suffix}") for suffix in _BESIDE}
    for part in [path, *sorted(p for p in beside if p != path and p.is_file())]:
        with open(part, "rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
