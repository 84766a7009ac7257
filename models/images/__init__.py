"""Images in the DSL, as `kw.images`: warps, colour, random augmentation, filters, and their statistics."""

from __future__ import annotations

from . import colour, filters, geometry, statistics
from .augment import Augment
from .colour import ColourPCA, colour_pca
from .geometry import Affine, warp
from .named import augmentation
from .steps import (
    Brightness,
    Contrast,
    Crop,
    Cutout,
    Dilate,
    Erode,
    Flip,
    Hue,
    Lighting,
    Rotate,
    Saturation,
    Scale,
    Shear,
    Translate,
)
