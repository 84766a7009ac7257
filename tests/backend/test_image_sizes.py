"""One program for images of every size: right results and gradients, nothing compiled anew, errors that name sizes."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.targets.cpu import assemble
from kernelwright.runtime import load_program
from kernelwright.runtime.errors import RuntimeShapeError

SIZES = [(32, 32), (48, 64), (224, 160), (17, 21), (5, 7), (33, 8)]
RNG = np.random.default_rng(3)
WEIGHTS = [
    RNG.normal(0, 0.3, shape).astype("float32") for shape in [(8, 3, 3, 3), (8, 4, 3, 3), (6, 8, 5, 5), (6, 6, 1, 1)]
]


def network(x, weights):
    """Padding, stride, groups, dilation, pooling with and without overlap, enlarging, and the mean over all pixels."""
    y = kw.conv(x, weights[0], pad=1)
    y = kw.max_pool(y * y, 3, stride=2, pad=1)
    y = kw.conv(y, weights[1], stride=2, pad=1, groups=2)
    y = kw.conv(y, weights[2], pad=4, dilation=2)
    y = kw.conv(kw.nn.Upsample(2)(y), weights[3], stride=(1, 2))
    return kw.avg_pool(y, (2, 1)).mean((2, 3))


def values_and_gradients(shape):
    x = kw.input("x", shape)
    weights = [kw.input(f"w{i}", w.shape) for i, w in enumerate(WEIGHTS)]
    y = network(x, weights)
    return [x, *weights], [y, *kw.grad((y * y).sum(), [x, *weights])]


@pytest.fixture(scope="module")
def program():
    return kw.compile(*values_and_gradients((None, 3, "height", "width")))


@pytest.mark.parametrize("size", SIZES)
def test_results_and_gradients_are_those_of_a_graph_of_that_size(program, size):
    images = np.random.default_rng(0).normal(0, 1, (2, 3, *size)).astype("float32")
    want = kw.compile(*values_and_gradients(images.shape), device="reference")(images, *WEIGHTS)
    for a, b in zip(program(images, *WEIGHTS), want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


def test_no_size_compiles_anything(program, monkeypatch):
    monkeypatch.setattr(assemble, "compile_sources", None)
    for height, width in SIZES:
        assert program(np.zeros((1, 3, height, width), "float32"), *WEIGHTS)[0].shape == (1, 6)


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("op", ["conv", "max_pool", "sum_pool", "avg_pool"])
def test_images_smaller_than_the_window(op, device):
    x = kw.input("x", (None, 1, "height", "width"))
    y = kw.conv(x, np.ones((1, 1, 3, 4), "float32")) if op == "conv" else getattr(kw, op)(x, (3, 4), stride=1)
    run = kw.compile([x], [y], device=device)
    assert run(np.zeros((1, 1, 3, 4), "float32")).shape == (1, 1, 1, 1)
    for shape in [(1, 1, 2, 4), (1, 1, 3, 3), (1, 1, 1, 1)]:
        with pytest.raises(RuntimeShapeError, match=rf"no window of [34] fits .*width = {shape[3]}") as error:
            run(np.zeros(shape, "float32"))
        assert __file__ in str(error.value)


@pytest.mark.parametrize("op", ["max_pool", "sum_pool", "avg_pool"])
def test_windows_do_not_run_along_the_batch(op):
    pool = getattr(kw, op)
    for shape, window in [((None, 4), 2), ((None,), (2,)), ((None, 8, 8), (1, 2, 2))]:
        with pytest.raises(kw.ShapeError, match=rf"{op}: windows over {len(shape)} axes of .* run along the batch"):
            pool(kw.input("x", shape), window)
    assert pool(kw.input("x", (None, 4)), (2,)).shape[1] == 2
    assert pool(kw.input("x", ("height", 4)), 2).shape[1] == 2
    assert pool(kw.input("x", (6, 4)), 2).shape == (3, 2)


@pytest.mark.parametrize("places", [1, 3, (2, 5)])
def test_adaptive_pooling(places):
    torch = pytest.importorskip("torch")
    x = kw.input("x", (None, 2, "height", "width"))
    run = kw.compile([x], [kw.nn.AdaptiveAvgPool(places)(x)])
    for size in [(7, 5), (12, 10), (1, 1), (2, 31)]:
        images = np.random.default_rng(1).normal(0, 1, (2, 2, *size)).astype("float32")
        want = torch.nn.functional.adaptive_avg_pool2d(torch.tensor(images), places).numpy()
        np.testing.assert_allclose(run(images), want, rtol=1e-5, atol=1e-6)


def test_sizes_that_are_rounded_down_go_into_a_file(tmp_path):
    x = kw.input("x", (None, 1, "height", "width"))
    run = kw.compile([x], [kw.max_pool(kw.nn.Upsample(3)(kw.max_pool(x, 2)), 2)])
    run.save(tmp_path / "pool.kwp")
    images = np.arange(63, dtype="float32").reshape(1, 1, 7, 9)
    (got,) = load_program(tmp_path / "pool.kwp").run([images])
    assert got.shape == (1, 1, 4, 6)  # 7 // 2 * 3 // 2, 9 // 2 * 3 // 2
    np.testing.assert_array_equal(got, run(images))


@pytest.mark.parametrize("pad", [0, 1, 2])
def test_fast_convolutions_of_any_size(pad):
    """3x3 convolutions over many channels go by tiles of 4x4, whose number only a run knows."""
    x, w = kw.input("x", (None, 32, "height", "width")), kw.input("w", (32, 32, 3, 3))
    y = kw.conv(x, w, pad=pad)
    run = kw.compile([x, w], [y, *kw.grad((y * y).sum(), [x, w])])
    assert any("transform_" in kernel.source for kernel in run.kernels)
    rng = np.random.default_rng(2)
    weights = rng.normal(0, 0.1, (32, 32, 3, 3)).astype("float32")
    for size in [(12, 12), (13, 7), (3, 18), (5, 3)]:
        images = rng.normal(0, 1, (2, 32, *size)).astype("float32")
        fixed, u = kw.input("x", images.shape), kw.input("w", weights.shape)
        z = kw.conv(fixed, u, pad=pad)
        want = kw.compile([fixed, u], [z, *kw.grad((z * z).sum(), [fixed, u])], device="reference")(images, weights)
        for a, b in zip(run(images, weights), want, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4 * np.abs(b).max())
