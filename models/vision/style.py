"""A picture with one picture's content and others' style: Gatys, Ecker, Bethge, "A neural algorithm of artistic style"
(2015, arXiv:1508.06576).

Content is a layer's values, style the products of a layer's channels summed over all places, so that where something is
does not count. What is aimed at is computed once, by one program for each picture. Leans on `descent` for the steps and
on `features` for layers by name.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...compiler.errors import InputError, ShapeError
from ...compiler.graph.tensor import Tensor, broadcast_to, input
from ...compiler.pipeline import compile
from ..checks import NOT_NEGATIVE, SettingError, choice, flag, number
from ..checks import seed as checked_seed
from .ascent import total_variation
from .bounds import Box, checked_box
from .descent import Descent, Imitation, Shown, checked_picture, descend
from .features import Network, several, weighted
from .luminance import Colours, Luminance

Layers = str | Sequence[str] | Mapping[str, float]
STARTS = ("content", "noise")


def gram(values: Tensor) -> Tensor:
    """(n, channels, channels): the products of every two channels of (n, channels, height, width), averaged over the
    places: the paper's Gram matrix (equation 3) divided by height x width, so that pictures of different sizes compare.

    Raises ShapeError for other axes, and where channels, height or width are not known.
    """
    sizes = [size for size in values.shape[1:] if isinstance(size, int)]
    if values.rank != 4 or len(sizes) != 3:
        raise ShapeError(f"gram: needs (n, channels, height, width) with the last three known, not {values.brief()}")
    flat = values.reshape(values.shape[0], sizes[0], sizes[1] * sizes[2])
    result: Tensor = (flat @ flat.transpose(0, 2, 1)) * (1 / (sizes[1] * sizes[2]))
    return result


def style(
    network: Network,
    content: Any,
    styles: Any,
    content_layers: Layers,
    style_layers: Layers,
    content_weight: float = 1.0,
    style_weight: float = 100.0,
    variation: float = 0.0,
    steps: int = 200,
    method: str = "lbfgs",
    start: str = "content",
    keep_colour: bool = False,
    blend: Sequence[float] | None = None,
    rate: float = 0.02,
    box: Box = (0.0, 1.0),
    seed: int = 0,
    threads: int | None = None,
    shown: Shown | None = None,
    every: int = 10,
) -> Imitation:
    """The content of one picture in the style of another, or of several; (channels, height, width) as the content.

    It minimises content_weight times the sum over content layers of w mean((F - P)^2) / 2, plus style_weight times the
    sum over style layers of w sum((G - A)^2) / (4 channels^2): equations 1 and 4 of the paper, the first with a mean in
    place of the sum. F and P are the layer's values for the result and for the content, G and A their `gram` for the
    result and for the styles. Each layer's values are divided by their root mean square for the picture aimed at, so
    that weights mean the same for every layer and network; the paper scales the network to the same end. variation:
    what `total_variation` costs besides, for pictures with less noise.

    content, styles: float (channels, height, width), one style or a list; styles may have other sizes. layers: names as
    in `features`, one or several of equal weight, or {name: weight}; either may be () where the other is not. blend:
    the styles' weights, by default equal; they are divided by their sum, and A is that mean of the styles' matrices.
    method: "lbfgs", or "adam" with steps of `rate`. start: "content", or "noise" drawn evenly from the `box`.
    keep_colour: the luminance alone is changed, the styles' brought to the content's mean and deviation (Gatys et al.
    2016, arXiv:1606.05897, section 5); the content's I and Q of YIQ stay. shown: called with (steps done, picture,
    loss) after every `every` steps. The same seed gives the same picture.

    Raises InputError for pictures that do not fit, SettingError for layers that there are not and other settings.
    """
    base, limits = checked_picture("style", content), checked_box("style", box)
    models = [checked_picture("style", picture).astype(base.dtype) for picture in _listed(styles)]
    _check_channels(base, models)
    contents, marks = weighted("style: content_layers", content_layers), weighted("style: style_layers", style_layers)
    by_content = number("style: content_weight", content_weight, NOT_NEGATIVE)
    by_style = number("style: style_weight", style_weight, NOT_NEGATIVE)
    smooth = number("style: variation", variation, NOT_NEGATIVE)
    terms = [(name, by_content * weight, content_loss) for name, weight in contents.items()]
    terms += [(name, by_style * weight, style_loss) for name, weight in marks.items()]
    if not terms:
        raise SettingError("style: content_layers or style_layers has to name a layer")
    shares, first = _shares(blend, len(models)), choice("style: start", start, STARTS)
    how = Descent("style", steps, method, rate, shown, every, threads)
    pixels = Luminance(base, limits) if flag("style: keep_colour", keep_colour) else Colours(base, limits)
    targets = _values(network, pixels.seen(), list(contents), threads)
    targets += _grams(network, [pixels.styled(model) for model in models], shares, list(marks), threads)

    def objective(x: Tensor, given: Sequence[Tensor]) -> Tensor:
        seen = several(network, broadcast_to(x, (1, *base.shape)), [name for name, _, _ in terms])
        aims = zip(seen, given[::2], given[1::2], strict=True)
        losses = [weight * loss(*aim) for (_, weight, loss), aim in zip(terms, aims, strict=True)]
        losses += [smooth * total_variation(x)] if smooth else []
        return functools.reduce(operator.add, losses)

    begin, (low, high) = pixels.own, pixels.limits
    rng = np.random.default_rng(checked_seed("style: seed", seed))
    if first == "noise":
        begin = (low + (high - low) * rng.random(begin.shape)).astype(base.dtype)
    return descend(how, objective, targets, begin, low, high, pixels)


def content_loss(values: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    """mean((values scale - target)^2) / 2, a scalar."""
    apart = values * scale - target
    return (apart * apart).mean() * 0.5


def style_loss(values: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    """sum((gram(values scale) - target)^2) / (4 channels^2), a scalar; target: (1, channels, channels)."""
    apart = gram(values) * (scale * scale) - target
    return (apart * apart).mean() * 0.25


def _values(network: Network, picture: np.ndarray, names: list[str], threads: int | None) -> list[np.ndarray]:
    """(values divided by their root mean square, 1 / that) of each layer, one after the other."""
    if not names:
        return []
    x = input("picture", (1, *picture.shape), picture.dtype)
    found = compile([x], several(network, x, names), threads=threads).run([picture[None]])
    pairs = [(values, _inverse(np.square(values, dtype="float64").mean())) for values in found]
    return [each.astype(picture.dtype) for values, scale in pairs for each in (values * scale, scale)]


def _grams(
    network: Network, models: Sequence[np.ndarray], shares: np.ndarray, names: list[str], threads: int | None
) -> list[np.ndarray]:
    """(the styles' mean Gram matrix, 1 / root mean square that it is scaled by) of each layer, one after the other."""
    if not names:
        return []
    found = []
    for model in models:
        x = input("picture", (1, *model.shape), model.dtype)
        values = several(network, x, names)
        for name, value in zip(names, values, strict=True):
            if value.rank != 4:
                raise SettingError(f"style: {name} gives {value.shape}; a style layer is one with height and width")
        found.append(compile([x], [gram(value) for value in values], threads=threads).run([model[None]]))
    result: list[np.ndarray] = []
    for each in zip(*found, strict=True):
        mean = np.tensordot(shares, np.stack(each).astype("float64"), 1)
        scale = _inverse(np.trace(mean[0]) / len(mean[0]))  # the mean square is the mean of the diagonal
        result += [(mean * scale**2).astype(models[0].dtype), scale.astype(models[0].dtype)]
    return result


def _inverse(square: float) -> np.ndarray:
    """1 / its root, and 1 for a layer that is 0 throughout."""
    return np.array(1.0 if square == 0 else 1 / np.sqrt(square))


def _listed(styles: Any) -> list[Any]:
    """The styles one by one: a list, an array of several, or a single one."""
    if isinstance(styles, (list, tuple)) or np.ndim(styles) == 4:
        if len(styles):
            return list(styles)
        raise InputError("style: styles has no picture")
    return [styles]


def _check_channels(content: np.ndarray, models: Sequence[np.ndarray]) -> None:
    for model in models:
        if len(model) != len(content):
            raise InputError(
                f"style: the content has {len(content)} channels, a style has {len(model)}; give both alike"
            )


def _shares(blend: Any, count: int) -> np.ndarray:
    """(count,): the styles' weights, which sum to 1."""
    weights = [1.0] * count if blend is None else [number("style: blend, each", w, NOT_NEGATIVE) for w in blend]
    if len(weights) != count or not sum(weights) > 0:
        raise SettingError(f"style: blend has a weight for each of {count} styles, not all 0; not {blend!r}")
    return np.array(weights) / sum(weights)
