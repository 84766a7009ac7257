"""Points and pictures that are made: where they lie, by their definition; the same from one seed."""

import numpy as np
import pytest

import kernelwright as kw

DEFINITIONS = {
    "circle": lambda x, y: np.hypot(x, y) < 3,
    "xor": lambda x, y: x * y > 0,
    "gauss": lambda x, y: x + y > 0,
    "spiral": lambda x, y: np.cos(np.arctan2(x, y) - 3.5 * np.pi * np.hypot(x, y) / 5) > 0,
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_points_lie_where_their_class_is(name):
    data = kw.data.points(name, count=300, noise=0.0, seed=4)
    for split in (data.train, data.test):
        assert split.images.shape == (300, 2) and split.images.dtype == np.float32
        assert np.bincount(split.labels).tolist() == [150, 150]
        right = DEFINITIONS[name](*split.images.T.astype("float64")) == (split.labels == 1)
        assert right.mean() > (0.97 if name == "gauss" else 0.999)  # two Gaussians overlap
    assert (data.train.images != data.test.images).any()


def height_of_bumps(x, y):
    """TensorFlow Playground's: of the six cones, that of the greatest height here, up or down."""
    heights = [0.0]
    for cx, cy, up in [(-4, 2.5, 1), (0, 2.5, -1), (4, 2.5, 1), (-4, -2.5, -1), (0, -2.5, 1), (4, -2.5, -1)]:
        distance = ((x - cx) ** 2 + (y - cy) ** 2) ** 0.5
        heights.append(up * (1 - distance / 2 if distance < 2 else 0.0))
    return max(heights, key=abs)


@pytest.mark.parametrize("name, other, height", [
    ("plane", "reg-plane", lambda x, y: (x + y) / 10),
    ("bumps", "reg-gauss", height_of_bumps),
])  # fmt: skip
def test_points_under_a_surface_have_its_height(name, other, height):
    data = kw.data.load(other)
    assert data.name == name and data.input_shape == (2,) and data.classes == ("height",)
    for split in (data.train, data.test):
        assert split.labels.shape == (500, 1) and split.labels.dtype == np.float32
        assert np.abs(split.images).max() <= 6 and np.abs(split.images).max(0).min() > 5.5
        expected = [height(x, y) for x, y in split.images.tolist()]
        np.testing.assert_allclose(split.labels[:, 0], expected, atol=1e-6)
    noisy = kw.data.surface(name, noise=0.5)
    assert (noisy.train.labels != data.train.labels).any()


def test_one_seed_makes_the_same():
    first, again, other = (kw.data.points("xor", seed=s).train.images.tobytes() for s in (1, 1, 2))
    assert first == again != other


def test_a_triangle_is_narrow_above_and_wide_below():
    data = kw.data.shapes((1, 40, 40), count=64, seed=0)
    assert data.classes == ("disc", "square", "triangle", "cross") and data.train.images.shape == (64, 1, 40, 40)
    assert data.train.images.min() >= 0 and data.train.images.max() <= 1 and len(data.test) == 16
    pictures = data.train.images[data.train.labels == 2, 0]
    for picture in pictures:
        rows = (picture > 0.65).sum(1)  # the ground is below 0.5, the triangle above 0.75, noise 0.05
        widths = rows[rows > 1]
        assert len(widths) > 8 and widths[: len(widths) // 3].mean() < widths[-(len(widths) // 3) :].mean()


def test_what_cannot_be_made():
    with pytest.raises(kw.data.DataError, match="no points called 'circel'"):
        kw.data.points("circel")
    with pytest.raises(kw.data.DataError, match="no surface called 'plain'; there are plane, bumps"):
        kw.data.surface("plain")
    with pytest.raises(kw.data.DataError, match=r"at least 8x8, not \(2,\)"):
        kw.data.shapes((2,))
    with pytest.raises(kw.data.DataError, match="circle is made and not read"):
        kw.data.load("circle", "/tmp")
