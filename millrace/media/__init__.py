"""The nouns of video: frames, pictures, objects, and their geometry. Knows nothing of the engine."""

from .codec import CodecParameters, Decoding, SoundParameters
from .frame import Batch, Frame, Packet
from .image import CPU, Image
from .objects import Event, Label, Object, box
from .reading import Reading
from .tensor import (
    ASKED,
    CELL_CLASSES,
    CELL_NUMBERS,
    FRACTIONS,
    LEFT_OUT,
    MASK_WINDOWS,
    MASKS,
    Cells,
    Detections,
    InputSpec,
    Placement,
    TensorInfo,
)  # fmt: skip

__all__ = [
    "ASKED", "CELL_CLASSES", "CELL_NUMBERS", "CPU", "FRACTIONS", "LEFT_OUT", "MASKS", "MASK_WINDOWS", "Batch", "Cells",
    "CodecParameters", "Decoding", "Detections", "Event", "Frame", "Image", "InputSpec", "Label", "Object", "Packet",
    "Placement", "Reading", "SoundParameters", "TensorInfo", "box",
]  # fmt: skip
