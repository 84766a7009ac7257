"""Pictures of image space: what networks trained here see, dream, imitate and get wrong, as a page with its numbers.

    python -m kernelwright.bench.gallery [SECTION ...] [--checkpoints FOLDER] [--photographs FOLDER]

Weights are those that `bench.results` leaves in its checkpoints. Photographs are the JPEG and PNG files of a folder, by
default those that ship in scikit-image. A section whose picture is there is not drawn again unless it is named. Numbers
are kept in `results/gallery.json` of `--folder`. Leans on `kw.vision` for all of it.
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..models import data, vision
from ..models.evaluation import trained
from ..models.model import Model
from . import machine
from .contenders import BenchError

MISSING = "photographs come from scikit-image: pip install scikit-image, or give --photographs FOLDER"
Numbers = dict[str, Any]
"""What a section measured, which its caption says."""
CAPTIONS = {
    "maps": """
Six images of CIFAR-10's test set, which ResNet-20 takes for: {said}. Below them which pixels the answer depends
on: gradients, SmoothGrad, guided backpropagation, Grad-CAM. Gradients of so small an image are speckled; Grad-
CAM's maps have 8 by 8 places.
""",
    "filters": """
The first layers: six filters of 5 by 5 of LeNet-5 on digits (red above 0, blue below), then sixteen of 3 by 3
of ResNet-20 on colour images: edges, colours, and differences of colours.
""",
    "exciting": """
Each row: the nine of 2,000 test images that excite one channel of ResNet-20's second stage (0, 5, 10, 15) most,
cut to what the channel sees of them, black where that reaches over the edge.
""",
    "attacks": """
Digits; the same changed as little as L-BFGS finds until the MLP says something else (of 100 images {moved} did,
by a root mean square of {distortion:.3f}); the change, each scaled to its own greatest; FGSM of 0.25. On all
10,000 test images the error goes from {clean:.1f} % to {sign:.1f} % by FGSM of 0.25, and to {noise:.1f} % by
random noise of that size (Goodfellow et al. 2014 had 89.4 % for a maxout network).
""",
    "transfer": """
Digits changed as little as makes the MLP, the network of 1986, LeNet-5 and the linear SVMs take them for their
second choice, a row for each. Below, how many of 200 such images each classifier gets wrong, laid out as
Szegedy et al. do (arXiv:1312.6199, section 4.2).
""",
    "dream": """
