"""Where networks place images: under distortions, for linear classifiers, on maps of a layer's values."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...models import vision
from .room import Numbers, Room, Section


def space(room: Room, path: Path) -> Numbers:
    """Distortions, untangling."""
    network, part = room.network("lenet5", "lenet5-mnist"), room.digits.test
    curves = [
        vision.distort(network, part.images[0], "translate_x", np.arange(-10, 11)),
        vision.distort(network, part.images[0], "rotate", np.arange(-90, 91, 10)),
        vision.distort(network, part.images[0], "contrast", np.linspace(0, 2, 11)),
    ]
    tangled = vision.untangling(network, part.images[:1000], part.labels[:1000])
    vision.plot(path, *curves, tangled)
    return {}


def thumbnails(room: Room, path: Path) -> Numbers:
    """A map of feature space."""
    network, part = room.network("lenet5", "lenet5-mnist"), room.digits.test
    images, labels = part.images[:400], part.labels[:400]
    values = vision.responses(network, images, "dense2")
    vision.plot_map(path, vision.spread_out(values), images, labels)
    return {}


SECTIONS = {
    "space": Section(
        "Distorted and untangled",
        space,
        """
What LeNet-5 says of one 7 as it is moved, turned and loses contrast; and how well a linear classifier tells digits
apart from the pixels and from each layer's values (DiCarlo and Cox 2007): layer by layer they come untangled.
""",
    ),
    "thumbnails": Section(
        "A map of digits",
        thumbnails,
        """
400 test digits where LeNet-5's second dense layer puts them, on the plane of their two principal components.
""",
    ),
}
