"""Batch normalisation lets the same network train in fewer epochs: two learning curves.

    python examples/batch_norm.py --data fashion-mnist --curves curves.svg --json outcome.json

A network of six convolutions on images of half the size, once as it is and once with batch normalisation after each
(Ioffe and Szegedy 2015), from the same first weights, over the same examples in the same order. Each trains by plain
gradient descent at several first rates, which fall to zero as a cosine, and of each the rate that ends with the least
training loss is kept, so that neither is held back by a rate that suits the other. The outcome says in which epoch each
first reaches the training loss with which the one without ends.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import kernelwright as kw

RATES = (0.03, 0.1, 0.3)
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
    train, test = data.train.subset(count), data.test.subset(min(count, len(data.test)))
    runs, steps = [], epochs * -(-count // BATCH)
    for rate in RATES:
        model = network(data.input_shape, len(data.classes), normalised)
        trainer = kw.Trainer(model, kw.optim.SGD(kw.optim.Cosine(rate, steps)), threads=threads, batch=BATCH)
        history = trainer.fit(
            (train.images, train.labels), epochs, validation=(test.images, test.labels), progress=False
        )
        last, word = history[-1], "with" if normalised else "without"
        print(f"{word}, rate {rate}: loss {last['loss']:.3f}, test {last['validation_accuracy']:.2%}", flush=True)
        runs.append((rate, list(history)))
    return min(runs, key=lambda run: run[1][-1]["loss"])


def epochs_to(history: History, loss: float) -> int | None:
    """The first epoch with this training loss or less."""
    return next((r["epoch"] for r in history if r["loss"] <= loss), None)


def draw(runs: dict[str, tuple[float, History]], target: float, path: Path) -> None:
    """Training loss and validation accuracy by epoch, a curve each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, (rate, history) in runs.items():
        epochs = [r["epoch"] for r in history]
        left.plot(epochs, [r["loss"] for r in history], marker=".", label=f"{name} (rate {rate:g})")
        right.plot(epochs, [100 * r["validation_accuracy"] for r in history], marker=".", label=name)
    left.axhline(target, color="grey", linestyle=":", label="the end without")
    left.set(title="training loss", xlabel="epoch", yscale="log")
    right.set(title="test accuracy, %", xlabel="epoch")
    for axes in (left, right):
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
    if arguments.curves:
        draw(runs, target, arguments.curves)
    if arguments.json:
        outcome = {"data": data.name, "examples": count, "loss": target, "epochs_needed": needed}
        outcome["runs"] = {name: {"rate": rate, "history": history} for name, (rate, history) in runs.items()}
        arguments.json.write_text(json.dumps(outcome, indent=1) + "\n")


if __name__ == "__main__":
    main()
