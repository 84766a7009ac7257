"""Augment: what each step draws, the order of steps, reproducibility, and training with it inside the program."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models.images import geometry as g
from kernelwright.models.layer import LayerError
from kernelwright.runtime.checkpoint import CheckpointError

im = kw.images
RNG = np.random.default_rng(2)
IMAGES = RNG.random((40, 3, 8, 9), dtype="float32")
ALL = (
    im.Crop((8, 9), padding=1),
    im.Translate(2),
    im.Flip(vertical=True),
    im.Rotate(15),
    im.Scale(0.1, separate=True),
    im.Shear(10),
    im.Brightness(0.3),
    im.Contrast(0.3),
    im.Saturation(0.3),
    im.Hue(20),
    im.Lighting(im.colour_pca(IMAGES)),
    im.Cutout(3),
)

SOME = (im.Translate(2), im.Flip(), im.Rotate(15), im.Brightness(0.3), im.Cutout(3))


def reference(*steps, images=IMAGES, **options):
    return im.Augment(*steps, **options).compile(images.shape[1:], device="reference")(images)


def test_same_seed_same_images_on_any_device_and_threads():
    first = [im.Augment(*SOME, seed=3).compile((3, 8, 9), threads=n) for n in (1, 2, 3)]
    runs = [[p(IMAGES) for _ in range(2)] for p in first]
    for other in runs[1:]:
        assert all((a == b).all() for a, b in zip(runs[0], other))
    assert abs(runs[0][0] - runs[0][1]).max() > 0.1  # the second run draws anew
    np.testing.assert_allclose(reference(*SOME, seed=3), runs[0][0], atol=2e-4)
    assert abs(reference(*SOME, seed=4) - runs[0][0]).max() > 0.1
    assert abs(runs[0][0][0] - runs[0][0][1]).max() > 0.1  # images are changed apart
    again = im.Augment(*SOME, seed=3)
    assert (again(IMAGES) == runs[0][0]).all() and (again(IMAGES) == runs[0][1]).all()


@pytest.mark.slow
def test_every_step_compiled_is_what_numpy_makes_of_it():
    np.testing.assert_allclose(im.Augment(*ALL, seed=5)(IMAGES), reference(*ALL, seed=5), atol=2e-4)


def test_steps_that_cannot_change_anything_do_not():
    still = (im.Translate(0), im.Flip(p=0), im.Rotate(0), im.Scale(0.0), im.Shear(0), im.Crop((8, 9)))
    colours = (im.Brightness(0.0), im.Contrast(0.0), im.Saturation(0.0), im.Hue(0.0), im.Lighting(ALL[-2].pca, std=0.0))
    assert (reference(*still) == IMAGES).all()
    assert (reference() == IMAGES).all()
    np.testing.assert_allclose(reference(*colours), IMAGES, atol=1e-6)


def test_every_whole_move_comes_up_and_no_other():
    picture = np.arange(1.0, 31, dtype="float32").reshape(1, 1, 5, 6)
    many = np.repeat(picture, 300, 0)
    seen = {x.tobytes() for x in reference(im.Translate((1, 2)), images=many)}
    want = {}
    for down in range(-1, 2):
        for right in range(-2, 3):
            moved = np.pad(picture[0, 0], 2)[2 - down : 7 - down, 2 - right : 8 - right]
            want[np.ascontiguousarray(moved).tobytes()] = (down, right)
    assert seen == set(want)
    mirrored = reference(im.Flip(), images=many)
    turned = (mirrored == picture[..., ::-1]).all((1, 2, 3))
    assert 100 < turned.sum() < 200 and (mirrored[~turned] == picture).all()
    crops = reference(im.Crop(3), images=many)
    assert crops.shape == (300, 1, 3, 3)
    assert {int(c[0, 0, 0]) for c in crops} == {1 + 6 * i + j for i in range(3) for j in range(4)}


def test_ranges_are_filled():
    flat = np.full((400, 1, 2, 2), 0.5, "float32")
    bright = reference(im.Brightness((0.6, 1.4)), images=flat)[:, 0, 0, 0]
    assert 0.3 <= bright.min() < 0.31 and 0.69 < bright.max() <= 0.7
    loud = reference(im.Brightness((1.0, 3.0)), images=flat)
    assert loud.max() == 1.0 and reference(im.Brightness((1.0, 3.0), None), images=flat).max() > 1.4
    ones = np.ones((400, 1, 8, 8), "float32")
    holes = 64 - reference(im.Cutout(4), images=ones).sum((1, 2, 3))
    assert holes.max() == 16 and holes.min() == 4
    for part in (0, 1):  # along the first principal colour most, by its standard deviation
        pca = im.ColourPCA(np.array([4.0, 1.0, 0.0]), np.eye(3))
        black = np.zeros((2000, 3, 1, 1), "float32")
        shift = reference(im.Lighting(pca, 0.1, ("deviation", "variance")[part]), images=black)[:, :, 0, 0]
        np.testing.assert_allclose(shift.std(0), [[0.2, 0.1, 0], [0.4, 0.1, 0]][part], rtol=0.1)


def test_geometry_between_colours_is_one_warp_in_the_order_given():
    """A move out and back keeps the picture; with a change of colour between, two warps lose the rim."""
    out, back = Fixed(g.translation(3, 0)), Fixed(g.translation(-3, 0))
    assert (reference(out, back) == IMAGES).all()
    apart = reference(out, im.Brightness(0.0), back)
    assert (apart[..., :6] == IMAGES[..., :6]).all() and (apart[..., 6:] == 0).all()
    turned = Fixed(g.rotation(30.0, (8, 9)))
    x = kw.input("x", IMAGES.shape)
    want = kw.compile([x], g.warp(x, g.rotation(30.0, (8, 9)).then(g.translation(3, 0))), device="reference")(IMAGES)
    np.testing.assert_allclose(reference(turned, out), want, atol=1e-6)
    assert abs(reference(out, turned) - want).max() > 0.1


class Fixed(im.steps.Geometric):
    """A user's own step."""

    def __init__(self, affine):
        self.map = affine

    def affine(self, draw, size):
        return self.map


