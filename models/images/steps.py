"""The steps that `Augment` composes, each a small frozen value: what is drawn for each image, and what is done with it.

A range is given as one number, the distance from no change in both directions, or as (least, greatest). Leans on
`geometry`, `colour` and `filters` for what is done, and on a counter-based generator for what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ...compiler.errors import ShapeError
from ...compiler.graph.ops.elementwise import clip, floor, sqrt, where
from ...compiler.graph.ops.random import Generator
from ...compiler.graph.tensor import Tensor, as_tensor
from ...compiler.shapes import Dim
from ..checks import NOT_NEGATIVE, PROBABILITY, SettingError, choice, flag, number, whole
from . import colour, filters, geometry
from .geometry import Affine, Size

Range = float | tuple[float, float]
Limits = tuple[float, float] | None


@dataclass(frozen=True)
class Draw:
    """Random numbers for each image of a batch."""

    generator: Generator
    batch: Dim

    def uniform(self, low: float, high: float) -> Tensor:
        """(batch,) float32 in [low, high)."""
        return self.generator.uniform((self.batch,), low, high)

    def whole(self, low: int, high: int) -> Tensor:
        """(batch,) whole numbers from low to high, both included, as float32."""
        return floor(self.uniform(low, high + 1))

    def chance(self, p: float) -> Tensor:
        """(batch,) of 1 with probability p, else 0, as float32."""
        return self.generator.bernoulli((self.batch,), p).astype("float32")

    def normal(self, count: int, std: float) -> Tensor:
        """(batch, count) float32."""
        return self.generator.normal((self.batch, count), 0.0, std)


class Step:
    """What Augment takes."""

    def change(self, images: Tensor, draw: Draw) -> Tensor:
        """The images, each changed by what was drawn for it."""
        raise NotImplementedError(f"{type(self).__name__}.change")


class Geometric(Step):
    """A step that only says where each pixel comes from."""

    def affine(self, draw: Draw, size: Size) -> Affine:
        """From the result's pixels to those of images of `size`."""
        raise NotImplementedError(f"{type(self).__name__}.affine")

    def result(self, size: Size) -> Size:
        """(height, width) of the result."""
        return size

    def still(self, size: Size) -> Affine:
        """The map in inference, where nothing is random."""
        return Affine()


class Colouring(Step):
    """A step that changes pixels where they are."""


# ---------------------------------------------------------------- geometry


@dataclass(frozen=True)
class Translate(Geometric):
    """Moves by up to so many pixels: `Translate(4)`, or (down, right). whole: by whole pixels, which blur nothing."""

    pixels: float | tuple[float, float]
    whole: bool = True

    def __post_init__(self) -> None:
        flag("Translate: whole", self.whole)
        for most in self._most():
            if not math.isfinite(most) or most < 0 or (self.whole and most != int(most)):
                raise SettingError(
                    f"Translate: pixels are at least 0 (and whole, unless whole=False), not {self.pixels!r}"
                )

    def affine(self, draw: Draw, size: Size) -> Affine:
        down, right = self._most()
        drawn = [draw.whole(-int(n), int(n)) if self.whole else draw.uniform(-n, n) for n in (down, right)]
        return geometry.translation(drawn[1], drawn[0])

    def _most(self) -> tuple[float, float]:
        return _pair("Translate: pixels", self.pixels)


@dataclass(frozen=True)
class Flip(Geometric):
    """Mirrors left to right, and/or top to bottom, each with probability p."""

    horizontal: bool = True
    vertical: bool = False
    p: float = 0.5

    def __post_init__(self) -> None:
        number("Flip: p, a probability,", self.p, PROBABILITY)
        flag("Flip: horizontal", self.horizontal)
        flag("Flip: vertical", self.vertical)

    def affine(self, draw: Draw, size: Size) -> Affine:
        across, down = (draw.chance(self.p) if wanted else 0.0 for wanted in (self.horizontal, self.vertical))
        return geometry.flipping(size, across, down)


@dataclass(frozen=True)
class Rotate(Geometric):
    """Turns about the middle by up to so many degrees: `Rotate(15)` is Rotate((-15, 15))."""

    degrees: Range

    def __post_init__(self) -> None:
        _range("Rotate: degrees", self.degrees, 0.0)

    def affine(self, draw: Draw, size: Size) -> Affine:
        return geometry.rotation(draw.uniform(*_range("Rotate: degrees", self.degrees, 0.0)), size)


