"""The demonstration detector as it is exported: the class that its PyTorch weights alone need."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from training.model import Detector


class Exported(Detector):
    def __init__(self) -> None:
        super().__init__(4, (8, 16, 32, 64, 96), head=32)
        self.export = True
