"""What networks look at: pixels that matter, squares that are missed, filters, the images that excite a channel."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...models import vision
from .room import SHOWN, Numbers, Room, Section


def maps(room: Room, path: Path) -> Numbers:
    """Which pixels matter."""
    network, part, names = room.network("resnet20", "resnet20-cifar10-short"), room.things.test, room.things.classes
    images, labels = part.images[SHOWN], part.labels[SHOWN]
    kinds = ("saliency", "smooth_grad", "guided_backpropagation", "grad_cam")
    found = {kind: vision.attribute(network, images, method=kind) for kind in kinds}
    rows = [list(images)]
    rows += [[vision.heat_map(m, x) for m, x in zip(each.maps, images, strict=True)] for each in found.values()]
    answers = found["saliency"].classes
    pairs = [(names[int(true)], names[int(said)]) for true, said in zip(labels, answers, strict=True)]
    above = [true if true == said else f"{true} (says {said})" for true, said in pairs]
    vision.save_sheet(path, rows, 3, above)
    wrong = " and ".join(f"the {true} (it says {said})" for true, said in pairs if true != said)
    return {"right": sum(true == said for true, said in pairs), "wrong": wrong or "none of them"}


def occlusion(room: Room, path: Path) -> Numbers:
    """What is missed where a square is covered."""
    network, part = room.network("resnet20", "resnet20-cifar10-short"), room.things.test
    images, names = part.images[SHOWN], room.things.classes
    found = vision.occlusion(network, images, window=8, stride=2, fill=0.5)
    rows = [list(images), [vision.heat_map(m, x) for m, x in zip(found.maps, images, strict=True)]]
    digits = room.digits.test.images[:6]
    missed = vision.occlusion(room.network("lenet5", "lenet5-mnist"), digits, window=5, stride=1)
    below = [list(digits), [vision.heat_map(m, x) for m, x in zip(missed.maps, digits, strict=True)]]
    margin = ((0, 0), (2, 2), (2, 2))
    rows += [[np.pad(picture, margin, constant_values=1) for picture in row] for row in below]
    vision.save_sheet(path, rows, 3, [names[int(k)] for k in found.classes])
    return {
        "things": [float(x) for x in found.maps.max((1, 2, 3)) / found.scores],
        "digits": [float(x) for x in missed.maps.max((1, 2, 3)) / missed.scores],
    }


def filters(room: Room, path: Path) -> Numbers:
    """First-layer filters."""
    network = room.network("lenet5", "lenet5-mnist-augmented")
    colours = room.network("resnet20", "resnet20-cifar10-short")
    rows = [[np.kron(each, np.ones((1, 12, 12))) for each in row] for row in vision.filters(network)]
    rows += [[np.kron(each, np.ones((1, 20, 20))) for each in row] for row in vision.filters(colours)]
    vision.save_sheet(path, rows, 1)
    return {}


def exciting(room: Room, path: Path) -> Numbers:
    """What excites channels."""
    network, images = room.network("resnet20", "resnet20-cifar10-short"), room.things.test.images[::5]
    found = [vision.exciting(network, images, "stage2_block1", channel, 9) for channel in (0, 5, 10, 15)]
    fields = [field for each in found for field in each.fields]
    crops = vision.cropped(images[np.concatenate([each.indices for each in found])], fields)
    vision.save_sheet(path, [list(crops[i : i + 9]) for i in range(0, len(crops), 9)], 3)
    return {"images": len(images), "side": crops.shape[-1]}


SECTIONS = {
    "maps": Section(
        "Which pixels matter",
        maps,
        """
Six images of six classes of CIFAR-10's test set. ResNet-20 is right about {right} of them and wrong about {wrong}.
Below each, the pixels that its answer depends on: gradients, SmoothGrad, guided backpropagation, Grad-CAM. Gradients
of so small an image are speckled; Grad-CAM's maps have 8 by 8 places.
""",
    ),
    "occlusion": Section(
        "What is missed when it is covered",
        occlusion,
        """
The same images, over each what ResNet-20 takes it for, and how much that class's score falls where a grey square of 8
by 8 covers the image: red where it falls, blue where it rises, and from black to yellow where it rises nowhere. Below,
digits and LeNet-5 with a black square of 5 by 5: it misses the strokes. The airplane's score falls most where the
ground below it is covered.
""",
    ),
    "filters": Section(
        "First layers",
        filters,
        """
The first layers: six filters of 5 by 5 of LeNet-5 on digits (red above 0, blue below), then sixteen of 3 by 3 of
ResNet-20 on colour images: edges, colours, and differences of colours.
""",
    ),
    "exciting": Section(
        "What excites a channel",
        exciting,
        """
Each row: the nine of {images:,} test images that excite one channel of the first block of ResNet-20's second stage (0,
5, 10, 15) most, cut to the {side} by {side} pixels that the channel sees of them, black where those leave the image.
""",
    ),
}