@dataclass(frozen=True)
class Scale(Geometric):
    """Magnifies about the middle: `Scale(0.1)` by 0.9 to 1.1, or Scale((low, high)). Above 1 zooms in.

    separate: width and height each by a number of their own, which changes the proportions.
    """

    factor: Range
    separate: bool = False

    def __post_init__(self) -> None:
        flag("Scale: separate", self.separate)
        if _range("Scale: factor", self.factor, 1.0)[0] <= 0:
            raise SettingError(f"Scale: factors are above 0, not {self.factor!r}")

    def affine(self, draw: Draw, size: Size) -> Affine:
        low, high = _range("Scale: factor", self.factor, 1.0)
        across = draw.uniform(low, high)
        return geometry.scaling(across, size, draw.uniform(low, high) if self.separate else across)


@dataclass(frozen=True)
class Shear(Geometric):
    """Slants by up to so many degrees, rows staying where they are: `Shear(10)` is Shear((-10, 10))."""

    degrees: Range

    def __post_init__(self) -> None:
        if max(map(abs, _range("Shear: degrees", self.degrees, 0.0))) >= 90:
            raise SettingError(f"Shear: degrees lie between -90 and 90, not {self.degrees!r}")

    def affine(self, draw: Draw, size: Size) -> Affine:
        return geometry.shearing(draw.uniform(*_range("Shear: degrees", self.degrees, 0.0)), size)


