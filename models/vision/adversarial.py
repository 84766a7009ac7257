"""Adversarial examples: images changed as little as they need be to be taken for something else.

The iterations are steps of one native call: the changed images are a variable of the program, which each step moves
along the gradient by the image and back into what is allowed. That bound is kept exactly, whatever rounds on the way
(`bounds`). Leans on `attribution` for gradients and on `attack` for what is given and what comes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...compiler.graph.autodiff import grad
from ...compiler.graph.functions import cross_entropy
from ...compiler.graph.ops.elementwise import abs_, clip, maximum, sign, sqrt, where
from ...compiler.graph.ops.indexing import one_hot
from ...compiler.graph.ops.reduce import argmax, argmin
from ...compiler.graph.ops.source import iota
from ...compiler.graph.tensor import Tensor, broadcast_to, input
from ...compiler.graph.variable import get_value, variable
from ...compiler.pipeline import compile
from ..checks import NOT_NEGATIVE, SettingError, choice, flag, number, whole
from ..checks import seed as checked_seed
from .attack import Attack, checked, classified, outcome
from .attribution import gradient
from .bounds import NORMS, Box, ball, drawn, edges, inside
from .explain import checked_classes
from .features import Network


def fgsm(
    network: Network,
    images: Any,
    epsilon: float,
    classes: Any = None,
    targeted: bool = False,
    box: Box = (0.0, 1.0),
    device: str = "cpu",
    threads: int | None = None,
) -> Attack:
    """One step of `epsilon` along the sign of the loss's gradient (Goodfellow, Shlens, Szegedy 2014, arXiv:1412.6572).

    As `pgd` with one step, from the images themselves; takes and raises what it does.
    """
    return pgd(network, images, epsilon, classes, targeted, "linf", 1, epsilon, None, box, device, threads)


def pgd(
    network: Network,
    images: Any,
    epsilon: float,
    classes: Any = None,
    targeted: bool = False,
    norm: str = "linf",
    steps: int = 40,
    step: float | None = None,
    seed: int | None = 0,
    box: Box = (0.0, 1.0),
    device: str = "cpu",
    threads: int | None = None,
) -> Attack:
    """Projected gradient descent (Madry et al. 2017, arXiv:1706.06083): steps that raise the cross-entropy, each
    followed by the way back into the ball of radius `epsilon` around the image and into the `box` of pixel values.

    images: float array (n, channels, height, width) inside the box. classes: integers (n,), what the images are, by
    default what the network says; targeted: what they are to be taken for, which lowers the loss instead. norm: "linf",
    whose steps go along the gradient's sign, or "l2", along the gradient. step: each one's length, by default
    2.5 epsilon / steps. seed: of the random start inside the ball, None to start from the images.

    No result is further than `epsilon` from its image, nor outside the box, to the last bit. Raises InputError for
    images or classes that do not fit, SettingError for other settings.
    """
    pixels, limits = checked(images, box)
    radius, kind = number("attack: epsilon", epsilon, NOT_NEGATIVE), choice("attack: norm", norm, NORMS)
    count, low, high = whole("attack: steps", steps), *ball(pixels, radius, limits)
    length = 2.5 * radius / count if step is None else number("attack: step", step, NOT_NEGATIVE)
    if flag("attack: targeted", targeted) and classes is None:
        raise SettingError("attack: targeted needs classes=, what the images are to be taken for")
    before = classified(network, pixels, device, threads)
    labels = before if classes is None else checked_classes("attack", classes, len(pixels))
    start = pixels if seed is None else drawn(pixels, radius, kind, checked_seed("attack: seed", seed), fill=True)
    moved = variable("moved", np.clip(start, low, high))
    given = [input(name, each.shape, each.dtype) for name, each in zip(NAMES, (pixels, low, high, labels))]
    x, least, most, wanted = given
    loss = cross_entropy(network(moved), wanted) * float(len(pixels))
    slope = grad(-loss if targeted else loss, moved)
    if kind == "linf":
        new = moved + sign(slope) * length
    else:
        change = moved + slope * (length / maximum(_length(slope), TINY)) - x
        new = x + change * (radius / maximum(_length(change), max(radius, TINY)))
    program = compile(given, [loss], {moved: clip(new, least, most)}, device=device, threads=threads)
    program.run([pixels, low, high, labels], steps=count)
    return outcome(network, pixels, inside(pixels, get_value(moved), radius, kind), before, device, threads)


def deepfool(
    network: Network,
    images: Any,
    steps: int = 50,
    overshoot: float = 0.02,
    box: Box = (0.0, 1.0),
    device: str = "cpu",
    threads: int | None = None,
) -> Attack:
    """The nearest border between classes, in the Euclidean sense, found by linearising the network anew in every step
    (Moosavi-Dezfooli, Fawzi, Frossard 2015, arXiv:1511.04599, algorithm 2). An image rests once its class changes.

    images: as in `pgd`. overshoot: by what part the sum of steps is lengthened, to come to lie behind the border.
    All classes' gradients are one batch, so that memory grows with their number. Pixels stay in the `box`, which the
    paper does not ask for. Raises what `pgd` raises.
    """
    pixels, limits = checked(images, box)
    low, high = edges(limits, pixels.dtype)
    count, over = whole("attack: steps", steps), number("attack: overshoot", overshoot, NOT_NEGATIVE)
    before = classified(network, pixels, device, threads)
    way = variable("way", np.zeros_like(pixels))
    x, own = input("images", pixels.shape, pixels.dtype), input("own", before.shape, before.dtype)
    at = clip(x + way * (1 + over), float(low), float(high))
    outputs = network(at)
    still = (argmax(outputs, -1) == own).reshape(-1, 1, 1, 1)
    new = where(still, way + _to_the_border(network, at, outputs, own, (float(low), float(high))), way)
    compile([x, own], [outputs], {way: new}, device=device, threads=threads).run([pixels, before], steps=count)
    changed = np.clip(pixels + get_value(way) * pixels.dtype.type(1 + over), low, high)
    return outcome(network, pixels, changed, before, device, threads)


def random_noise(
    network: Network,
    images: Any,
    epsilon: float,
    norm: str = "linf",
    seed: int = 0,
    box: Box = (0.0, 1.0),
    device: str = "cpu",
    threads: int | None = None,
) -> Attack:
    """What an attack is to be compared with: a change of the same size in a random direction.

    norm: "linf" moves every number by `epsilon` up or down, "l2" an image by `epsilon` in all; both then go back into
    the `box`. images, bounds and errors: as in `pgd`.
    """
    pixels, limits = checked(images, box)
    radius, kind = number("attack: epsilon", epsilon, NOT_NEGATIVE), choice("attack: norm", norm, NORMS)
    low, high = ball(pixels, radius, limits)
    noisy = np.clip(drawn(pixels, radius, kind, checked_seed("attack: seed", seed), fill=False), low, high)
    before = classified(network, pixels, device, threads)
    return outcome(network, pixels, inside(pixels, noisy, radius, kind), before, device, threads)


NAMES = ("images", "least", "most", "classes")
TINY = 1e-30
"""In place of a length of 0, which float32 can divide by."""


def _length(change: Tensor) -> Tensor:
    """(n, 1, 1, 1): the Euclidean length of each image's change, its numbers scaled so that no square underflows."""
    axes: Sequence[int] = tuple(range(1, change.rank))
    scale = maximum(abs_(change).max(axes, keepdims=True), TINY)
    return sqrt(((change / scale) ** 2).sum(axes, keepdims=True)) * scale


