"""Max pooling's gradient goes to a pixel, never to the padding; the values are those of PyTorch."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.targets.cuda import program as cuda

INF = np.inf


def gradient(image, window, stride, pad, device):
    image = np.array(image, "float32")[None, None]
    x = kw.input("x", image.shape)
    g = kw.grad(kw.sum(kw.max_pool(x, window, stride, pad)), x)
    if device == "cuda":
        return cuda.run_program(cuda.build_kernels([x], [g], {}), [image])[0][0, 0].tolist()
    return kw.compile([x], [g], device=device)(image)[0, 0].tolist()


@pytest.mark.parametrize("device", ["cpu", "reference", "cuda"])
@pytest.mark.parametrize(
    "image, settings, right",
    [
        ([[-INF, -INF], [-INF, -INF]], (3, 1, 1), [[4, 0], [0, 0]]),
        ([[-INF] * 4] * 4, (2, 2, 1), [[1, 1, 0, 1], [1, 1, 0, 1], [0, 0, 0, 0], [1, 1, 0, 1]]),
        ([[-INF] * 3] * 3, (3, 2, 1), [[1, 1, 0], [1, 1, 0], [0, 0, 0]]),
        ([[-INF, 5], [-INF, -INF]], (3, 1, 1), [[0, 4], [0, 0]]),
        ([[-INF, -INF], [-INF, np.nan]], (3, 1, 1), [[0, 0], [0, 4]]),
        ([[-INF, -INF, 1], [-INF, -INF, 1], [-INF, -INF, np.nan]], (2, 2, 0), [[1, 0, 0], [0, 0, 0], [0, 0, 0]]),
        ([[np.nan, 1], [2, -INF]], (2, 2, 1), [[1, 1], [1, 1]]),
    ],
)
def test_where_the_gradient_goes(device, image, settings, right):
    assert gradient(image, *settings, device) == right


@pytest.mark.parametrize("device", ["cpu", "reference", "cuda"])
@pytest.mark.parametrize("side", [16, 17])
def test_the_last_place_of_a_large_window(device, side):
    """Positions up to 255 are bytes, greater ones are not."""
    image, right = np.zeros((side, side)), np.zeros((side, side))
    image[-1, -1] = right[-1, -1] = 1
    assert gradient(image, side, side, 0, device) == right.tolist()
