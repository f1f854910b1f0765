"""DeepStream's files that describe models, whichever it is: nvinfer, nvinferserver, nvdspreprocess, nvdspostprocess."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..core.errors import ConfigError
from ..deepstream import Report, paths
from ..deepstream.kinds import kind_of
from .card import ModelCard, read_card
from .nvdspostprocess import read_nvdspostprocess
from .nvdspreprocess import read_nvdspreprocess
from .nvinfer import read_nvinfer
from .nvinferserver import read_nvinferserver
from .preprocess_card import PreprocessCard

SUFFIXES = (".txt", ".ini", ".cfg", ".conf", ".config", ".pbtxt", ".yml", ".yaml")
READERS: dict[str, Callable[[str | os.PathLike[str]], tuple[ModelCard | PreprocessCard, Report]]] = {
    "nvinfer": read_nvinfer,
    "nvinferserver": read_nvinferserver,
    "nvdspreprocess": read_nvdspreprocess,
    "nvdspostprocess": read_nvdspostprocess,
}


def read_model(path: str | os.PathLike[str]) -> ModelCard | None:
    """The card of a file of nvinfer or nvinferserver; None when it is none of DeepStream's.

    Raises ConfigError with file and line for what is wrong in it, and for DeepStream's other files.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        return None
    kind = kind_of(path)
    if kind is None:
        return None
    if kind not in ("nvinfer", "nvinferserver"):
        raise ConfigError(f"{path} configures {kind}: it names no model that could be run")
    card, report = (read_nvinfer if kind == "nvinfer" else read_nvinferserver)(path)
    return replace(card, warnings=tuple(report.warnings()))


def read_outputs_card(path: str | os.PathLike[str]) -> ModelCard:
    """How outputs are read, by a card or a file of nvdspostprocess, nvinfer or nvinferserver. Raises ConfigError."""
    if kind_of(path) == "nvdspostprocess":
        card, report = read_nvdspostprocess(path)
        return replace(card, warnings=tuple(report.warnings()))
    return read_model(path) or read_card(path)


def where_else(model: str) -> str:
    """What to do about a file that DeepStream's file names and that is not there."""
    return paths.where_else(model) if model.startswith(paths.INSTALLED) else ""
