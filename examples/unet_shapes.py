"""A U-Net finds discs and rectangles in noisy images: which pixels belong to which shape.

    python examples/unet_shapes.py

Each image of 32x32 shows a disc and a rectangle, one over the other where they meet, at brightnesses that say nothing
of the kind, under noise. The network halves the image twice, and on its way back joins what it saw at each size
(Ronneberger, Fischer, Brox 2015). Prints the part of pixels that is right, and the mean intersection over union of
background, discs and rectangles, of 200 images that were not trained on.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

import kernelwright as kw

SIDE = 32


def twice(filters: int) -> kw.nn.Sequential:
    """Two convolutions, each normalised in groups of channels."""
    layers = [kw.nn.Conv(filters, 3, pad=1), kw.nn.GroupNorm(4), kw.nn.SiLU()]
    return kw.nn.Sequential(*layers, kw.nn.Conv(filters, 3, pad=1), kw.nn.GroupNorm(4), kw.nn.SiLU())


class UNet(kw.nn.Layer):
    def __init__(self, classes: int, filters: int = 8):
        super().__init__()
        self.down1, self.down2, self.bottom = twice(filters), twice(2 * filters), twice(4 * filters)
        self.pool = kw.nn.MaxPool(2)
        self.up2, self.join2 = kw.nn.ConvTranspose(2 * filters, 2, stride=2), twice(2 * filters)
        self.up1, self.join1 = kw.nn.ConvTranspose(filters, 2, stride=2), twice(filters)
        self.head = kw.nn.Conv(classes, 1)

    def forward(self, x: kw.Tensor) -> kw.Tensor:
        large = self.down1(x)
        middle = self.down2(self.pool(large))
        small = self.bottom(self.pool(middle))
        middle = self.join2(kw.concat([self.up2(small), middle], 1))
        large = self.join1(kw.concat([self.up1(middle), large], 1))
        return self.head(large)


def pictures(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(images (count, 1, 32, 32), the class of each pixel: 0 background, 1 disc, 2 rectangle)."""
    y, x = np.mgrid[:SIDE, :SIDE]
    images, classes = np.zeros((count, 1, SIDE, SIDE), "float32"), np.zeros((count, SIDE, SIDE), "int32")
    for image, found in zip(images[:, 0], classes, strict=True):
        for kind in rng.permutation([1, 2]):
            (row, column), (high, wide) = rng.integers(6, SIDE - 6, 2), rng.integers(3, 8, 2)
            inside = (y - row) ** 2 + (x - column) ** 2 <= high * high
            if kind == 2:
                inside = (abs(y - row) <= high) & (abs(x - column) <= wide)
            image[inside], found[inside] = rng.uniform(0.5, 1.0), kind
    return images + rng.normal(0, 0.1, images.shape).astype("float32"), classes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--count", type=int, default=1000, help="images to train on")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    rng = np.random.default_rng(0)
    train, (images, truth) = pictures(arguments.count, rng), pictures(200, rng)
    began = time.perf_counter()
    with kw.init.seeded(0):
        steps = arguments.epochs * -(-arguments.count // 20)
        optimizer = kw.optim.AdamW(kw.optim.Cosine(0.01, steps))
        trainer = kw.Trainer(UNet(3), optimizer, "cross_entropy", batch=20, threads=arguments.threads)
        trainer.fit(train, arguments.epochs)
    seconds = time.perf_counter() - began
    found = trainer.predict(images).argmax(1)
    each = [((found == k) & (truth == k)).sum() / ((found == k) | (truth == k)).sum() for k in range(3)]
    outcome = {"pixels": float((found == truth).mean()), "intersection over union": float(np.mean(each))}
    print(f"right: {outcome['pixels']:.2%} of pixels; ", end="")
    print(f"mean intersection over union: {outcome['intersection over union']:.3f}; {seconds:.0f} s")
    if arguments.json:
        arguments.json.write_text(json.dumps(outcome) + "\n")


if __name__ == "__main__":
    main()
