"""Images that networks make: dreams, photographs in the manner of others, what excites a unit, what a layer kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...models import vision
from .room import SHOWN, Numbers, Room, Section


def dream(room: Room, path: Path) -> Numbers:
    """A dream."""
    network, photo = room.network("resnet20", "resnet20-cifar10-short"), room.photograph("coffee")
    dreamt = vision.dream(network, photo, ["stage2_block3", "stage3_block1"], octaves=3, steps=12, rate=0.015)
    vision.save_sheet(path, [[photo, dreamt]], 1)
    return {}


def style(room: Room, path: Path) -> Numbers:
    """One photograph in the manner of two others."""
    network = room.network("resnet20", "resnet20-cifar10-short")
    content = room.photograph("astronaut", 192)
    layers = ["relu1", "stage1_block1", "stage1_block3", "stage2_block1", "stage2_block3", "stage3_block1"]
    rows, losses = [], []
    for name in ("ihc", "gravel"):
        manner = room.photograph(name, 192)
        made = vision.style(network, content, [manner], ["stage2_block3"], layers, style_weight=1e4, steps=60)
        rows.append([content, manner, made.image])
        losses.append([float(made.losses[0]), float(made.losses[-1])])
    vision.save_sheet(path, rows, 1)
    return {"losses": losses}


def units(room: Room, path: Path) -> Numbers:
    """Images that excite classes and channels."""
    things, digits = room.network("resnet20", "resnet20-cifar10-short"), room.network("lenet5", "lenet5-mnist")
    kinds, numerals = [0, 1, 3, 4, 7, 8], [0, 1, 2, 3, 6, 8]
    how: dict[str, Any] = {"basis": "fourier", "rate": 0.05, "rotate": 5.0, "scale": 0.05}
    classes = [vision.unit(things, (3, 32, 32), "dense1", k, **how)[0] for k in kinds]
    channels = [vision.unit(things, (3, 32, 32), "stage2_block1", k, **how)[0] for k in range(0, 18, 3)]
    drawn = [vision.unit(digits, (1, 28, 28), "dense3", k, **how)[0] for k in numerals]
    margin = ((0, 0), (2, 2), (2, 2))
    rows = [classes, channels, [np.pad(image, margin, constant_values=1) for image in drawn]]
    vision.save_sheet(path, rows, 3, [room.things.classes[k] for k in kinds])
    return {
        "things": int((vision.classified(things, np.stack(classes)) == kinds).sum()),
        "digits": int((vision.classified(digits, np.stack(drawn)) == numerals).sum()),
    }


def inversion(room: Room, path: Path) -> Numbers:
    """One image from what three depths keep of it."""
    network, part = room.network("resnet20", "resnet20-cifar10-short"), room.things.test
    depths = ("stage1_block1", "stage2_block1", "stage3_block3")
    rows, errors = [], []
    for image in part.images[[SHOWN[1], SHOWN[4]]]:
        found = [vision.invert(network, image, layer, steps=150) for layer in depths]
        rows.append([image, *(each.image for each in found)])
        errors.append([float(np.sqrt(np.mean((each.image - image) ** 2))) for each in found])
    vision.save_sheet(path, rows, 4, ["", *depths])
    return {"errors": errors}


SECTIONS = {
    "dream": Section(
        "A dream",
        dream,
        """
A cup of coffee, and what two layers of ResNet-20 see in it: eyes, rings of dark and pale a dozen pixels wide, in rows
over all that was smooth or dark; scales and waves in the wood and the saucer; red, green and orange deepened. No whole
animals: images of 32 by 32 pixels, which the network learned from, show none larger.
""",
    ),
    "style": Section(
        "In the manner of",
        style,
        """
An astronaut, stained tissue and gravel, and the first in the manner of each: its colours, its cells with their dark
rims and its stones, of about their size, laid along the outlines of the photograph. Gram matrices of six layers of
ResNet-20, 60 steps of L-BFGS; the objectives fell from {losses[0][0]:.3g} to {losses[0][1]:.3g} and from
{losses[1][0]:.3g} to {losses[1][1]:.3g}.
""",
    ),
    "units": Section(
        "What a unit wants to see",
        units,
        """
Images that raise one unit's value, made from noise and held as their spectrum (Olah et al. 2017): six classes of
ResNet-20 (it takes {things} of the 6 images for the class that they were made for), channels 0, 3, 6, 9, 12 and 15 of
the first block of its second stage, and 0, 1, 2, 3, 6 and 8 of LeNet-5 ({digits} of 6). One sees wings, cars, antlers,
horses and a ship, some several times over; stripes and checks; and hardly a digit but the 1.
""",
    ),
    "inversion": Section(
        "What a layer keeps",
        inversion,
        """
Two images, and images from noise whose values at three depths of ResNet-20 are as near to theirs as 150 steps of L-BFGS
come. Their root mean square differences from the images are {errors[0][0]:.2f}, {errors[0][1]:.2f} and
{errors[0][2]:.2f} for the car, {errors[1][0]:.2f}, {errors[1][1]:.2f} and {errors[1][2]:.2f} for the horse: the first
keeps nearly all, the second loses some colour, the last keeps outlines.
""",
    ),
}