def test_inference_leaves_images_and_crops_the_middle():
    layer = im.Augment(*ALL)
    x = kw.input("x", (None, 3, 8, 9))
    assert layer(x, training=False) is x
    cropped = im.Augment(im.Crop((4, 5)), im.Flip())(x, training=False)
    assert (kw.compile([x], cropped, device="reference")(IMAGES) == IMAGES[:, :, 2:6, 2:7]).all()


def test_misuse_names_the_step():
    for error, f in [
        ("Translate.*whole.*1.5", lambda: im.Translate(1.5)),
        ("Flip: p.*1.5", lambda: im.Flip(p=1.5)),
        ("Rotate: degrees.*nan", lambda: im.Rotate(float("nan"))),
        ("Rotate: degrees: one number, or two", lambda: im.Rotate((1, 2, 3))),
        ("Scale: factors are above 0.*1.0", lambda: im.Scale(1.0)),
        ("Shear.*90", lambda: im.Shear(90)),
        ("Crop: size.*0", lambda: im.Crop(0)),
        ("Brightness: factors.*2", lambda: im.Brightness(2)),
        (r"limits.*\(1, 0\)", lambda: im.Contrast(0.1, (1, 0))),
        ("Cutout.*0", lambda: im.Cutout(0)),
        ("Lighting.*loud", lambda: im.Lighting(ALL[-2].pca, by="loud")),
        ("takes steps such as.*not 'flip'", lambda: im.Augment("flip")),
        ("fill is a number.*'mirror'", lambda: im.Augment(fill="mirror")),
        ("seed.*-1", lambda: im.Augment(seed=-1)),
        (r"uint8 \(2, 3, 8, 9\).*255", lambda: im.Augment()(np.zeros((2, 3, 8, 9), "uint8"))),
        (r"Crop: \(20, 20\).*\(8, 9\)", lambda: im.Augment(im.Crop(20))(IMAGES)),
    ]:
        with pytest.raises((ValueError, LayerError), match=error):
            f()


# ---------------------------------------------------------------- training


def model():
    net = kw.nn.Sequential(kw.nn.Conv(3, 3), kw.relu, kw.nn.Flatten(), kw.nn.Dense(4))
    return kw.models.Model("tiny", net, (1, 8, 8), 4)


DATA = (RNG.random((50, 1, 8, 8), dtype="float32"), RNG.integers(0, 4, 50).astype("int32"))


def trainer(augment=True, **options):
    steps = im.Augment(im.Translate(1), im.Brightness(0.2), seed=7) if augment else None
    return kw.Trainer(model(), kw.optim.SGD(0.1), batch=16, augment=steps, **options)


def weights(t):
    return [kw.get_value(p) for p in t.model.parameters()]


def test_a_training_step_sees_what_the_augmentation_makes_of_the_batch():
    t, plain = trainer(), trainer(False, device="reference")
    changed = im.Augment(im.Translate(1), im.Brightness(0.2), seed=7).compile((1, 8, 8), "reference")(DATA[0][:16])
    assert abs(changed - DATA[0][:16]).max() > 0.1
    assert t.step(DATA[0][:16], DATA[1][:16]) == pytest.approx(plain.step(changed, DATA[1][:16]), rel=1e-5)
    for a, b in zip(weights(t), weights(plain)):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_training_with_it_has_the_same_bits_on_any_threads_and_after_a_checkpoint(tmp_path):
    whole = trainer(threads=1)
    whole.fit(DATA, epochs=3, progress=False)
    parts = trainer(threads=1)
    parts.fit(DATA, epochs=1, progress=False)
    parts.save(tmp_path / "a")
    resumed = kw.Trainer.resume(tmp_path / "a", model(), threads=1, augment=trainer().augment)
    resumed.fit(DATA, epochs=3, progress=False)
    assert all((a == b).all() for a, b in zip(weights(whole), weights(resumed)))
    state = [kw.get_value(v) for v in resumed.augment.buffers()]
    assert [s.tolist() for s in state] == [[7, 12]]  # four steps an epoch, one draw each


def test_a_checkpoint_wants_the_same_augmentation(tmp_path):
    t = trainer(device="reference")
    t.save(tmp_path / "a")
    with pytest.raises(CheckpointError, match=r"written with augment=Augment\(Translate.*not augment=None"):
        kw.Trainer.resume(tmp_path / "a", model())


def test_the_trainer_refuses_what_is_no_augmentation_or_changes_the_shape():
    with pytest.raises(ValueError, match=r"kw.images.Augment\(...\), not 'flip'"):
        kw.Trainer(model(), augment="flip")
    with pytest.raises(ValueError, match=r"\(batch, 1, 4, 4\) of the model's \(batch, 1, 8, 8\)"):
        kw.Trainer(model(), augment=im.Augment(im.Crop(4)))
