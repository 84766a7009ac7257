"""Augmentation as text, and dilation and erosion against their definition in NumPy."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models.checks import SettingError
from kernelwright.models.images import filters, named, steps

im = kw.images
RNG = np.random.default_rng(4)


def neighbourhoods(images, radius, beyond):
    """(n, c, h, w, k) all pixels of the square around each, `beyond` outside of the picture."""
    around = np.pad(images, [(0, 0), (0, 0), (radius, radius), (radius, radius)], constant_values=beyond)
    side = 2 * radius + 1
    return np.lib.stride_tricks.sliding_window_view(around, (side, side), (2, 3)).reshape(*images.shape, -1)


@pytest.mark.parametrize("radius", [0, 1, 2, 7])
@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_dilation_and_erosion_are_the_extremes_of_the_square(radius, device):
    images = RNG.normal(size=(2, 3, 5, 8)).astype("float32")  # radius 7 reaches over the whole picture
    x = kw.input("x", (None, 3, 5, 8))
    grown, shrunk = kw.compile([x], [filters.dilate(x, radius), filters.erode(x, radius)], device=device)(images)
    np.testing.assert_array_equal(grown, neighbourhoods(images, radius, -np.inf).max(-1))
    np.testing.assert_array_equal(shrunk, neighbourhoods(images, radius, np.inf).min(-1))


def test_a_stroke_grows_and_shrinks_by_hand():
    stroke = np.zeros((1, 1, 3, 7), "float32")
    stroke[..., 1, 2:5] = 1
    x = kw.input("x", (None, 1, 3, 7))
    grown, shrunk = kw.compile([x], [filters.dilate(x), filters.erode(x)], device="reference")(stroke)
    assert grown[0, 0].tolist() == [[0, 1, 1, 1, 1, 1, 0]] * 3 and not shrunk.any()
    with pytest.raises(SettingError, match=r"dilate: radius is a whole number of at least 0, not 1.5"):
        filters.dilate(x, 1.5)


def test_steps_change_the_part_of_the_images_that_p_says():
    images = RNG.random((400, 1, 4, 4), dtype="float32")
    x = kw.input("x", (None, 1, 4, 4))
    both = kw.compile([x], [filters.dilate(x), filters.erode(x)], device="reference")(images)
    for kind, changed in zip((im.Dilate, im.Erode), both, strict=True):
        got = im.Augment(kind(p=0.3)).compile((1, 4, 4), device="reference")(images)
        which = (got == changed).all((1, 2, 3))
        np.testing.assert_array_equal(got, np.where(which[:, None, None, None], changed, images))
        assert 80 < which.sum() < 160  # 120 are expected, of deviation 9
    with pytest.raises(SettingError, match="Erode: radius is a whole number of at least 1, not 0"):
        im.Erode(0)


@pytest.mark.parametrize("text, made", [
    ("rotate=10,scale=0.1,flip", "Augment(Rotate(10), Scale(0.1), Flip())"),
    ("crop=32:padding=4, flip", "Augment(Crop(32, padding=4), Flip())"),
    ("rotate=-5..10", "Augment(Rotate((-5, 10)))"),
    ("translate=2:whole=false,fill=edge", 'Augment(Translate(2, whole=False), fill="edge")'),
    ("hue=20,saturation=0.4:limits=none,fill=0.5", "Augment(Hue(20), Saturation(0.4, None), fill=0.5)"),
    ("dilate,erode=2:p=0.25,cutout=8", "Augment(Dilate(), Erode(2, 0.25), Cutout(8))"),
    ("brightness=0.4,contrast=0.5..2", "Augment(Brightness(0.4), Contrast((0.5, 2)))"),
])  # fmt: skip
def test_text_is_the_augmentation_that_it_names(text, made):
    assert repr(im.augmentation(text)) == repr(eval(made, vars(im)))


def test_lighting_is_measured_on_the_images():
    images = RNG.random((5, 3, 4, 4))
    (step,) = im.augmentation("lighting=0.2", images).steps
    want = im.colour_pca(images)
    assert step.std == 0.2
    np.testing.assert_array_equal(step.pca.axes, want.axes)
    with pytest.raises(SettingError, match="lighting moves along the colours of a data set in memory"):
        im.augmentation("lighting")


def test_every_step_has_a_name():
    kinds = {each for each in vars(steps).values() if isinstance(each, type) and issubclass(each, steps.Step)}
    assert set(named.STEPS.values()) == {
        kind for kind in kinds - {steps.Step, steps.Geometric, steps.Colouring} if not kind.__name__.startswith("_")
    }


@pytest.mark.parametrize("text, words", [
    ("rotat=10", "there is no step 'rotat'; did you mean 'rotate'"),
    ("blur=2", "there is no step 'blur'; there are translate, flip, "),
    ("crop=32:paddin=4", "crop has no setting 'paddin'; did you mean 'padding'"),
    ("rotate", "rotate needs its degrees, as in rotate=4"),
    ("rotate=ten", "Rotate: degrees: one number, or two, not 'ten'"),
    (" , ", "names no step"),
])  # fmt: skip
def test_what_is_not_known_is_an_error_with_the_nearest(text, words):
    with pytest.raises(SettingError, match=words):
        im.augmentation(text)
