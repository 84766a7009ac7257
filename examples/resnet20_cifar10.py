"""ResNet-20 on CIFAR-10 to 90 % test accuracy, from a folder of images, with the augmentation of the paper.

    python examples/resnet20_cifar10.py FOLDER [--epochs 20] [--json outcome.json]

FOLDER has train/CLASS/* and test/CLASS/*, JPEG or PNG. The files are decoded once, as bytes; then every image is
normalised by the training set's mean and deviation of each channel. In training the images are padded by 4 pixels, cut
to 32x32 at a random place, and mirrored half of the time (He et al. 2016, section 4.2), all inside the compiled step.

The paper trains for 164 epochs. Here the rate rises to its peak and falls back to zero within a few (Smith and Topin
2019), and weight decay, which leaves out biases, scales and shifts, is five times the paper's.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import kernelwright as kw

Pair = tuple[np.ndarray, np.ndarray]


def read(folder: Path) -> tuple[Pair, Pair]:
    """(images, labels) for training and testing: float32 (n, 3, 32, 32), normalised; int32."""
    data = kw.data.image_folder(folder, shape=(3, 32, 32))
    train, test = data.train.decoded(), data.test.decoded()
    mean = train.mean((0, 2, 3), dtype=np.float64) / 255
    std = np.sqrt((train.astype(np.float32) ** 2).mean((0, 2, 3), dtype=np.float64) / 255**2 - mean**2)
    return (normalised(train, mean, std), data.train.labels), (normalised(test, mean, std), data.test.labels)


def normalised(images: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    scale, shift = (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)
    return images * scale[:, None, None] + shift[:, None, None]


def trainer_for(arguments: argparse.Namespace, steps: int) -> kw.Trainer:
    """The trainer of a run of `steps` updates."""
    rate = kw.optim.OneCycle(arguments.rate, steps, rise=0.2)
    optimizer = kw.optim.SGD(rate, momentum=0.9, nesterov=True, weight_decay=arguments.decay, groups=kw.optim.NO_DECAY)
    augment = kw.images.Augment(kw.images.Crop(32, padding=4), kw.images.Flip(), seed=arguments.seed)
    model = kw.models.resnet20(seed=arguments.seed)
    return kw.Trainer(model, optimizer, augment=augment, batch=arguments.batch, seed=arguments.seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=0.3, help="the peak")
    parser.add_argument("--decay", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--examples", type=int, help="train on the first so many of a random order")
    parser.add_argument("--json", type=Path, help="where the outcome goes")
    arguments = parser.parse_args()

    started = time.perf_counter()
    train, test = read(arguments.folder)
    if arguments.examples:
        some = np.random.default_rng(0).permutation(len(train[0]))[: arguments.examples]
        train = train[0][some], train[1][some]
    print(f"{len(train[0])} + {len(test[0])} images decoded in {time.perf_counter() - started:.1f} s", flush=True)

    trainer = trainer_for(arguments, arguments.epochs * -(-len(train[0]) // arguments.batch))
    started = time.perf_counter()
    trainer.fit(train, arguments.epochs, callbacks=[report], progress=False)
    seconds = time.perf_counter() - started
    result: dict[str, Any] = {
        "test_accuracy": trainer.evaluate(test)["accuracy"],
        "training_seconds": seconds,
        "history": trainer.history,
        **{k: v for k, v in vars(arguments).items() if k not in ("folder", "json")},
    }
    print(f"test accuracy {result['test_accuracy']:.2%} after {seconds / 60:.1f} minutes of training")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def report(trainer: kw.Trainer, record: dict[str, Any]) -> None:
    print("epoch {epoch}: loss {loss:.3f}, accuracy {accuracy:.2%}, {seconds:.0f} s".format(**record), flush=True)


if __name__ == "__main__":
    main()
