"""The matrices of Winograd's minimal filtering F(4x4, 3x3), and the sizes that go with them.

For the points 0, 1, -1, 2, -2 and infinity, as in A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural
Networks, arXiv 1509.09308, section 4.1. They are part of the code of kernels: their numbers stand in instructions.
"""

import numpy as np

TILE, WINDOW = 4, 3
POINTS = TILE + WINDOW - 1

B = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    np.float32,
)
"""(points, pixels of an input tile), B' of the paper."""
G = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    np.float32,
)
"""(points, window)."""
A = np.array([[1, 0, 0, 0], [1, 1, 1, 1], [1, -1, 1, -1], [1, 2, 4, 8], [1, -2, 4, -8], [0, 0, 0, 1]], np.float32)
"""(points, pixels of an output tile)."""

MATRICES = {"input": B, "filter": G, "output": A}
STEPS = {"input": TILE, "filter": WINDOW, "output": TILE}
"""How far neighbouring tiles lie apart in the image that a matrix is applied to."""
