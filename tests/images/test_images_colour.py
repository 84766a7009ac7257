"""Colour, cutout and filters against NumPy, and what their neutral values leave alone."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models.images import colour, filters

RNG = np.random.default_rng(8)
IMAGES = RNG.random((3, 3, 6, 9))
FACTOR = np.array([0.0, 1.0, 1.7])
LUMA = np.array([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)


def run(f, images=IMAGES, device="reference"):
    x = kw.input("x", images.shape, images.dtype)
    y = f(x)
    return kw.compile([x], y, device=device)(images)


def test_factors_scale_about_black_grey_and_mean():
    f, each = kw.as_tensor(FACTOR), FACTOR.reshape(3, 1, 1, 1)
    grey = (IMAGES * LUMA).sum(1, keepdims=True)
    mean = grey.mean((2, 3), keepdims=True)
    np.testing.assert_allclose(run(lambda x: colour.brightness(x, f)), IMAGES * each)
    np.testing.assert_allclose(run(lambda x: colour.contrast(x, f)), mean + (IMAGES - mean) * each)
    np.testing.assert_allclose(run(lambda x: colour.saturation(x, f)), grey + (IMAGES - grey) * each, atol=1e-15)
    one = IMAGES[:, :1]
    m = one.mean((2, 3), keepdims=True)
    np.testing.assert_allclose(run(lambda x: colour.contrast(x, 0.5), one), m + (one - m) * 0.5)


def test_hue_turns_colours_and_keeps_greys_and_luma():
    turned = run(lambda x: colour.hue(x, kw.as_tensor(np.array([0.0, 90.0, 360.0]))))
    np.testing.assert_allclose(turned[[0, 2]], IMAGES[[0, 2]], atol=1e-12)
    assert abs(turned[1] - IMAGES[1]).max() > 0.1
    np.testing.assert_allclose((turned * LUMA).sum(1), (IMAGES * LUMA).sum(1), atol=1e-5)
    grey = np.repeat(IMAGES[:, :1], 3, 1)
    np.testing.assert_allclose(run(lambda x: colour.hue(x, 77.0), grey), grey, atol=1e-5)
    red = np.zeros((1, 3, 1, 1))
    red[:, 0] = 1
    assert run(lambda x: colour.hue(x, 120.0), red).ravel().argmax() == 1


def test_principal_colours_are_those_of_the_covariance():
    mixed = np.einsum("cd,ndhw->nchw", RNG.normal(size=(3, 3)), IMAGES)
    pca = kw.images.colour_pca(mixed)
    covariance = np.cov(mixed.transpose(1, 0, 2, 3).reshape(3, -1), bias=True)
    np.testing.assert_allclose(pca.axes @ np.diag(pca.variances) @ pca.axes.T, covariance, atol=1e-12)
    np.testing.assert_allclose(pca.axes.T @ pca.axes, np.eye(3), atol=1e-12)
    assert (np.diff(pca.variances) <= 0).all()
    amounts = RNG.normal(size=(3, 3))
    want = mixed + (amounts @ pca.axes.T).reshape(3, 3, 1, 1)
    np.testing.assert_allclose(run(lambda x: colour.colour_shift(x, pca, kw.as_tensor(amounts)), mixed), want)
    with pytest.raises(kw.InputError, match=r"int64 \(3, 3\)"):
        kw.images.colour_pca(np.eye(3, dtype="int64"))


def test_cutout_is_a_square_and_the_part_of_it_inside():
    got = run(lambda x: colour.cutout(x, kw.as_tensor(np.array([4.0, 0.0, 8.5])), 2.0, 3, 0.25))
    want = IMAGES.copy()
    want[0, :, 1:4, 3:6] = want[1, :, 1:4, :2] = want[2, :, 1:4, 8:] = 0.25
    assert (got == want).all()


def test_colour_misuse():
    for f in (colour.saturation, colour.hue, colour.contrast):
        with pytest.raises(kw.ShapeError, match=r"3 channels.*\(batch, 4, 5, 5\)"):
            f(kw.input("x", (None, 4, 5, 5)), 0.5)


MODES = {"edge": "edge", "reflect": "reflect", "symmetric": "symmetric", "wrap": "wrap", "zero": "constant"}


def filtered(images, matrix, edge):
    """Each channel's neighbours times the matrix, in NumPy."""
    h, w = np.shape(matrix)
    if edge != "crop":
        widths = ((0, 0), (0, 0), (h // 2, h - 1 - h // 2), (w // 2, w - 1 - w // 2))
        images = np.pad(images, widths, MODES[edge])
    windows = np.lib.stride_tricks.sliding_window_view(images, (h, w), (2, 3))
    return (windows * matrix).sum((-1, -2))


@pytest.mark.parametrize("edge", [*MODES, "crop"])
def test_a_users_matrix_at_every_kind_of_edge(edge):
    for shape in ((3, 3), (1, 4), (5, 2)):
        matrix = RNG.normal(size=shape)
        got = run(
            lambda x, m=matrix: filters.convolve(x, m, 2.0, 0.5, edge), device="cpu" if shape[0] == 3 else "reference"
        )
        np.testing.assert_allclose(got, filtered(IMAGES, matrix, edge) / 2 + 0.5, rtol=1e-10, atol=1e-12)


def test_filters_are_their_matrices():
    line = np.exp(-0.5 * (np.arange(-3, 4) / 0.8) ** 2)
    gauss = np.outer(line, line) / line.sum() ** 2
    pairs = [
        (lambda x: filters.box_blur(x, 2), np.full((5, 5), 1 / 25)),
        (lambda x: filters.gaussian_blur(x, 0.8), gauss),
        (filters.sharpen, [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
        (filters.laplacian, [[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
        (filters.emboss, [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]),
    ]
    for f, matrix in pairs:
        np.testing.assert_allclose(run(f), filtered(IMAGES, np.array(matrix), "edge"), rtol=1e-10, atol=1e-12)
    assert (run(lambda x: filters.sharpen(x, 0.0)) == IMAGES).all()
    assert (run(lambda x: filters.box_blur(x, 0)) == IMAGES).all()


def test_edges_have_the_slope_of_a_ramp_and_a_gradient_where_there_is_none():
    ramp = np.broadcast_to(0.2 * np.arange(9.0) + 0.1 * np.arange(6.0)[:, None], (1, 2, 6, 9)).copy()
    length = run(lambda x: filters.edges(x, "crop"), ramp)
    np.testing.assert_allclose(length, np.hypot(0.2, 0.1), rtol=1e-6)
    flat = run(lambda x: kw.grad(filters.edges(x).sum(), [x])[0], np.ones((1, 1, 4, 4)))
    assert (flat == 0).all()


def test_filter_misuse():
    x = kw.input("x", (None, 1, 4, 4))
    for error, f in [
        ("rows of finite numbers", lambda: filters.convolve(x, [1, 2])),
        ("other than 0, not 0", lambda: filters.convolve(x, [[1]], 0)),
        ("one of edge, reflect.*'mirror'", lambda: filters.laplacian(x, "mirror")),
        ("sigma is above 0.*-1", lambda: filters.gaussian_blur(x, -1.0)),
        ("whole number.*0.5", lambda: filters.box_blur(x, 0.5)),
        (r"\(5, 5\) does not fit into images of \(4, 4\)", lambda: filters.convolve(x, np.ones((5, 5)), edge="crop")),
    ]:
        with pytest.raises(ValueError, match=error):
            f()
