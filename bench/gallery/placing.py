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


def nearest(room: Room, path: Path) -> Numbers:
    """Neighbours by pixels and by features."""
    network, things = room.network("resnet20", "resnet20-cifar10-short"), room.things
    images, labels = things.train.images[::5], things.train.labels[::5]
    queries, asked = things.test.images[40::50], things.test.labels[40::50]
    found = vision.neighbours(network, images, queries, "globalavgpool1", count=4)
    same = [(labels[each] == asked[:, None]).mean() for each in (found.by_pixels, found.by_features)]
    shown = range(0, len(queries), 34)
    rows = [[queries[k], *images[found.by_pixels[k]], *images[found.by_features[k]]] for k in shown]
    vision.save_sheet(path, rows, 2, ["asked for", "by pixels", "", "", "", "by features"])
    share = {"pixels": 100 * float(same[0]), "features": 100 * float(same[1])}
    return {"queries": len(queries), "images": len(images), **share}


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
    "nearest": Section(
        "Who is alike",
        nearest,
        """
Images of CIFAR-10's test set, the four nearest of {images:,} training images by their pixels, and the four nearest by
the mean values of ResNet-20's last channels (as in Krizhevsky et al. 2012, figure 4). Of {queries} such images'
neighbours {pixels:.0f} % are of the same class by pixels and {features:.0f} % by features. The frog is among the
training images, all but unchanged.
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
