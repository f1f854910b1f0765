"""What is known of a model: its card, its class names, and the model that the package ships."""

from __future__ import annotations

from pathlib import Path

__all__ = ["SHIPPED", "model_file"]

SHIPPED = ("street",)


def model_file(name: str) -> Path:
    """The path that a `model` setting means: a shipped model by its bare name, else the path itself."""
    if name in SHIPPED:
        return Path(__file__).with_name(f"{name}.onnx")
    return Path(name)
