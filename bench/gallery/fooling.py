"""What fools networks: small changes to digits and to photographs, and whom else they fool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...models import vision
from .halves import halves
from .room import SHOWN, Numbers, Room, Section


def attacks(room: Room, path: Path) -> Numbers:
    """Adversarial digits."""
    network, part = room.network("mlp", "mlp-mnist"), room.digits.test
    sign = vision.fgsm(network, part.images, 0.25, part.labels)
    noise = vision.random_noise(network, part.images, 0.25)
    few = part.images[:100]
    least = vision.lbfgs_attack(network, few)
    shown = slice(0, 8)
    rows = [list(few[shown]), list(least.images[shown])]
    rows.append([vision.heat_map(b - a, percentile=100) for a, b in zip(few[shown], least.images[shown], strict=True)])
    rows += [list(sign.images[shown]), list(noise.images[shown])]
    vision.save_sheet(path, rows, 2)
    said = {"clean": sign.before, "sign": sign.after, "noise": noise.after}
    answers = {"least": least.after, "sign": sign.after, "noise": noise.after}
    return {
        "moved": int((least.before != least.after).sum()),
        "distortion": float(least.distortion.mean()),
        **{name: 100 * float((each != part.labels).mean()) for name, each in said.items()},
        "answers": {name: " ".join(str(int(k)) for k in each[shown]) for name, each in answers.items()},
    }


def pgd(room: Room, path: Path) -> Numbers:
    """Adversarial photographs."""
    network, part, names = room.network("resnet20", "resnet20-cifar10-short"), room.things.test, room.things.classes
    images, labels = part.images[20::40], part.labels[20::40]
    accuracy: dict[str, float] = {}
    for size in (2, 8):
        pair = (images, labels)
        accuracy[f"pgd{size}"] = vision.robust_accuracy(network, pair, vision.pgd, size / 255, steps=20)
        accuracy[f"noise{size}"] = vision.robust_accuracy(network, pair, vision.random_noise, size / 255)
    shown, truth = part.images[SHOWN], part.labels[SHOWN]
    moved = [vision.pgd(network, shown, size / 255, truth, steps=20) for size in (2, 8)]
    rows = [list(shown)]
    for each, size in zip(moved, (2, 8), strict=True):
        rows += [list(each.images), list((each.images - shown) * (255 / (2 * size)) + 0.5)]
    vision.save_sheet(path, rows, 3, [names[int(k)] for k in truth])
    clean = float((vision.classified(network, images) == labels).mean())
    said = [", ".join(names[int(k)] for k in each.after) for each in moved]
    shares = {name: 100 * value for name, value in accuracy.items()}
    return {"images": len(images), "clean": 100 * clean, **shares, "said2": said[0], "said8": said[1]}


def transfer(room: Room, path: Path) -> Numbers:
    """What fools one network, shown to others."""
    names = ("perceptron", "svm", "mlp1986", "mlp", "lenet5")
    networks: dict[str, Any] = {name: room.network(name, f"{name}-mnist") for name in names} | halves(room)
    train, test = room.digits.train, room.digits.test
    images, labels = test.images[:200], test.labels[:200]
    made = {name: vision.lbfgs_attack(network, images).images for name, network in networks.items()}
    vision.save_sheet(path, [list(each[:8]) for each in made.values()], 2)
    nearest = vision.nearest_neighbour(train.images[:10_000], train.labels[:10_000])
    table = vision.transfer_table(made, {**networks, "nearest": nearest}, images, labels)
    small = halves(room)
    pairs = {name: made[name] for name in small}
    longer = {f"{name}, to 0.1": amplified(images, made[name], 0.1) for name in small}
    across = [vision.transfer_table(each, small, images, labels) for each in (pairs, longer)]
    return {"table": "\n\n".join(map(str, (table, *across)))}


def amplified(images: np.ndarray, made: np.ndarray, size: float) -> np.ndarray:
    """The images with each one's change made so long that its root mean square is `size`, not clipped."""
    change = made - images
    lengths = np.sqrt((change * change).mean((1, 2, 3), keepdims=True))
    moved: np.ndarray = images + change * (size / np.maximum(lengths, 1e-12))
    return moved


SECTIONS = {
    "attacks": Section(
        "Adversarial digits",
        attacks,
        """
Digits; the same changed as little as L-BFGS finds until the MLP says something else (of 100 images {moved} did, by a
root mean square of {distortion:.3f}), here {answers[least]}; the change, each scaled to its own greatest; FGSM of 0.25,
which the MLP takes for {answers[sign]}; and random noise of that size, taken for {answers[noise]}. On all 10,000 test
images the error goes from {clean:.1f} % to {sign:.1f} % by FGSM and to {noise:.1f} % by noise (Goodfellow et al. 2014
had 89.4 % by FGSM for a maxout network).
""",
    ),
    "pgd": Section(
        "Adversarial photographs",
        pgd,
        """
Images of CIFAR-10, under each what PGD in 20 steps makes of it for ResNet-20 and the change around grey: of 2/255 a
pixel, taken for {said2}; of 8/255, taken for {said8}. Of {images} test images ResNet-20 gets {clean:.1f} % right;
{pgd2:.1f} % after PGD of 2/255 and {noise2:.1f} % after random noise of that size, {pgd8:.1f} % and {noise8:.1f} % for
8/255.
""",
    ),
    "transfer": Section(
        "Fooling others",
        transfer,
        """
Digits changed as little as makes a network take them for its second choice, a row for each: the perceptron, the linear
SVMs, the network of 1986, the MLP, LeNet-5, and three small networks that saw one half of MNIST's training images each
(fc100-100' the other half). Below, how many of 200 such images each classifier gets wrong; then the same among the
three, and with each change amplified to a root mean square of 0.1, as in table 4 of Szegedy et al. 2013
(arXiv:1312.6199), where what was made for FC100-100-10 fools FC123-456-10 in 26.2 % of cases and FC100-100-10' in
5.9 %, and amplified in 98 % and 43 %, and noise of 0.1 in 2.6 to 2.8 %. Ours, trained without weight decay, change
their mind sooner, and noise of that size disturbs them far more.
""",
    ),
}
