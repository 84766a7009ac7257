"""Affine warps against PyTorch's grid sampling and NumPy: one kernel, exact on whole pixels, right in its gradients."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.reference import evaluate
from kernelwright.models.images import geometry as g

RNG = np.random.default_rng(5)
IMAGES = RNG.random((3, 2, 7, 10))
SIZE = (7, 10)


def run(images, affine, device="reference", **options):
    """The images warped; `affine` may be an array (n, 2, 3), which becomes an input."""
    x = kw.input("images", images.shape, images.dtype)
    if isinstance(affine, np.ndarray):
        m = kw.input("matrix", affine.shape, affine.dtype)
        return kw.compile([x, m], g.warp(x, m, **options), device=device)(images, affine)
    return kw.compile([x], g.warp(x, affine, **options), device=device)(images)


def matrices(count, spread=0.4):
    """Random maps near the identity."""
    m = np.zeros((count, 2, 3))
    m[:, :, :2] = np.eye(2) + RNG.uniform(-spread, spread, (count, 2, 2))
    m[:, :, 2] = RNG.uniform(-3, 3, (count, 2))
    return m


def sampled(image, m, size, fill):
    """One channel, point by point: the definition of bilinear sampling."""
    h, w = image.shape
    out = np.empty(size)
    for i, j in np.ndindex(*size):
        x, y = m @ [j, i, 1.0]
        x0, y0 = int(np.floor(x)), int(np.floor(y))
        total = 0.0
        for r, c in ((0, 0), (0, 1), (1, 0), (1, 1)):
            row, column = y0 + r, x0 + c
            weight = (1 - abs(x - column)) * (1 - abs(y - row))
            if fill == "edge":
                value = image[min(max(row, 0), h - 1), min(max(column, 0), w - 1)]
            else:
                value = image[row, column] if 0 <= row < h and 0 <= column < w else fill
            total += weight * value
        out[i, j] = total
    return out


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("fill, size", [(0.0, None), (0.7, (5, 4)), ("edge", (9, 13))])
def test_a_warp_is_bilinear_sampling(device, fill, size):
    m = matrices(3)
    got = run(IMAGES, m, device, fill=fill, size=size)
    want = [[sampled(c, a, size or SIZE, fill) for c in image] for image, a in zip(IMAGES, m)]
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode, fill", [("zeros", 0.0), ("border", "edge")])
def test_a_warp_and_its_gradients_agree_with_torch(mode, fill):
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    m, (h, w) = matrices(3), SIZE
    upstream = RNG.normal(size=IMAGES.shape)
    images, theta = (torch.tensor(a, requires_grad=True) for a in (IMAGES, m))
    to_pixels = torch.tensor([[(w - 1) / 2, 0, (w - 1) / 2], [0, (h - 1) / 2, (h - 1) / 2], [0, 0, 1.0]]).double()
    last = torch.tensor([[[0, 0, 1.0]]]).double().expand(3, 1, 3)
    normal = (torch.linalg.inv(to_pixels) @ torch.cat([theta, last], 1) @ to_pixels)[:, :2]
    grid = f.affine_grid(normal, IMAGES.shape, align_corners=True)
    want = f.grid_sample(images, grid, mode="bilinear", padding_mode=mode, align_corners=True)
    (want * torch.tensor(upstream)).sum().backward()

    x, t = kw.input("x", IMAGES.shape, "float64"), kw.input("t", m.shape, "float64")
    y = g.warp(x, t, fill=fill)
    gradients = kw.grad((y * kw.as_tensor(upstream)).sum(), [x, t])
    got = kw.compile([x, t], [y, *gradients])(IMAGES, m)
    for a, b in zip(got, (want, images.grad, theta.grad)):
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-9, atol=1e-9)


def test_a_warp_is_one_kernel_and_a_chain_of_drawn_steps_two():
    x, m = kw.input("x", (None, 3, 20, 18)), kw.input("m", (None, 2, 3))
    assert [len(k.fused) > 10 for k in kw.compile([x, m], g.warp(x, m)).kernels] == [True]
    dx, dy = kw.input("dx", (None,)), kw.input("dy", (None,))
    chain = g.rotation(20.0, (20, 18)).then(g.translation(dx, dy)).then(g.flipping((20, 18)))
    assert len(kw.compile([x, dx, dy], g.warp(x, chain)).kernels) == 2


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("fill", [0.0, "edge"])
def test_parameters_that_change_nothing_give_the_same_bits(device, fill):
    images = IMAGES.astype("float32")
    zero, one = kw.as_tensor(np.zeros(3, "float32")), kw.as_tensor(np.ones(3, "float32"))
    still = [
        np.tile(np.eye(2, 3, dtype="float32"), (3, 1, 1)),
        g.Affine(),
        g.rotation(zero, SIZE)
        .then(g.scaling(one, SIZE))
        .then(g.shearing(zero, SIZE))
        .then(g.translation(zero, zero))
        .then(g.flipping(SIZE, zero, zero)),
    ]
    for affine in still:
        assert (run(images, affine, device, fill=fill) == images).all()


def test_whole_moves_are_numpys():
    shifted = np.zeros_like(IMAGES)
    shifted[:, :, 2:, :-3] = IMAGES[:, :, :-2, 3:]
    assert (run(IMAGES, g.translation(-3, 2)) == shifted).all()
    assert (run(IMAGES, g.flipping(SIZE)) == IMAGES[:, :, :, ::-1]).all()
    assert (run(IMAGES, g.flipping(SIZE, 0, 1)) == IMAGES[:, :, ::-1]).all()
    assert (run(IMAGES, g.cropping(2, 1), size=(4, 5)) == IMAGES[:, :, 1:5, 2:7]).all()
    square = IMAGES[..., :7]
    np.testing.assert_allclose(run(square, g.rotation(90.0, (7, 7)), fill="edge"), np.rot90(square, 1, (2, 3)))


@pytest.mark.parametrize("to", [(14, 20), (9, 4), (1, 1)])
def test_resizing_is_torchs_bilinear_interpolation(to):
    torch = pytest.importorskip("torch")
    want = torch.nn.functional.interpolate(torch.tensor(IMAGES), to, mode="bilinear", align_corners=False)
    np.testing.assert_allclose(run(IMAGES, g.resizing(SIZE, to), size=to, fill="edge"), want, rtol=1e-12)


def test_one_map_for_all_images_in_every_form():
    m = matrices(1)[0]
    want = run(IMAGES, np.tile(m, (3, 1, 1)))
    scalar, vector = (
        kw.as_tensor(np.array(m[0, 2])),
        kw.as_tensor(
            m[
                1,
                :1,
            ]
        ),
    )
    entries = [*m.ravel()]
    forms = [kw.as_tensor(m[None]), g.Affine(*entries), g.Affine(*entries[:2], scalar, vector, *entries[4:])]
    for form in [*forms, m.tolist()]:
        np.testing.assert_allclose(run(IMAGES, form), want, rtol=1e-12, atol=1e-12)


def test_directions_are_those_that_are_documented():
    dot = np.zeros((1, 1, 9, 9))
    dot[0, 0, 4, 7] = 1.0  # right of the middle
    up = run(dot, g.rotation(90.0, (9, 9)))
    assert np.unravel_index(up.argmax(), up.shape)[2:] == (1, 4)
    near = run(dot, g.scaling(1 / 3, (9, 9)))
    assert near[0, 0, 4, 5] == pytest.approx(1.0)
    top = np.zeros((1, 1, 9, 9))
    top[0, 0, 1, 4] = 1.0
    leaning = run(top, g.shearing(45.0, (9, 9)))
    assert leaning[0, 0, 1, 7] == pytest.approx(1.0)


def test_a_chain_is_the_steps_one_after_another():
    """Whole moves that lose nothing: the same bits. The product of the matrices: the same warp."""
    images = np.zeros((2, 1, 12, 12))
    images[:, :, 4:8, 4:8] = RNG.random((2, 1, 4, 4))
    steps = [g.translation(2, 1), g.flipping((12, 12)), g.translation(-1, 2), g.flipping((12, 12), 0, 1)]
    one_by_one, chain = images, g.Affine()
    for step in steps:
        one_by_one, chain = run(one_by_one, step), chain.then(step)
    assert (run(images, chain) == one_by_one).all()

    turned, wide = g.rotation(25.0, (12, 12)), g.scaling(1.3, (12, 12))
    rows = [np.vstack([np.reshape(a.entries(), (2, 3)), [0, 0, 1]]) for a in (turned, wide)]
    product = (rows[0] @ rows[1])[:2]
    np.testing.assert_allclose(np.reshape(turned.then(wide).entries(), (2, 3)), product, atol=1e-12)
    np.testing.assert_allclose(run(images, turned.then(wide)), run(images, np.tile(product, (2, 1, 1))), atol=1e-12)


def test_gradients_of_the_parameters_are_finite_differences():
    angle, zoom, dx = (kw.input(n, (3,), "float64") for n in ("angle", "zoom", "dx"))
    x = kw.input("x", IMAGES.shape, "float64")
    chain = g.rotation(angle, SIZE).then(g.scaling(zoom, SIZE)).then(g.translation(dx, 0.3))
    weights = kw.as_tensor(RNG.normal(size=IMAGES.shape))
    loss = (g.warp(x, chain) * weights).sum()
    feed = {angle: np.array([5.0, -20, 33]), zoom: np.array([0.8, 1.1, 1.4]), dx: np.array([0.2, -1.7, 3.1]), x: IMAGES}
    for node, got in zip(feed, evaluate(kw.grad(loss, list(feed)), feed)):
        direction = RNG.normal(size=got.shape)
        ends = [evaluate([loss], {**feed, node: feed[node] + s * 1e-6 * direction})[0] for s in (1, -1)]
        assert (got * direction).sum() == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30, -1e30])
def test_parameters_that_are_no_numbers_lead_outside(value):
    images = IMAGES.astype("float32")
    dx = kw.as_tensor(np.array([value, 0.0, value], "float32"))
    for device in ("cpu", "reference"):
        got = run(images, g.translation(dx), device, fill=0.5)
        assert (got[[0, 2]] == 0.5).all() and (got[1] == images[1]).all()


def test_misuse_says_what_was_expected():
    x = kw.input("x", (None, 3, 8, 8))
    with pytest.raises(kw.ShapeError, match=r"images are \(batch, channels, height, width\).*\(8, 8\)"):
        g.warp(kw.input("flat", (8, 8)), g.Affine())
    with pytest.raises(kw.ShapeError, match=r"\(batch, 2, 3\), not \(batch, 3, 2\)"):
        g.warp(x, kw.input("m", (None, 3, 2)))
    with pytest.raises(kw.ShapeError, match=r"entries of shape \(batch\), not \(batch, 2\)|\(batch,\), not"):
        g.warp(x, g.translation(kw.input("dx", (None, 2))))
    with pytest.raises(kw.ShapeError, match=r"size is \(height, width\).*\(0, 4\)"):
        g.warp(x, g.Affine(), size=(0, 4))
    with pytest.raises(ValueError, match="'mirror'"):
        g.warp(x, g.Affine(), fill="mirror")
    with pytest.raises(kw.DTypeError, match="not uint8"):
        g.warp(kw.input("bytes", (None, 3, 8, 8), "uint8"), g.Affine())
