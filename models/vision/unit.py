"""An image that excites a unit (Erhan et al. 2009; Simonyan et al. 2013; Olah et al. 2017). Leans on `ascent`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...compiler.graph.tensor import Tensor
from ..checks import SettingError, choice, sizes
from ..checks import seed as checked_seed
from ..images.colour import ColourPCA
from .ascent import Ascent, Climb, Held, Pixels
from .bounds import Box, checked_box
from .descent import Shown
from .features import Network, several
from .shaken import Shaking
from .spectrum import Spectrum

BASES = ("pixels", "fourier")
NOISE = 0.02
"""The deviation of the start from grey, as a part of the box."""


def unit(
    network: Network,
    shape: Sequence[int],
    layer: str,
    channel: int,
    steps: int = 128,
    rate: float = 0.02,
    jitter: int = 2,
    variation: float = 0.1,
    decay: float = 0.0,
    rotate: float = 0.0,
    scale: float = 0.0,
    basis: str = "pixels",
    colours: ColourPCA | None = None,
    box: Box = (0.0, 1.0),
    seed: int = 0,
    threads: int | None = None,
    shown: Shown | None = None,
    every: int = 10,
) -> tuple[np.ndarray, np.ndarray]:
    """(image, responses): an image (channels, height, width) that excites one channel of a layer, and the channel's
    mean value before each step (Erhan et al. 2009; Simonyan et al. 2013, arXiv:1312.6034, section 2).

    shape: the image's. layer: as in `features`; a dense layer's channel is one unit. The start is grey with a little
    noise. variation, decay: what the squared differences of neighbouring pixels cost, and those from grey, in the mean.

    Before each step the image is shifted by up to `jitter` pixels each way, turned by up to `rotate` degrees, and made
    up to 1 + `scale` times as large or as small. basis: "pixels", where a step changes a pixel by `rate` in the mean,
    or "fourier", where it is one of Adam on the spectrum, whose coefficients are divided by their frequency (Olah et
    al. 2017, "Feature Visualization"). colours: of `kw.images.colour_pca`, by which the spectrum's colours are
    decorrelated; by default by those of photographs, if the image has three channels.

    shown: called with (steps done, image, response) after every `every` steps. The same seed gives the same image.
    Raises SettingError for a layer or channel that there is not, and settings out of range.
    """
    given = sizes("unit: shape", shape)
    if not isinstance(given, tuple) or len(given) != 3:
        raise SettingError(f"unit: shape is (channels, height, width) of an image, not {shape!r}")
    how = Climb("unit", rate, Shaking("unit", jitter, rotate, scale), variation, decay, threads)
    limits, held_as = checked_box("unit", box), choice("unit: basis", basis, BASES)
    rng = np.random.default_rng(checked_seed("unit: seed", seed))
    held: Held
    if held_as == "fourier":
        held = Spectrum(given, limits, rng, colours, threads)
    else:
        middle, span = 0.5 * sum(limits), limits[1] - limits[0]
        held = Pixels((middle + NOISE * span * rng.normal(size=(1, *given))).astype("float32"), limits)
    ascent = Ascent(lambda x: response(network, x, layer, channel), held, how)
    responses = ascent.climb(steps, rng, shown, every)
    return held.picture(), responses


def response(network: Network, x: Tensor, layer: str, channel: int) -> Tensor:
    """The mean value of a layer's channel, a scalar. Raises SettingError for a layer or channel that there is not."""
    (value,) = several(network, x, [layer])
    channels = value.shape[1] if value.rank > 1 else 0
    if not isinstance(channels, int) or not 0 <= channel < channels:
        raise SettingError(f"unit: {layer} has channels 0 to {channels - 1}, not {channel}")
    return value[:, channel].mean()
