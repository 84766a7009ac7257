"""Batch normalisation lets the same network train in fewer epochs, at higher rates, from fewer images: curves.

    python examples/batch_norm.py --data fashion-mnist --curves curves.svg --json outcome.json

A network of six convolutions on images of half the size, once as it is and once with batch normalisation after each
(Ioffe and Szegedy 2015), from the same first weights, over the same examples in the same order. Each trains by plain
gradient descent at several first rates, which fall to zero as a cosine, and of each the rate that ends with the least
training loss is kept, so that neither is held back by a rate that suits the other. The outcome says in which epoch each
first reaches the training loss with which the one without ends. Then each trains, at its rate, on a half, a quarter and
an eighth of the images, in as many steps as on all.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import kernelwright as kw

RATES = (0.03, 0.1, 0.3)
PARTS = (8, 4, 2)
STAGES = (16, 32, 32)
BATCH = 64

History = list[dict[str, Any]]


def network(shape: tuple[int, ...], classes: int, normalised: bool) -> kw.models.Model:
    layers: list[Any] = [kw.nn.AvgPool(2)]
    for filters in STAGES:
        for _ in range(2):
            layers.append(kw.nn.Conv(filters, 3, pad=1))
            layers += [kw.nn.BatchNorm(), kw.relu] if normalised else [kw.relu]
        layers.append(kw.nn.MaxPool(2))
    net = kw.nn.Sequential(*layers, kw.nn.GlobalAvgPool(), kw.nn.Dense(classes))
    return kw.models.Model("six convolutions", net, shape, classes)


def best_run(data: Any, normalised: bool, epochs: int, count: int, threads: int | None) -> tuple[float, History]:
    """(rate, history) of the rate that ends with the least training loss."""
    test, runs = data.test.subset(min(count, len(data.test))), []
    for rate in RATES:
        history = trained(data, normalised, rate, epochs, count, threads, (test.images, test.labels)).history
        last, word = history[-1], "with" if normalised else "without"
        print(f"{word}, rate {rate}: loss {last['loss']:.3f}, test {last['validation_accuracy']:.2%}", flush=True)
        runs.append((rate, list(history)))
    return min(runs, key=lambda run: run[1][-1]["loss"])


def trained(
    data: Any, normalised: bool, rate: float, epochs: int, count: int, threads: int | None, watched: Any = None
) -> kw.Trainer:
    """After so many epochs of the first `count` images, at a rate that falls from `rate` to zero."""
    model, steps = network(data.input_shape, len(data.classes), normalised), epochs * -(-count // BATCH)
    trainer = kw.Trainer(model, kw.optim.SGD(kw.optim.Cosine(rate, steps)), threads=threads, batch=BATCH)
    train = data.train.subset(count)
    trainer.fit((train.images, train.labels), epochs, validation=watched, progress=False)
    return trainer


def from_fewer(
    data: Any, normalised: bool, run: tuple[float, History], epochs: int, count: int, threads: int | None
) -> list[tuple[int, float]]:
    """(images, test accuracy) of parts of the images at the rate of `run`, which had all of them."""
    test, found = data.test.subset(min(count, len(data.test))), []
    for part in PARTS:
        trainer = trained(data, normalised, run[0], epochs * part, count // part, threads)
        found.append((count // part, trainer.evaluate((test.images, test.labels))["accuracy"]))
        print(f"{'with' if normalised else 'without'}, {count // part} images: test {found[-1][1]:.2%}", flush=True)
    return [*found, (count, run[1][-1]["validation_accuracy"])]


def epochs_to(history: History, loss: float) -> int | None:
    """The first epoch with this training loss or less."""
    return next((r["epoch"] for r in history if r["loss"] <= loss), None)


def draw(
    runs: dict[str, tuple[float, History]], target: float, fewer: dict[str, list[tuple[int, float]]], path: Path
) -> None:
    """Training loss and test accuracy by epoch, and test accuracy by the number of training images, a curve each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    left, right, last = figure.subplots(1, 3)
    for name, (rate, history) in runs.items():
        epochs = [r["epoch"] for r in history]
        left.plot(epochs, [r["loss"] for r in history], marker=".", label=f"{name} (rate {rate:g})")
        right.plot(epochs, [100 * r["validation_accuracy"] for r in history], marker=".", label=name)
        counts, accuracies = zip(*fewer[name], strict=True)
        last.plot(counts, [100 * value for value in accuracies], marker=".", label=name)
    left.axhline(target, color="grey", linestyle=":", label="the end without")
    left.set(title="training loss", xlabel="epoch", yscale="log")
    right.set(title="test accuracy, %", xlabel="epoch")
    last.set(title="test accuracy in the end, %", xlabel="training images", xscale="log")
    last.set_xticks(counts, [str(n) for n in counts])
    last.minorticks_off()
    for axes in (left, right, last):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--count", type=int, help="examples to train on, and at most to test on")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--curves", type=Path, help="a .png, .svg or .pdf; needs matplotlib")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    data = kw.data.load(arguments.data, arguments.folder)
    count = arguments.count or len(data.train)
    runs = {
        f"{word} batch norm": best_run(data, word == "with", arguments.epochs, count, arguments.threads)
        for word in ("without", "with")
    }
    target = runs["without batch norm"][1][-1]["loss"]
    needed = {name: epochs_to(history, target) for name, (_, history) in runs.items()}
    print(f"epochs to a training loss of {target:.3f}: " + ", ".join(f"{n} {name}" for name, n in needed.items()))
    fewer = {
        name: from_fewer(data, name == "with batch norm", run, arguments.epochs, count, arguments.threads)
        for name, run in runs.items()
    }
    if arguments.curves:
        draw(runs, target, fewer, arguments.curves)
    if arguments.json:
        outcome = {"data": data.name, "examples": count, "loss": target, "epochs_needed": needed}
        outcome["accuracy_by_images"] = fewer
        outcome["runs"] = {name: {"rate": rate, "history": history} for name, (rate, history) in runs.items()}
        arguments.json.write_text(json.dumps(outcome, indent=1) + "\n")


if __name__ == "__main__":
    main()
