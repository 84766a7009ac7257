"""What the sections of the gallery draw from: networks with trained weights, data sets, photographs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...models import data, vision
from ...models.evaluation import trained
from ...models.model import Model
from ..contenders import BenchError

MISSING = "photographs come from scikit-image: pip install 'kernelwright[gallery]', or give --photographs FOLDER"
SIZE = 256
"""Pixels of a photograph's side."""
SHOWN = [40, 1040, 3040, 4040, 7040, 8040]
"""Places of six classes' images in CIFAR-10's test set."""
Numbers = dict[str, Any]
"""What a section measured, which its caption says; "table" is a text of lines that stands below it."""


@dataclass
class Room:
    """Where weights and photographs are (None: those of scikit-image), and the data sets, read when asked for."""

    checkpoints: Path
    photographs: Path | None = None

    def network(self, name: str, recipe: str) -> Model:
        """A network with the weights of a recipe's run."""
        return trained(name, self.checkpoints / f"{recipe}.safetensors")

    @cached_property
    def digits(self) -> Any:
        """MNIST."""
        return data.load("mnist")

    @cached_property
    def things(self) -> Any:
        """CIFAR-10."""
        return data.load("cifar10")

    def photograph(self, name: str, size: int = SIZE) -> np.ndarray:
        """(3, size, size) in [0, 1]. Raises BenchError where it is not to be had."""
        folder = self.photographs
        if folder is None:
            try:
                import skimage
            except ImportError:
                raise BenchError(MISSING) from None
            folder = Path(skimage.__file__).parent / "data"
        found = sorted(path for path in folder.glob(f"{name}.*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
        if not found:
            raise BenchError(f"{folder} has no photograph {name!r}")
        return vision.load_image(found[0], (3, size, size))


@dataclass(frozen=True)
class Section:
    """A title; what draws the picture into a file and gives its numbers; the caption, which names these in braces."""

    title: str
    draw: Callable[[Room, Path], Numbers]
    caption: str
