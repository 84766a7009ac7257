"""Images of other sizes and adaptive pooling: PyTorch's values, its gradients, and values written out."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.errors import DTypeError, ShapeError

RNG = np.random.default_rng(0)


def run(f, array, device="cpu", shape=None):
    """f of an array and the gradient of a weighed sum of it."""
    x = kw.input("x", array.shape if shape is None else shape, array.dtype.name)
    y = f(x)
    weighed = (y * kw.cos(kw.reshape(kw.arange(0, 1, 1), (1,) * y.rank) + y.mean())).sum()
    return kw.compile([x], [y, *kw.grad(weighed, [x])], device=device)(array)


def theirs(f, array):
    torch = pytest.importorskip("torch")
    x = torch.tensor(array, requires_grad=True)
    y = f(x)
    (y * torch.cos(y.mean())).sum().backward()
    return y.detach().numpy(), x.grad.numpy()


@pytest.mark.parametrize("size", [(7, 9), (4, 6), (10, 3), (1, 1), (8, 12), (5, 6)])
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "area", "corners", "cubic corners"])
@pytest.mark.parametrize("known", [True, False])
def test_resize_is_pytorchs(mode, size, known):
    torch = pytest.importorskip("torch")
    corners = mode.endswith("corners")
    kind = {"corners": "bilinear", "cubic corners": "bicubic"}.get(mode, mode)
    array = RNG.normal(size=(2, 3, 4, 6))
    got = run(lambda x: kw.resize(x, size, kind, corners), array, shape=None if known else (None, 3, "h", "w"))
    options = {} if kind in ("nearest", "area") else {"align_corners": corners}
    right = theirs(lambda x: torch.nn.functional.interpolate(x, size, mode=kind, **options), array)
    for ours, wanted in zip(got, right):
        np.testing.assert_allclose(ours, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("factor", [2, 1.5, 0.7, (3, 0.5)])
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_interpolate_by_a_factor_is_pytorchs(mode, factor):
    torch = pytest.importorskip("torch")
    array = RNG.normal(size=(1, 2, 5, 8))
    got = run(lambda x: kw.interpolate(x, scale_factor=factor, mode=mode), array)
    right = theirs(lambda x: torch.nn.functional.interpolate(x, scale_factor=factor, mode=mode), array)
    for ours, wanted in zip(got, right):
        np.testing.assert_allclose(ours, wanted, rtol=1e-9, atol=1e-12)


def test_sequences_and_volumes():
    torch = pytest.importorskip("torch")
    for shape, size, mode in (((2, 3, 5), 8, "linear"), ((1, 2, 3, 4, 5), (4, 6, 3), "trilinear")):
        array = RNG.normal(size=shape).astype("float32")
        (got, _), wanted = run(lambda x, size=size, mode=mode: kw.resize(x, size, mode), array), None
        wanted, _ = theirs(lambda x, size=size, mode=mode: torch.nn.functional.interpolate(x, size, mode=mode), array)
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_values_written_out(device):
    row = np.array([[[0.0, 10.0]]], "float32")
    x = kw.input("x", (1, 1, None))
    found = kw.compile(
        [x], [kw.resize(x, 4, "linear"), kw.resize(x, 4), kw.resize(x, 3, "linear", True)], device=device
    )
    linear, nearest, corners = found(row)
    np.testing.assert_allclose(linear[0, 0], [0, 2.5, 7.5, 10], rtol=1e-6)
    np.testing.assert_array_equal(nearest[0, 0], [0, 0, 10, 10])
    np.testing.assert_allclose(corners[0, 0], [0, 5, 10], rtol=1e-6)


def test_labels_of_integers_take_nearest_alone():
    labels = np.arange(6, dtype="int32").reshape(1, 1, 2, 3)
    x = kw.input("x", labels.shape, "int32")
    got = kw.compile([x], [kw.resize(x, (3, 3))])(labels)
    np.testing.assert_array_equal(got[0, 0], [[0, 1, 2], [0, 1, 2], [3, 4, 5]])
    with pytest.raises(DTypeError, match="'bilinear' weighs floats, not int32"):
        kw.resize(x, (3, 3), "bilinear")


@pytest.mark.parametrize("size", [1, 2, (3, 5), (7, 4)])
@pytest.mark.parametrize("which", ["avg", "max"])
def test_adaptive_pooling_is_pytorchs(which, size):
    torch = pytest.importorskip("torch")
    array = RNG.normal(size=(2, 3, 7, 9))
    ours = getattr(kw, f"adaptive_{which}_pool")
    got = run(lambda x: ours(x, size), array)
    right = theirs(lambda x: getattr(torch.nn.functional, f"adaptive_{which}_pool2d")(x, size), array)
    for mine, wanted in zip(got, right):
        np.testing.assert_allclose(mine, wanted, rtol=1e-9, atol=1e-12)
    layer = getattr(kw.nn, f"Adaptive{which.title()}Pool")(size)
    np.testing.assert_array_equal(run(lambda x: layer(x), array)[0], got[0])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: kw.resize(x, (2, 3, 4)), "one for each of the 2 spatial axes"),
        (lambda x: kw.resize(x, 0), "above 0"),
        (lambda x: kw.resize(x, 4, "lanczos"), "there are nearest, linear"),
        (lambda x: kw.resize(x[0, 0], 4), "(batch, channels, *spatial) is needed"),
        (lambda x: kw.interpolate(x), "size or scale_factor"),
        (lambda x: kw.interpolate(x, scale_factor=-1), "positive number"),
        (lambda x: kw.adaptive_avg_pool(x, "h"), "known while compiling"),
    ],
)
def test_what_does_not_fit_is_said(call, said):
    with pytest.raises(ShapeError) as error:
        call(kw.input("x", (None, 3, 4, 6)))
    assert said in str(error.value) and "test_resizing.py" in str(error.value)


def test_windows_of_unknown_sizes_have_means_and_no_greatest():
    x = kw.input("x", (None, 3, "h", "w"))
    array = RNG.normal(size=(1, 3, 5, 8)).astype("float32")
    got = kw.compile([x], [kw.adaptive_avg_pool(x, 2)])(array)
    wide = array.astype("float64")
    rows = np.stack([wide[:, :, :3].mean(2), wide[:, :, 2:].mean(2)], 2)
    right = np.stack([rows[..., :4].mean(-1), rows[..., 4:].mean(-1)], -1)
    # Each of twelve terms' eleven sums is off by 2^-24 of it at most, however near zero their mean is.
    bound = 11 * 2.0**-24 * np.abs(wide).max()
    np.testing.assert_allclose(got, right, rtol=0, atol=bound)
    with pytest.raises(ShapeError, match="2 places do not divide axis 2"):
        kw.adaptive_max_pool(x, 2)
