"""What is known of a model: its card, its class names, the model that the package ships, and those it can fetch."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import ConfigError, did_you_mean

__all__ = ["SHIPPED", "model_file"]

SHIPPED = ("street",)


def model_file(name: str) -> Path:
    """The path that a `model` setting means: a shipped model or one of the catalogue by its bare name, else the path.

    A model of the catalogue that is not on this machine yet is fetched. Raises ConfigError for a word that is neither
    a file nor a name, and when a model cannot be fetched.
    """
    if name in SHIPPED:
        return Path(__file__).with_name(f"{name}.onnx")
    from . import catalogue  # only a bare name needs it

    if not catalogue.is_name(name):
        return Path(name)
    known = catalogue.entries()
    if name in known:
        return catalogue.pull(name)
    hint = did_you_mean(name, [*SHIPPED, *known])
    raise ConfigError(
        f"there is no file {name}; the models that millrace ships are: {', '.join(SHIPPED)}; those that it fetches: "
        f"{', '.join(known)}.{hint}"
    )