A cup of coffee (scikit-image's, by Rachel Michetti), and what two layers of ResNet-20 see in it: strokes and
colours, no animals, as a network of images of 32 by 32 pixels knows none larger.
""",
    "style": """
An astronaut (NASA), a stained tissue (scikit-image's `ihc`), and the first in the manner of the second: Gram
matrices of four layers of ResNet-20, 60 steps of L-BFGS; the objective fell from {first:.3g} to {last:.3g}.
""",
    "space": """
What LeNet-5 says of one 7 as it is moved, turned and loses contrast; and how well a linear classifier tells
digits apart from the pixels and from each layer's values (DiCarlo and Cox 2007): layer by layer they come
untangled.
""",
    "thumbnails": """
400 test digits where LeNet-5's second dense layer puts them, on the plane of their two principal components.
""",
}
SIZE = 256
"""Pixels of a photograph's side."""


@dataclass
class Room:
    """What the sections draw from, each part read when it is asked for."""

    checkpoints: Path
    photographs: Path | None

    def network(self, name: str, recipe: str) -> Model:
        """A network with the weights of a recipe's run."""
        return trained(name, self.checkpoints / f"{recipe}.safetensors")

    @cached_property
    def digits(self) -> Any:
        return data.load("mnist").test

    @cached_property
    def things(self) -> Any:
        return data.load("cifar10")

    def photograph(self, name: str) -> np.ndarray:
        """(3, SIZE, SIZE) in [0, 1]. Raises BenchError where it is not to be had."""
        folder = self.photographs
        if folder is None:
            try:
                import skimage
            except ImportError:
                raise BenchError(MISSING) from None
            folder = Path(skimage.__file__).parent / "data"
        found = sorted(path for path in folder.glob(f"{name}.*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
        if not found:
            raise BenchError(f"{folder} has no photograph {name!r}")
        return vision.load_image(found[0], (3, SIZE, SIZE))


def maps(room: Room, path: Path) -> Numbers:
    """Which pixels matter."""
    network, part = room.network("resnet20", "resnet20-cifar10-short"), room.things.test
    images = part.images[[40, 1040, 3040, 4040, 7040, 8040]]
    kinds = ("saliency", "smooth_grad", "guided_backpropagation", "grad_cam")
    found = {kind: vision.attribute(network, images, method=kind) for kind in kinds}
    rows = [list(images)]
    rows += [[vision.heat_map(m, x) for m, x in zip(each.maps, images, strict=True)] for each in found.values()]
    vision.save_sheet(path, rows, 3)
    said = ", ".join(room.things.classes[int(k)] for k in found["saliency"].classes)
    return {"said": said}


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
    rows = []
    for channel in (0, 5, 10, 15):
        crops = vision.exciting(network, images, "stage2_block3", channel, 9).crops
        rows.append([np.pad(crop, ((0, 0), *((0, 32 - side) for side in crop.shape[1:]))) for crop in crops])
    vision.save_sheet(path, rows, 2)
    return {}


def attacks(room: Room, path: Path) -> Numbers:
    """Adversarial digits."""
    network, part = room.network("mlp", "mlp-mnist"), room.digits
    sign = vision.fgsm(network, part.images, 0.25, part.labels)
    noise = vision.random_noise(network, part.images, 0.25)
    few = part.images[:100]
    least = vision.lbfgs_attack(network, few)
    shown = slice(0, 8)
    rows = [list(few[shown]), list(least.images[shown])]
    rows.append([vision.heat_map(b - a, percentile=100) for a, b in zip(few[shown], least.images[shown], strict=True)])
    rows.append(list(sign.images[shown]))
    vision.save_sheet(path, rows, 2)
    said = {"clean": sign.before, "sign": sign.after, "noise": noise.after}
    return {
        "moved": int((least.before != least.after).sum()),
        "distortion": float(least.distortion.mean()),
        **{name: 100 * float((each != part.labels).mean()) for name, each in said.items()},
    }


def transfer(room: Room, path: Path) -> Numbers:
    """What fools one network, shown to others."""
    networks: dict[str, Any] = {
        "mlp": room.network("mlp", "mlp-mnist"),
        "mlp1986": room.network("mlp1986", "mlp1986-mnist"),
        "lenet5": room.network("lenet5", "lenet5-mnist"),
        "svm": room.network("svm", "svm-mnist"),
    }
    images, labels = room.digits.images[:200], room.digits.labels[:200]
    made = {name: vision.lbfgs_attack(network, images) for name, network in networks.items()}
    train: Any = data.load("mnist").train
    everyone = {**networks, "nearest neighbour": vision.nearest_neighbour(train.images[:10_000], train.labels[:10_000])}
    table = vision.transfer_table(made, everyone, images, labels)
    vision.save_sheet(path, [list(each.images[:8]) for each in made.values()], 2)
    return {"table": str(table)}


def dream(room: Room, path: Path) -> Numbers:
    """A dream."""
    network, photo = room.network("resnet20", "resnet20-cifar10-short"), room.photograph("coffee")
    dreamt = vision.dream(network, photo, ["stage2_block3", "stage3_block1"], octaves=3, steps=12, rate=0.015)
    vision.save_sheet(path, [[photo, dreamt]], 1)
    return {}


def style(room: Room, path: Path) -> Numbers:
    """One photograph in the manner of another."""
    network = room.network("resnet20", "resnet20-cifar10-short")
    content, manner = room.photograph("astronaut"), room.photograph("ihc")
    layers = ["relu1", "stage1_block1", "stage1_block3", "stage2_block1"]
    made = vision.style(network, content, [manner], ["stage1_block3"], layers, style_weight=30.0, steps=60)
    vision.save_sheet(path, [[content, manner, made.image]], 1)
    return {"first": float(made.losses[0]), "last": float(made.losses[-1])}


def space(room: Room, path: Path) -> Numbers:
    """Distortions, untangling, neighbours."""
    network, part = room.network("lenet5", "lenet5-mnist"), room.digits
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
    network, part = room.network("lenet5", "lenet5-mnist"), room.digits
    images, labels = part.images[:400], part.labels[:400]
    values = vision.responses(network, images, "dense2")
    vision.plot_map(path, vision.spread_out(values), images, labels)
    return {}


SECTIONS: dict[str, tuple[str, Callable[[Room, Path], Numbers]]] = {
    "maps": ("Which pixels matter", maps),
    "filters": ("First layers", filters),
    "exciting": ("What excites a channel", exciting),
    "dream": ("A dream", dream),
    "style": ("In the manner of", style),
    "attacks": ("Adversarial digits", attacks),
    "transfer": ("Fooling others", transfer),
    "space": ("Distorted and untangled", space),
    "thumbnails": ("A map of digits", thumbnails),
}
"""By the name of its picture, `gallery_NAME.png`: the title, and what draws it and gives its caption."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command. Raises BenchError for a section that there is not."""
    parser = argparse.ArgumentParser(prog="python -m kernelwright.bench.gallery", description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="Default: those that are not drawn yet.")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"))
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--page", type=Path, default=Path("docs/gallery.md"))
    parser.add_argument("--folder", type=Path, default=Path("benchmarks"))
    chosen = parser.parse_args(arguments)
    if strange := [name for name in chosen.sections if name not in SECTIONS]:
        raise BenchError(f"there is no section {strange[0]!r}; there are {', '.join(SECTIONS)}")
    room, kept = Room(chosen.checkpoints, chosen.photographs), chosen.folder / "results" / "gallery.json"
    told: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    for name, (_, draw) in SECTIONS.items():
        picture = chosen.page.parent / f"gallery_{name}.png"
        if name in chosen.sections or (not chosen.sections and not (picture.exists() and name in told)):
            numbers = draw(room, picture)
            date = datetime.datetime.now(datetime.UTC).date().isoformat()
            told[name] = {"numbers": numbers, "date": date, "machine": machine.describe()}
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(told, indent=1) + "\n")
            print(name, flush=True)
    write(told, chosen.page)


HEAD = """# Gallery

What networks trained here see, dream, imitate and get wrong ([vision](vision.md)), with the weights behind the
[results](results.md). Made by `python -m kernelwright.bench.gallery` after `python -m kernelwright.bench.results`.
"""


def write(told: dict[str, Any], page: Path) -> None:
    """The page of the sections that are drawn."""
    parts = [HEAD]
    for name, (title, _) in SECTIONS.items():
        if name in told:
            numbers = told[name]["numbers"]
            parts.append(
                f"## {title}\n\n![{title.lower()}](gallery_{name}.png)\n\n{CAPTIONS[name].format(**numbers)}\n"
            )
            if "table" in numbers:
                parts.append(f"```text\n{numbers['table']}\n```\n")
    page.write_text("\n".join(parts))


if __name__ == "__main__":
    main()
