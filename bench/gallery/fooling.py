"""What fools networks: small changes to digits, and whom else they fool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...models import vision
from .room import Numbers, Room, Section


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
    train, test = room.digits.train, room.digits.test
    images, labels = test.images[:200], test.labels[:200]
    made = {name: vision.lbfgs_attack(network, images) for name, network in networks.items()}
    everyone = {**networks, "nearest neighbour": vision.nearest_neighbour(train.images[:10_000], train.labels[:10_000])}
    table = vision.transfer_table(made, everyone, images, labels)
    vision.save_sheet(path, [list(each.images[:8]) for each in made.values()], 2)
    return {"table": str(table)}


SECTIONS = {
    "attacks": Section(
        "Adversarial digits",
        attacks,
        """
Digits; the same changed as little as L-BFGS finds until the MLP says something else (of 100 images {moved} did, by a
root mean square of {distortion:.3f}); the change, each scaled to its own greatest; FGSM of 0.25. On all 10,000 test
images the error goes from {clean:.1f} % to {sign:.1f} % by FGSM of 0.25, and to {noise:.1f} % by random noise of that
size (Goodfellow et al. 2014 had 89.4 % for a maxout network).
""",
    ),
    "transfer": Section(
        "Fooling others",
        transfer,
        """
Digits changed as little as makes the MLP, the network of 1986, LeNet-5 and the linear SVMs take them for their second
choice, a row for each. Below, how many of 200 such images each classifier gets wrong, laid out as Szegedy et al. do
(arXiv:1312.6199, section 4.2).
""",
    ),
}