def _to_the_border(network: Network, at: Tensor, outputs: Tensor, own: Tensor, box: Box) -> Tensor:
    """The shortest way from each image to a border of its class, as its tangent says, on which no pixel that has come
    to an edge of the box moves outward: the others have to go the whole way."""
    n, classes = outputs.shape
    points = broadcast_to(at, (classes, *at.shape)).reshape(classes * n, *at.shape[1:])
    each = broadcast_to(iota(classes, "int32").reshape(-1, 1), (classes, n))
    slopes = gradient(network, points, each.reshape(classes * n)).reshape(classes, *at.shape)
    mine = one_hot(own, classes, outputs.dtype)  # type: ignore[arg-type]
    apart = slopes - (slopes * mine.T.reshape(classes, n, 1, 1, 1)).sum(0)
    apart = where(((at <= box[0]) & (apart < 0)) | ((at >= box[1]) & (apart > 0)), 0.0, apart)
    gaps = abs_(outputs - (outputs * mine).sum(1, keepdims=True)).T
    lengths = maximum(sqrt((apart * apart).sum((2, 3, 4))), TINY)
    far = where(mine.T > 0, float("inf"), gaps / lengths)
    nearest = one_hot(argmin(far, 0), classes, outputs.dtype).T  # type: ignore[arg-type]
    share = where(nearest > 0, gaps / lengths / lengths, 0.0)
    return (apart * share.reshape(classes, n, 1, 1, 1)).sum(0)