@dataclass(frozen=True)
class Crop(Geometric):
    """A part of (height, width) pixels at a random place; in inference the part in the middle.

    padding: pixels of fill added on each side first, as is usual for CIFAR.
    """

    size: int | tuple[int, int]
    padding: int = 0

    def __post_init__(self) -> None:
        for n in _pair("Crop: size", self.size):
            whole("Crop: size, (height, width),", n)
        whole("Crop: padding", self.padding, 0)

    def affine(self, draw: Draw, size: Size) -> Affine:
        down, right = self._room(size)
        edge = -self.padding
        return geometry.cropping(draw.whole(edge, right + edge), draw.whole(edge, down + edge))

    def still(self, size: Size) -> Affine:
        down, right = self._room(size)
        return geometry.cropping(right // 2 - self.padding, down // 2 - self.padding)

    def result(self, size: Size) -> Size:
        return self._size()

    def _size(self) -> Size:
        height, width = _pair("Crop: size", self.size)
        return int(height), int(width)

    def _room(self, size: Size) -> Size:
        down, right = (have + 2 * self.padding - want for have, want in zip(size, self._size()))
        if down < 0 or right < 0:
            raise ShapeError(f"Crop: {self._size()} pixels do not fit images of {size} with padding {self.padding}")
        return down, right


# ---------------------------------------------------------------- colour


@dataclass(frozen=True)
class _Factor(Colouring):
    """A factor drawn for each image; results are clipped to `limits`, or not where it is None."""

    factor: Range
    limits: Limits = (0.0, 1.0)

    def __post_init__(self) -> None:
        if _range(f"{type(self).__name__}: factor", self.factor, 1.0)[0] < 0:
            raise SettingError(f"{type(self).__name__}: factors are at least 0, not {self.factor!r}")
        _check_limits(self)

    def drawn(self, draw: Draw) -> Tensor:
        return draw.uniform(*_range(type(self).__name__, self.factor, 1.0))


class Brightness(_Factor):
    """Pixels times a factor: `Brightness(0.4)` draws from 0.6 to 1.4. limits: None for images not in [0, 1]."""

    def change(self, images: Tensor, draw: Draw) -> Tensor:
        return _limited(colour.brightness(images, self.drawn(draw)), self.limits)


class Contrast(_Factor):
    """Away from or towards each image's mean grey; `Contrast(0.4)` draws factors from 0.6 to 1.4."""

    def change(self, images: Tensor, draw: Draw) -> Tensor:
        return _limited(colour.contrast(images, self.drawn(draw)), self.limits)


class Saturation(_Factor):
    """Away from or towards each pixel's grey; `Saturation(0.4)` draws factors from 0.6 to 1.4."""

    def change(self, images: Tensor, draw: Draw) -> Tensor:
        return _limited(colour.saturation(images, self.drawn(draw)), self.limits)


@dataclass(frozen=True)
class Hue(Colouring):
    """Turns colours about the axis of greys by up to so many degrees (see `colour.hue`)."""

    degrees: Range
    limits: Limits = (0.0, 1.0)

    def __post_init__(self) -> None:
        _range("Hue: degrees", self.degrees, 0.0)
        _check_limits(self)

    def change(self, images: Tensor, draw: Draw) -> Tensor:
        degrees = draw.uniform(*_range("Hue: degrees", self.degrees, 0.0))
        return _limited(colour.hue(images, degrees), self.limits)


@dataclass(frozen=True)
class Lighting(Colouring):
    """Moves all pixels of an image along the data set's principal colours (Krizhevsky et al. 2012, section 4.1).

    The amount along each is normal with deviation `std`, times the component's standard deviation (by="deviation", the
    square root of the eigenvalue, which keeps its meaning in any unit of brightness) or its eigenvalue (by="variance",
    the paper's words).
    """

    pca: colour.ColourPCA
    std: float = 0.1
    by: str = "deviation"
    limits: Limits = None

    def __post_init__(self) -> None:
        number("Lighting: std", self.std, NOT_NEGATIVE)
        choice("Lighting: by", self.by, ("deviation", "variance"))
        _check_limits(self)

    def change(self, images: Tensor, draw: Draw) -> Tensor:
        variances = as_tensor(self.pca.variances.astype("float32"))
        spread = sqrt(variances) if self.by == "deviation" else variances
        amounts = draw.normal(len(self.pca.variances), self.std) * spread
        return _limited(colour.colour_shift(images, self.pca, amounts), self.limits)


@dataclass(frozen=True)
class _Morphology(Colouring):
    """A square of 2 radius + 1 pixels, and the probability with which an image is changed."""

    radius: int = 1
    p: float = 0.5

    def __post_init__(self) -> None:
        whole(f"{type(self).__name__}: radius", self.radius)
        number(f"{type(self).__name__}: p, a probability,", self.p, PROBABILITY)

    def chosen(self, changed: Tensor, images: Tensor, draw: Draw) -> Tensor:
        return where(draw.chance(self.p).reshape(-1, 1, 1, 1) > 0, changed, images)


class Dilate(_Morphology):
    """Bright strokes grow by `radius` pixels on each side, with probability p (`filters.dilate`)."""

    def change(self, images: Tensor, draw: Draw) -> Tensor:
        return self.chosen(filters.dilate(images, self.radius), images, draw)


class Erode(_Morphology):
    """Bright strokes shrink by `radius` pixels on each side, with probability p (`filters.erode`)."""

    def change(self, images: Tensor, draw: Draw) -> Tensor:
        return self.chosen(filters.erode(images, self.radius), images, draw)


@dataclass(frozen=True)
class Cutout(Colouring):
    """A square of `size` pixels set to `fill`, its middle anywhere in the image (DeVries and Taylor 2017).

    Near the border only the part inside is cut. The paper fills with 0 after the mean was subtracted.
    """

    size: int
    fill: float = 0.0

    def __post_init__(self) -> None:
        whole("Cutout: size", self.size)
        number("Cutout: fill", self.fill)

    def change(self, images: Tensor, draw: Draw) -> Tensor:
        height, width = geometry.image_size("Cutout", images)
        half = 0.5 if self.size % 2 == 0 else 0.0  # an even square has its middle between pixels
        column, row = draw.whole(0, width - 1) - half, draw.whole(0, height - 1) - half
        return colour.cutout(images, column, row, self.size, self.fill)


# ---------------------------------------------------------------- what users write, checked


def _pair(what: str, given: Any) -> tuple[float, float]:
    items = tuple(given) if isinstance(given, Iterable) else (given, given)
    if len(items) != 2 or any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in items):
        raise SettingError(f"{what}: one number, or two, not {given!r}")
    return items


def _range(what: str, given: Any, middle: float) -> tuple[float, float]:
    """(least, greatest)"""
    low, high = _pair(what, given)
    if not isinstance(given, Iterable):
        low, high = middle - high, middle + high
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise SettingError(f"{what}: a number of at least 0, or (least, greatest), not {given!r}")
    return float(low), float(high)


def _check_limits(step: Any) -> None:
    if step.limits is not None:
        low, high = _pair(f"{type(step).__name__}: limits", step.limits)
        if not low < high:
            raise SettingError(f"{type(step).__name__}: limits are (least, greatest) or None, not {step.limits!r}")


def _limited(images: Tensor, limits: Limits) -> Tensor:
    return images if limits is None else clip(images, *limits)
