"""A linear SVM on pixels against one on a network's features, as training examples grow: a table and curves.

    python examples/svm_features.py --data mnist --curves svm_features.svg --json svm_features.json

LeNet-5 is trained on half of the training images. The linear SVM of `kw.models.svm` never sees these: it learns from a
few images of the other half, given as pixels, as what the network's last hidden layer makes of them
(`kw.vision.features`), and, to tell the network's form from what it has learned, as what the same layer made of them
before any training. The network has had thousands of labels, so the curves say how few more are needed where features
are at hand (Razavian et al. 2014), not that labels are not needed.

Vectors are centred and divided by the mean length that the training ones have then. Each SVM has the best of
three weight decays by its accuracy on images set aside for that choice; only that one meets the test images.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import kernelwright as kw

COUNTS = (10, 30, 100, 300, 1000, 3000)
DECAYS = (1e-4, 1e-3, 1e-2)
LAYER = "tanh4"  # LeNet-5's last before the classes: 84 numbers
CHOOSING = 500
STEPS, EPOCH, RATE, BATCH = 1000, 1000, 0.3, 32
AT_ONCE = 500

Parts = list[np.ndarray]


def divided(data: Any) -> tuple[Any, list[Any]]:
    """(images for the network, [for the SVM, for choosing its decay, for testing it])"""
    rest, network = data.train.split(len(data.train) // 2)
    pool, choosing = rest.split(CHOOSING)
    return network, [pool, choosing, data.test]


def vectors(data: Any, epochs: int, threads: int | None) -> dict[str, Parts]:
    """What stands for the images of the SVM's three parts, (n, numbers), by its name."""
    seen, parts = divided(data)
    model = kw.models.lenet5(len(data.classes), data.input_shape)
    found = {"pixels": [part.images.reshape(len(part), -1) for part in parts]}
    found["untrained features"] = [features(model, part.images, threads) for part in parts]
    trainer = kw.Trainer(model, threads=threads)
    trainer.fit((seen.images, seen.labels), epochs, progress=False)
    print(f"LeNet-5 itself, trained on {len(seen)} images: {trainer.evaluate(data.test)['accuracy']:.2%}", flush=True)
    found["trained features"] = [features(model, part.images, threads) for part in parts]
    return found


def features(model: kw.models.Model, images: np.ndarray, threads: int | None) -> np.ndarray:
    """(n, numbers) of the network's last hidden layer."""
    x = model.images()
    program = kw.compile([x], [kw.vision.features(model, x, LAYER)], threads=threads)
    return np.concatenate([program(images[i : i + AT_ONCE]) for i in range(0, len(images), AT_ONCE)])


def scaled(parts: Parts, count: int) -> Parts:
    """The first `count` vectors for training and all of the others, less the training mean, of a mean length of 1."""
    train, *others = parts
    mean = train[:count].mean(0)
    length = np.sqrt(((train[:count] - mean) ** 2).sum(1)).mean()
    return [(each - mean) / length for each in (train[:count], *others)]


def learned(rows: np.ndarray, labels: np.ndarray, classes: int, decay: float, threads: int | None) -> kw.Trainer:
    """The linear SVM of these vectors, after about STEPS steps. Few are repeated, so that an epoch is a native call."""
    times = -(-EPOCH // len(rows))
    rows, labels = np.tile(rows, (times, 1)), np.tile(labels, times)
    epochs = -(-STEPS * BATCH // len(rows))
    model = kw.models.svm(classes, rows.shape[1:], decay=decay)
    model.recipe = replace(model.recipe, learning_rate=RATE, epochs=epochs, batch=BATCH)
    trainer = kw.Trainer(model, threads=threads)
    trainer.fit((rows, labels), progress=False)
    return trainer


def accuracy(parts: Parts, labels: Parts, classes: int, threads: int | None) -> float:
    """On the third part, by the SVM of the first whose decay does best on the second."""
    tried = [learned(parts[0], labels[0], classes, decay, threads) for decay in DECAYS]
    best = max(tried, key=lambda svm: svm.evaluate((parts[1], labels[1]))["accuracy"])
    return best.evaluate((parts[2], labels[2]))["accuracy"]


def draw(counts: list[int], curves: dict[str, list[float]], path: Path) -> None:
    """Test accuracy by the number of training examples."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, values in curves.items():
        axes.plot(counts, [100 * value for value in values], marker=".", label=name)
    axes.set(title="a linear SVM's test accuracy, %", xlabel="training examples of the SVM", xscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits", help="a data set of single images of 28x28, such as mnist")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--epochs", type=int, default=5, help="of the network")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, help="training examples of the SVM")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--curves", type=Path, help="a .png, .svg or .pdf; needs matplotlib")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    data = kw.data.load(arguments.data, arguments.folder)
    kinds = vectors(data, arguments.epochs, arguments.threads)
    labels = [part.labels for part in divided(data)[1]]
    counts = [n for n in sorted(arguments.counts) if n <= len(labels[0])]
    curves: dict[str, list[float]] = {name: [] for name in kinds}
    print("examples  " + "  ".join(kinds))
    for count in counts:
        known = [labels[0][:count], *labels[1:]]
        for name, parts in kinds.items():
            curves[name].append(accuracy(scaled(parts, count), known, len(data.classes), arguments.threads))
        print(f"{count:8}  " + "  ".join(f"{c[-1]:>{len(name)}.1%}" for name, c in curves.items()), flush=True)
    if arguments.curves:
        draw(counts, curves, arguments.curves)
    if arguments.json:
        outcome = {"data": data.name, "counts": counts, "test_accuracy": curves}
        arguments.json.write_text(json.dumps(outcome, indent=1) + "\n")


if __name__ == "__main__":
    main()
