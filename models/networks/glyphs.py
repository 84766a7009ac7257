"""Ten digits drawn on 7x12 pixels: the codes that LeNet-5's output units compare with (LeCun et al. 1998, figure 3).

The paper's own drawings are in a figure only; these are ours, in the same size and style.
"""

from __future__ import annotations

import numpy as np

WIDTH, HEIGHT = 7, 12

ROWS = (
    "..###..  ...#...  .#####.  .#####.  ....##.  #######  ..####.  #######  .#####.  .#####.",
    ".##.##.  ..##...  ##...##  ##...##  ...###.  ##.....  .##....  .....##  ##...##  ##...##",
    "##...##  .###...  #.....#  .....##  ..#.##.  ##.....  ##.....  .....##  ##...##  ##...##",
    "##...##  ...#...  .....##  .....##  .##.##.  ##.....  ##.....  ....##.  ##...##  ##...##",
    "##...##  ...#...  .....##  ....##.  ##..##.  ######.  ######.  ....##.  .#####.  ##...##",
    "##...##  ...#...  ....##.  ..###..  ##..##.  .....##  ##...##  ...##..  .#####.  .######",
    "##...##  ...#...  ...##..  ....##.  #######  .....##  ##...##  ...##..  ##...##  .....##",
    "##...##  ...#...  ..##...  .....##  ....##.  .....##  ##...##  ..##...  ##...##  .....##",
    "##...##  ...#...  .##....  .....##  ....##.  .....##  ##...##  ..##...  ##...##  .....##",
    ".##.##.  ...#...  ##.....  ##...##  ....##.  ##...##  ##...##  ..##...  ##...##  ....##.",
    "..###..  .#####.  #######  .#####.  ....##.  .#####.  .#####.  ..##...  .#####.  .####..",
    ".......  .......  .......  .......  .......  .......  .......  .......  .......  .......",
)


def codes(classes: int = 10) -> np.ndarray:
    """(classes, 84) float32: 1 where there is ink, -1 elsewhere, the rows of a digit from the top.

    After the ten digits come codes drawn at random, the same on every machine: "they could have been chosen at random
    with equal probabilities for -1 and +1", says the paper.
    """
    digits = list(zip(*(row.split() for row in ROWS), strict=True))
    ink = np.array([[[c == "#" for c in row] for row in digit] for digit in digits])
    drawn = ink.reshape(len(digits), HEIGHT * WIDTH)
    random = np.random.RandomState(1998).randint(0, 2, (max(classes - len(digits), 0), HEIGHT * WIDTH)) > 0
    return np.where(np.concatenate([drawn, random])[:classes], 1.0, -1.0).astype("float32")
