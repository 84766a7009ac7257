"""Adversarial examples by the gradient: images changed, inside a ball, so that the loss rises or falls; and noise.

The iterations are steps of one native call: the changed images are a variable of the program, which each step moves
along the gradient by the image and back into what is allowed. That bound is kept exactly, whatever rounds on the way
(`bounds`). Leans on `attack` for what is given and what comes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...compiler.graph.autodiff import grad
from ...compiler.graph.functions import cross_entropy
from ...compiler.graph.ops.elementwise import abs_, clip, maximum, sign, sqrt
from ...compiler.graph.tensor import Tensor, input
from ...compiler.graph.variable import get_value, variable
from ...compiler.pipeline import compile
from ..checks import NOT_NEGATIVE, SettingError, choice, flag, number, whole
from ..checks import seed as checked_seed
from .attack import Attack, checked, classified, outcome
from .bounds import NORMS, Box, ball, drawn, inside
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
