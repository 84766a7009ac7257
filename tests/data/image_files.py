"""Small image files made by Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def save(path: Path, pixels: np.ndarray) -> Path:
    """uint8 pixels (height, width) or (height, width, 3 or 4) as the kind of file that `path` ends in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def noise(seed: int, height: int = 8, width: int = 8) -> np.ndarray:
    """Random uint8 pixels (height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def small_folder(folder: Path, counts: dict[str, int]) -> Path:
    """PNG files of 8x8 noise, `counts` of them in each folder by its path."""
    for i, (name, count) in enumerate(counts.items()):
        for k in range(count):
            save(folder / name / f"{k:03}.png", noise(100 * i + k))
    return folder
