"""Images that networks make: dreams, and photographs in the manner of others."""

from __future__ import annotations

from pathlib import Path

from ...models import vision
from .room import Numbers, Room, Section


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
}
