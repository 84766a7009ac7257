"""Test images under other light: batch normalisation's statistics measured on them, without labels.

    python examples/covariate_shift.py [epochs]

A small convolutional network is trained on the digits that ship with the package. Then the test images lose contrast
and gain brightness, as from another camera, and the network misreads them: the means and variances that its
normalisation kept belong to the training images. `kw.models.recompute_statistics` measures them on the shifted images
alone (Li et al. 2016), and the accuracy comes back.

The convolution under the first normalisation has no padding: zeros around an image that has become brighter are edges
of their own, which no statistics undo. Nor do they undo a negative picture (the last row): it is not the same
activations at another scale.
"""

from __future__ import annotations

import sys

import numpy as np

import kernelwright as kw

SHIFTS = [(1.0, 0.0), (0.6, 0.2), (0.4, 0.4), (0.25, 0.6), (-0.5, 0.75)]
"""(contrast, brightness): images become contrast * images + brightness. A negative contrast is a negative picture."""


def network() -> kw.models.Model:
    layers: list = []
    for channels in (8, 16):
        layers += [kw.nn.Conv(channels, 3, bias=False), kw.nn.BatchNorm(), kw.relu, kw.nn.MaxPool(2)]
    net = kw.nn.Sequential(*layers, kw.nn.Flatten(), kw.nn.Dense(10))
    return kw.models.Model("small", net, (1, 28, 28), 10)


def main(epochs: int) -> None:
    data = kw.data.digits()
    trainer = kw.Trainer(network(), kw.optim.Adam(0.003), batch=64)
    trainer.fit((data.train.images, data.train.labels), epochs, progress=False)
    kept = [kw.get_value(b) for b in trainer.model.buffers()]
    print("contrast  brightness  as trained  statistics measured anew")
    for contrast, brightness in SHIFTS:
        images = (contrast * data.test.images + brightness).astype(np.float32)
        for buffer, value in zip(trainer.model.buffers(), kept, strict=True):
            kw.set_value(buffer, value)
        before = trainer.evaluate((images, data.test.labels))["accuracy"]
        kw.models.recompute_statistics(trainer.model, images)
        after = trainer.evaluate((images, data.test.labels))["accuracy"]
        print(f"{contrast:8.2f}  {brightness:10.2f}  {before:10.1%}  {after:24.1%}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
