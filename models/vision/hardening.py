"""Networks that are harder to fool: the loss of adversarial training, and the accuracy that is left under attack.

Goodfellow, Shlens and Szegedy 2014 (arXiv:1412.6572, section 6). Leans on `attack` for the classes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ...compiler.errors import InputError
from ...compiler.graph.autodiff import grad
from ...compiler.graph.functions import cross_entropy
from ...compiler.graph.ops.elementwise import clip, sign, stop_gradient
from ...compiler.graph.tensor import Tensor
from ..checks import NOT_NEGATIVE, PROBABILITY, function, number, whole
from .attack import Attack
from .bounds import Box, checked_box
from .explain import checked_classes, checked_images
from .features import Network


def adversarial_loss(
    network: Network,
    x: Tensor,
    y: Tensor,
    epsilon: float,
    alpha: float = 0.5,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    box: Box | None = (0.0, 1.0),
) -> Tensor:
    """A scalar to train for: alpha J(x, y) + (1 - alpha) J(x + epsilon sign(dJ/dx), y).

    x: images (batch, channels, height, width); y: their classes, integers (batch,). loss: J, from the network's outputs
    and y to a scalar mean. box: what the moved images are clipped to, None for nothing, as in the paper. They are made
    anew in each step from the parameters of that step, and no gradient goes through how they are made: the sign has
    none. For layers that differ in training, give `lambda x: net(x, training=True)`. Raises SettingError for settings
    out of range.
    """
    size, share = number("epsilon", epsilon, NOT_NEGATIVE), number("alpha", alpha, PROBABILITY)
    plain = loss(network(x), y)
    moved = x + sign(grad(plain, x)) * size
    moved = moved if box is None else clip(moved, *checked_box("adversarial_loss", box))
    return plain * share + loss(network(stop_gradient(moved)), y) * (1 - share)


def robust_accuracy(
    network: Network,
    data: Any,
    attack: Callable[..., Attack],
    *options: Any,
    batch: int = 512,
    **named: Any,
) -> float:
    """The part of images that a network gets right before and after an attack.

    data: something with images (n, channels, height, width) and labels, integers (n,), such as `kw.data.digits().test`,
    or the pair of them. attack: a function of (network, images, ...) such as `kw.vision.deepfool`, called with
    `options` and, where it takes `classes`, with the labels: robust_accuracy(model, data.test, kw.vision.fgsm, 0.1).
    batch: images per call of it. Raises InputError for other data, and what the attack raises.
    """
    function("robust_accuracy: attack", attack)
    given = data if isinstance(data, (tuple, list)) else (getattr(data, "images", None), getattr(data, "labels", None))
    if len(given) != 2 or given[0] is None:
        raise InputError(f"robust_accuracy: data is (images, labels), or has both, not {type(data).__name__}")
    pixels = checked_images("robust_accuracy", given[0])
    labels = checked_classes("robust_accuracy", given[1], len(pixels))
    size, kept = whole("robust_accuracy: batch", batch), 0
    for first in range(0, len(pixels), size):
        own = labels[first : first + size]
        more = {"classes": own} if _takes_classes(attack) else {}
        found = attack(network, pixels[first : first + size], *options, **more, **named)
        kept += int(np.count_nonzero((found.before == own) & (found.after == own)))
    return kept / len(pixels)


def _takes_classes(attack: Callable[..., Attack]) -> bool:
    """Whether an attack has a parameter for what the images are."""
    return "classes" in inspect.signature(attack).parameters
