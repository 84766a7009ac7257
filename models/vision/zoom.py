"""A walk into a dream: each frame is the dream of the one before, enlarged about its middle (Mordvintsev, Olah, Tyka
2015, "Inceptionism", on iterations). Leans on `dream`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..checks import SettingError, function, number, whole
from ..checks import seed as checked_seed
from .bounds import Box
from .dream import Dreamer, Layers
from .features import Network
from .pictures import enlarged


def zoom(
    network: Network,
    image: Any,
    layer: Layers,
    frames: int = 24,
    factor: float = 1.05,
    octaves: int = 2,
    scale: float = 1.4,
    steps: int = 4,
    rate: float = 0.02,
    jitter: int = 8,
    guide: Any = None,
    tile: int | None = None,
    overlap: int | None = None,
    box: Box = (0.0, 1.0),
    seed: int = 0,
    threads: int | None = None,
    shown: Callable[[int, np.ndarray], Any] | None = None,
) -> np.ndarray:
    """(frames, channels, height, width), float32: dreams, each of the frame before enlarged by `factor` about its
    middle; the first is that of the image. `save_animation` writes them as a GIF.

    The other settings are those of `dream`, for each frame. shown: called with (frames done, the last frame). Raises
    SettingError for settings out of range, and what `dream` raises.
    """
    count, closer = whole("zoom: frames", frames), number("zoom: factor", factor)
    if closer < 1:
        raise SettingError(f"zoom: factor is at least 1, not {factor!r}")
    if shown is not None:
        function("zoom: shown", shown)
    dreamer = Dreamer("zoom", network, layer, octaves, scale, steps, rate, jitter, guide, tile, overlap, box, threads)
    rng = np.random.default_rng(checked_seed("zoom: seed", seed))
    made: list[np.ndarray] = []
    for frame in range(count):
        made.append(dreamer.dream(enlarged(made[-1], closer) if made else image, rng))
        if shown is not None:
            shown(frame + 1, made[-1])
    return np.stack(made)
