"""Tracking by motion and by looks that a re-identification model tells apart."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..core.errors import SettingError
from .appearance import Appearance
from .default import Default
from .reassociation import Terms
from .rules import CONFIRMED, Stage

TYPICAL = 0.9  # cosine of a thing to its own nearest look, in the mean


@dataclass(kw_only=True)
class DeepSort(Default):
    """`default`, and the likeness of embeddings: in association, and for identities that come back.

    Wojke et al., "Simple online and realtime tracking with a deep association metric", ICIP 2017. `likeness` times the
    cosine of two looks, less `usual` (what a thing looks like itself), counts beside the overlap of boxes; below
    `least_likeness` two are never the same. With `search`, what no box overlaps enough is looked for farther off, in
    boxes that grow by so much of their sides, among those that look alike by `least_again`. An identity that ended less
    than `reassociate` seconds ago is taken up by a new target that looks like it (`least_again`), more than all others
    in view by `margin`, and stands where it may have gone (`reach`: how far). `history` looks are kept of each, taken
    again every `interval` seconds (0: at every look); what is hidden by more than 1 - `least_visible` is neither learnt
    nor compared. The embeddings come from the model of the element's setting `reid`, or from an `infer` before it.
    """

    likeness: float = 1.0
    least_likeness: float = 0.3
    usual: float = 0.7
    search: float = 0.0
    least_again: float = 0.8
    reassociate: float = 3.0
    reach: float = 1.0
    margin: float = 0.05
    history: int = 30
    interval: float = 0.0
    least_visible: float = 0.6

    name = "deepsort"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.history < 1:
            raise SettingError(f"tracker {self.name}", "history", self.history, "at least one look is kept")

    def stages(self) -> tuple[Stage, ...]:
        first, *rest = super().stages()
        first = replace(
            first, min_score=first.min_score + self.likeness * self.usual, extra=(self.likeness, 0.0),
            min_extra=(self.least_likeness, first.min_extra[1]),
        )  # fmt: skip
        wide = Stage(
            states=CONFIRMED, low=self.high_confidence, buffer=self.search, growth=self.search,
            buffer_most=4 * self.search, extra=(1.0, 0.0), min_extra=(self.least_again, first.min_extra[1]),
            class_penalty=self.class_penalty,
        )  # fmt: skip
        return (first, wide, *rest) if self.search else (first, *rest)

    def appearance(self) -> Appearance | None:
        return Appearance(
            history=self.history, interval=self.interval, least_visible=self.least_visible,
            least_confidence=self.low_confidence, unknown=max(self.usual, self.least_likeness), typical=TYPICAL,
        )  # fmt: skip

    def terms(self) -> Terms:
        return Terms(
            within=self.reassociate,
            reach=self.reach,
            least_look=self.least_again,
            least_motion=0.0,
            motion=0.5,
            margin=self.margin,
            blind=False,
        )
