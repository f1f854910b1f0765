"""What stands between pictures and models: how a model wants its input, and where a picture came to lie in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Fit = Literal["stretch", "letterbox", "letterbox-top-left"]
Colour = Literal["RGB", "BGR", "GRAY"]
Layout = Literal["NCHW", "NHWC"]
Part = tuple[int, int, int, int]  # x1 y1 x2 y2 of a picture, whole pixels


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A model's input or output: `shape` holds None where a dimension is free."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str  # NumPy's name: "float32", "int64", …

    def __str__(self) -> str:
        return f"{self.name} {self.dtype}[{', '.join('?' if d is None else str(d) for d in self.shape)}]"


# Outputs beside one of which some cells were left out: which are there, [N, cells], ascending; the classes that they
# are surest of, [N, cells], where the output has only their scores; and how sure the surest other is, float32 [N].
CELL_NUMBERS, CELL_CLASSES, LEFT_OUT = "cell numbers", "cell classes", "surest cell left out"
# An input beside the pictures, float32 [N, 3]: how sure a cell must be, the overlap above which the less sure of two
# goes (infinite: none goes), and whether (1) that holds for any two or (0) only for those of a class.
ASKED = "asked of cells"
# Outputs in place of prototypes of masks: what the coefficients of the given cells make of them, float32 [N, room],
# each in a window x1 y1 x2 y2 of a prototype's places, row by row, one cell after the other; and these windows, int32
# [N, cells + 1, 4], empty for a cell without, the last that of a whole prototype.
MASKS, MASK_WINDOWS = "masks of cells", "windows of masks"
FRACTIONS = 2.0  # no box of fractions of a model's input reaches beyond it


@dataclass(frozen=True, slots=True)
class Cells:
    """A model's output with one candidate a cell, and how sure a reader takes a cell to be.

    Of its three dimensions `axis` (1 or 2) counts the cells, the other the numbers of a cell. Those from `first` to
    before `end` are class scores, of which the reader needs the best alone. A cell is as sure as that; where there is
    an `objectness`, as the lesser of that and its product with the best. `numbered`: the reader needs to know which
    cells it was given. `boxes`: how the first four numbers tell the box by which less sure ones are suppressed; None
    where they do not. `grids` of the third kind: (stride, columns, rows) of each, in the order of the cells.
    `prototypes`: the output [N, k, h, w] that covers the input of `size` (width, height), for whose masks the numbers
    behind the class scores are coefficients; None where they are not known. `normalised`: boxes are fractions of the
    input, None: see FRACTIONS.
    """

    output: str
    axis: int
    first: int
    end: int
    objectness: int | None = None
    numbered: bool = False
    boxes: Literal["centres", "corners", "grid"] | None = None  # cx cy w h; x1 y1 x2 y2; as YOLOX has them
    grids: tuple[tuple[int, int, int], ...] = ()
    prototypes: str | None = None
    size: tuple[int, int] | None = None
    normalised: bool | None = None


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How pictures become a model's input: value = (pixel of 0..255 * scale - mean) / std, per channel.

    `mean` and `std` are in the order of `colour`. `fit`: stretch; letterbox keeps the aspect, centred;
    letterbox-top-left keeps the aspect, picture in the corner. `pad` is the grey level of the border, before
    scale and mean. Resizing is bilinear with half-pixel centres, no antialiasing, unless `antialias`.
    """

    width: int
    height: int
    colour: Colour = "RGB"
    layout: Layout = "NCHW"
    dtype: str = "float32"
    fit: Fit = "letterbox"
    pad: int = 114
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    antialias: bool = False


