"""Images of nothing that a network is sure of: noise, moved until a class is certain.

Goodfellow, Shlens and Szegedy 2014 (arXiv:1412.6572, appendix A) call them rubbish class examples; Nguyen, Yosinski and
Clune 2014 (arXiv:1412.1897) climb the same gradient. Leans on `adversarial` for the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compiler.errors import InputError
from ...compiler.graph.functions import softmax
from ...compiler.graph.ops.indexing import one_hot
from ...compiler.graph.tensor import input
from ...compiler.pipeline import compile
from ..checks import seed as checked_seed
from .adversarial import pgd
from .bounds import Box, checked_box, edges
from .explain import checked_classes
from .features import Network


@dataclass(frozen=True, eq=False)
class Rubbish:
    """noise, images: (n, channels, height, width), before and after the steps; classes: (n,), what the images are to
    be taken for; doubt, confidence: (n,), the probabilities of these classes that the network gives to each."""

    noise: np.ndarray
    images: np.ndarray
    classes: np.ndarray
    doubt: np.ndarray
    confidence: np.ndarray


def rubbish(
    network: Network,
    shape: Sequence[int],
    classes: Any,
    steps: int = 20,
    step: float = 0.02,
    seed: int = 0,
    box: Box = (0.0, 1.0),
    device: str = "cpu",
    threads: int | None = None,
) -> Rubbish:
    """An image of noise for each of `classes`, integers (n,), that the network takes for that class.

    shape: an image's, (channels, height, width). Noise is drawn evenly from the box; then come `steps` steps of size
    `step` along the sign of the gradient, up the probability of the class, the paper's fast gradient sign with
    steps=1. Nothing leaves the box. Raises InputError for classes that are none, SettingError for other settings.
    """
    limits = checked_box("rubbish", box)
    wanted = checked_classes("rubbish", classes, len(np.atleast_1d(classes)))
    low, high = edges(limits, "float32")
    rng = np.random.default_rng(checked_seed("rubbish: seed", seed))
    noise = np.clip(rng.uniform(*limits, (len(wanted), *shape)).astype("float32"), low, high)
    x, aims = input("images", (None, *noise.shape[1:])), input("classes", (None,), wanted.dtype)
    outputs = network(x)
    count = outputs.shape[1] if outputs.rank == 2 else None
    if not isinstance(count, int) or not ((wanted >= 0) & (wanted < count)).all():
        raise InputError(f"rubbish: the network gives {outputs.brief()}, which has no class {wanted.max()}")
    found = pgd(network, noise, limits[1] - limits[0], wanted, True, "linf", steps, step, None, limits, device, threads)
    sure = (softmax(outputs) * one_hot(aims, count, outputs.dtype)).sum(1)
    program = compile([x, aims], sure, device=device, threads=threads)
    return Rubbish(noise, found.images, wanted, program(noise, wanted), program(found.images, wanted))
