"""Text from a picture of one line: the best character of each step, by the rules of CTC (Graves et al., ICML 2006)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..media import Reading
from .base import Guess, Model, Outputs, ParserSettings
from .common import Floats, image_input, softmax


def parse(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Reading]:
    """Scores [N, T, C] or [N, C, T] of T steps: repeated characters count once, blanks part them.

    `names` are the characters in order, without the blank. Extras: `blank` (its class, default the last), `space`
    (true: a class after the names is a space), `classes_first` (true: [N, C, T]; by default it is seen from the number
    of names). The confidence is the mean over the steps that gave a character; less than `confidence` gives no text.
    """
    (scores,) = list(outputs.values())[:1]
    scores = np.asarray(scores, np.float32).reshape(count, *scores.shape[-2:])
    wanted = len(settings.names) + 1 + bool(settings.extras.get("space"))
    first = settings.extras.get("classes_first", scores.shape[1] == wanted != scores.shape[2])
    scores = scores.swapaxes(1, 2) if first else scores
    classes = scores.shape[2]
    if settings.names and classes != wanted:
        raise ValueError(f"{classes} classes are not {len(settings.names)} characters, a blank and what `space` adds")
    blank = int(settings.extras.get("blank", classes - 1)) % classes
    alphabet = _alphabet(settings, classes, blank)
    return [_read(scores[picture], blank, alphabet, settings) for picture in range(count)]


def parse_lprnet(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Reading]:
    """TAO's LPRNet: the best class of each step [N, T], whole numbers, and its probability; the last is blank."""
    steps = next(value for value in outputs.values() if value.dtype.kind in "iu").reshape(count, -1)
    sure = next((v for v in outputs.values() if v.dtype.kind == "f"), np.ones(steps.shape)).reshape(count, -1)
    blank = int(settings.extras.get("blank", len(settings.names)))
    return [_collapse(steps[n], sure[n], blank, settings.names, settings.confidence) for n in range(count)]


def _alphabet(settings: ParserSettings, classes: int, blank: int) -> Mapping[int, str]:
    """Characters by class, the blank left out."""
    characters = [settings.names[n] for n in sorted(settings.names)] or [str(n) for n in range(classes - 1)]
    characters += [" "] if settings.extras.get("space") else []
    return {n + (n >= blank): character for n, character in enumerate(characters)}


def _read(scores: Floats, blank: int, alphabet: Mapping[int, str], settings: ParserSettings) -> Reading:
    best = scores.argmax(axis=1)
    whole = float(scores.min()) >= -1e-4 and abs(float(scores[0].sum()) - 1) < 1e-2
    values = scores if whole else softmax(scores, 1)
    return _collapse(best, values[np.arange(len(best)), best], blank, alphabet, settings.confidence)


def _collapse(
    best: NDArray[np.integer], values: Floats, blank: int, alphabet: Mapping[int, str], least: float
) -> Reading:
    changed = np.ones(len(best), bool)
    changed[1:] = best[1:] != best[:-1]
    kept = np.flatnonzero(changed & (best != blank))
    text = "".join(alphabet.get(int(best[step]), "") for step in kept)
    sure = float(values[kept].mean()) if len(kept) else 0.0
    return Reading(text=text, text_confidence=sure) if text and sure >= least else Reading()


def guess(model: Model) -> Guess | None:
    names = {output.name.lower(): output for output in model.outputs}
    if image_input(model) is None:
        return None
    if any("argmax" in name and names[name].dtype.startswith("int") for name in names) and len(names) == 2:
        return Guess("lprnet", 0.8, "the best character of each step, and its probability", confidence=0.0)
    return None  # scores of steps look like much else: a card has to name the characters anyway
