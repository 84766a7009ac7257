"""Parameters of dense and of convolutional layers as images grow: a table and curves.

    python examples/parameters.py --curves parameters.svg --json parameters.json

On the left one layer that makes 16 maps of the size of a colour image: dense, where every number of the maps has a
weight for every number of the image; locally connected, where it has weights for the 3x3 pixels around its place; and a
convolution, which has the same weights at all places (LeCun et al. 1989). On the right three networks of ten classes:
one hidden layer of 512 units; three convolutions, each with a pooling, and a dense layer of 512 units on what they
leave; the same convolutions and the mean of each map (Lin et al. 2013), which alone does not grow with the image.

The library counts the parameters of what it builds, without drawing weights. It has no locally connected layer: the
count is that of a convolution without a bias for each place, and a bias for each number.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path

import kernelwright as kw

SIZES = (8, 16, 24, 32, 48, 64, 96, 128, 160, 224)
CHANNELS, MAPS, HIDDEN, CLASSES = 3, 16, 512, 10
STAGES = (16, 32, 64)

Count = Callable[[int], int]


def dense_layer(size: int) -> int:
    return counted(size, kw.nn.Flatten(), kw.nn.Dense(MAPS * size * size))


def local_layer(size: int) -> int:
    return size * size * (counted(size, kw.nn.Conv(MAPS, 3, pad=1, bias=False)) + MAPS)


def conv_layer(size: int) -> int:
    return counted(size, kw.nn.Conv(MAPS, 3, pad=1))


def dense_network(size: int) -> int:
    return counted(size, kw.nn.Flatten(), kw.nn.Dense(HIDDEN), kw.relu, kw.nn.Dense(CLASSES))


def conv_dense_network(size: int) -> int:
    head = [kw.nn.Flatten(), kw.nn.Dense(HIDDEN), kw.relu, kw.nn.Dense(CLASSES)]
    return counted(size, *convolutions(), *head)


def conv_network(size: int) -> int:
    return counted(size, *convolutions(), kw.nn.GlobalAvgPool(), kw.nn.Dense(CLASSES))


LAYERS: dict[str, Count] = {"dense": dense_layer, "locally connected": local_layer, "convolution": conv_layer}
NETWORKS: dict[str, Count] = {
    "dense": dense_network,
    "convolutions, dense": conv_dense_network,
    "convolutions, mean": conv_network,
}


def convolutions() -> list[kw.nn.Layer]:
    layers: list = []
    for filters in STAGES:
        layers += [kw.nn.Conv(filters, 3, pad=1), kw.relu, kw.nn.MaxPool(2)]
    return layers


def counted(size: int, *layers: kw.nn.Layer) -> int:
    """The parameters of these layers on colour images of size x size, none of which is drawn."""
    net = kw.nn.Sequential(*layers)
    with kw.init.undrawn():
        net(kw.input("images", (None, CHANNELS, size, size)))
    return sum(math.prod(p.shape) for p in net.parameters())


def table(title: str, sizes: list[int], counts: dict[str, list[int]]) -> str:
    """A line for each size of image, a column for each of `counts`."""
    rows = [["pixels", *counts], *([f"{n}x{n}", *(f"{c[i]:,}" for c in counts.values())] for i, n in enumerate(sizes))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{word:>{width}}" for word, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([title, *lines])


def draw(sizes: list[int], panels: dict[str, dict[str, list[int]]], path: Path) -> None:
    """Parameters by the side of the image, both on logarithmic axes, a panel for each of `panels`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, (title, counts) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for name, values in counts.items():
            axes.plot(sizes, values, marker=".", label=name)
        axes.set(title=title, xlabel="image's side, pixels", xscale="log", yscale="log")
        ticks = [n for n in (8, 16, 32, 64, 128, 224) if sizes[0] <= n <= sizes[-1]]
        axes.set_xticks(ticks, [str(n) for n in ticks])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="sides of images in pixels, 8 or more")
    parser.add_argument("--curves", type=Path, help="a .png, .svg or .pdf; needs matplotlib")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    sizes = sorted(arguments.sizes)
    panels = {
        "parameters of one layer": {name: [count(n) for n in sizes] for name, count in LAYERS.items()},
        "parameters of a network": {name: [count(n) for n in sizes] for name, count in NETWORKS.items()},
    }
    print("\n\n".join(table(title, sizes, counts) for title, counts in panels.items()))
    if arguments.curves:
        draw(sizes, panels, arguments.curves)
    if arguments.json:
        arguments.json.write_text(json.dumps({"sizes": sizes, **panels}, indent=1) + "\n")


if __name__ == "__main__":
    main()