class Placement(NamedTuple):
    """Where a picture lies in the model's input: input = source * scale + offset, per axis, in pixels.

    Of a part of a picture too: source pixels are those of the whole picture.
    """

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float
    width: int  # of the source picture
    height: int

    def to_source(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes [n, 4] x1 y1 x2 y2 of input pixels in source pixels, clipped to the picture."""
        out = boxes.astype(np.float32, copy=True)
        out[:, 0::2] = (out[:, 0::2] - self.offset_x) / self.scale_x
        out[:, 1::2] = (out[:, 1::2] - self.offset_y) / self.scale_y
        np.clip(out[:, 0::2], 0, self.width, out=out[:, 0::2])
        np.clip(out[:, 1::2], 0, self.height, out=out[:, 1::2])
        return out


def place(width: int, height: int, spec: InputSpec, part: Part | None = None) -> Placement:
    """Where `spec.fit` puts a picture of width x height, or the `part` of it.

    The scaled picture covers whole pixels: round(width * ratio) x round(height * ratio), at least 1 x 1. The
    scale given is that of the ratio for letterbox fits, so boxes divide by the ratio as published decoders do.
    """
    x, y, right, bottom = part or (0, 0, width, height)
    wide, high = right - x, bottom - y
    left, top = corner(wide, high, spec)
    if spec.fit == "stretch":
        across, down = spec.width / wide, spec.height / high
    else:
        across = down = min(spec.width / wide, spec.height / high)
    return Placement(across, down, left - x * across, top - y * down, width, height)


def corner(width: int, height: int, spec: InputSpec) -> tuple[int, int]:
    """The left and the top of a picture in the input."""
    if spec.fit != "letterbox":
        return 0, 0
    inner_w, inner_h = fitted_size(width, height, spec)
    return (spec.width - inner_w) // 2, (spec.height - inner_h) // 2


def fitted_size(width: int, height: int, spec: InputSpec) -> tuple[int, int]:
    """The pixels that the picture covers in the input, before padding."""
    if spec.fit == "stretch":
        return spec.width, spec.height
    ratio = min(spec.width / width, spec.height / height)
    return (
        max(1, min(spec.width, round(width * ratio))),
        max(1, min(spec.height, round(height * ratio))),
    )


def touches(x1: float, y1: float, x2: float, y2: float, width: int, height: int) -> bool:
    """Whether a box has something of a picture; none has one that is not finite or turned inside out."""
    return x1 < width and y1 < height and x2 > 0 and y2 > 0 and x1 <= x2 and y1 <= y2  # NaN compares false


def part_of(box: Sequence[float], width: int, height: int) -> Part | None:
    """The whole pixels of a picture that a box x1 y1 x2 y2 stands for: its edges go to the nearest pixel borders,
    and are clipped; at least one pixel. None where the box is not finite or has nothing of the picture."""
    x1, y1, x2, y2 = map(float, box)
    if not touches(x1, y1, x2, y2, width, height):
        return None
    left = 0 if x1 < 0 else round(x1 if x1 < width - 1 else width - 1)
    top = 0 if y1 < 0 else round(y1 if y1 < height - 1 else height - 1)
    right, bottom = round(x2 if x2 < width else width), round(y2 if y2 < height else height)
    return left, top, right if right > left else left + 1, bottom if bottom > top else top + 1


@dataclass(slots=True)
class Detections:
    """What a parser gives for one picture, as columns. Boxes are x1 y1 x2 y2 in model-input pixels.

    A box with an angle (radians, clockwise as seen) is turned about its centre by it. Each mask [h, w] holds weights
    0..1 and is stretched over its box, of sizes of their own.
    """

    boxes: NDArray[np.float32]  # [n, 4]
    scores: NDArray[np.float32]  # [n]
    classes: NDArray[np.int64]  # [n]
    masks: Sequence[NDArray[Any]] | None = None
    keypoints: NDArray[np.float32] | None = None  # [n, k, 3] x y confidence
    angles: NDArray[np.float32] | None = None
    embeddings: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, keep: NDArray[Any]) -> Detections:
        """The rows that `keep` (indices or booleans) names."""
        rows = np.arange(len(self))[keep]
        masks = None if self.masks is None else [self.masks[row] for row in rows.tolist()]
        rest = (None if c is None else c[rows] for c in (self.keypoints, self.angles, self.embeddings))
        return Detections(self.boxes[rows], self.scores[rows], self.classes[rows], masks, *rest)
