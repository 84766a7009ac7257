"""Dreams: the guide's objective by NumPy, tiles against the whole picture, a walk into a dream and its file."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.errors import InputError
from kernelwright.models.vision.ascent import Climb, Pixels
from kernelwright.models.vision.dream import Dreamer
from kernelwright.models.vision.features import several
from kernelwright.models.vision.pictures import enlarged, resized
from kernelwright.models.vision.shaken import Shaking
from kernelwright.models.vision.tiles import TiledAscent, spans

PHOTO = np.random.default_rng(0).random((1, 30, 40), "float32")


@pytest.fixture(scope="module")
def net():
    with kw.init.seeded(0):
        net = kw.nn.Sequential(
            kw.nn.Conv(4, 3, pad=1, name="first"),
            kw.relu,
            kw.nn.Conv(6, 3, pad=1, name="second"),
            kw.nn.Flatten(),
            kw.nn.Dense(3),
        )
        net(kw.input("x", (None, 1, 12, 12)))
    return net


def values_of(net, image, *names):
    x = kw.input("x", (1, *image.shape))
    return kw.compile([x], several(net, x, names)).run([image[None].astype("float32")])


def test_a_dream_excites_its_layer_and_stays_in_the_box(net):
    dreamt = kw.vision.dream(net, PHOTO, "second", octaves=2, steps=8)
    assert dreamt.shape == PHOTO.shape and dreamt.min() >= 0 and dreamt.max() <= 1
    before, after = (np.square(values_of(net, image, "second")[0]).mean() for image in (PHOTO, dreamt))
    assert after > 1.2 * before
    np.testing.assert_array_equal(dreamt, kw.vision.dream(net, PHOTO, "second", octaves=2, steps=8))
    assert not np.array_equal(dreamt, kw.vision.dream(net, PHOTO, "second", octaves=2, steps=8, seed=1))


def dreamer(net, layer, guide=None):
    return Dreamer("dream", net, layer, 1, 1.4, 1, 0.02, 0, guide, None, None, (0.0, 1.0), None)


@pytest.mark.parametrize("guided", [False, True])
def test_the_objective_is_the_docstrings(net, guided):
    guide = np.random.default_rng(1).random((1, 9, 14), "float32") if guided else None
    x = kw.input("x", (1, *PHOTO.shape))
    found = kw.compile([x], [dreamer(net, {"first": 0.3, "second": 2.0}, guide).objective(x)])(PHOTO[None])
    want = 0.0
    for name, weight in (("first", 0.3), ("second", 2.0)):
        (value,) = values_of(net, PHOTO, name)
        value = value[0].reshape(value.shape[1], -1).astype("float64")
        if guided:
            (aim,) = values_of(net, guide, name)
            products = value.T @ aim[0].reshape(len(value), -1)
            want += weight * products.max(1).mean() / len(value)
        else:
            want += weight * (value**2).mean()
    np.testing.assert_allclose(found, want, rtol=1e-5)


def test_a_list_of_layers_counts_alike(net):
    assert dreamer(net, ["first", "second"]).weights == {"first": 0.5, "second": 0.5}


def test_a_guide_draws_the_picture_to_what_is_seen_in_it(net):
    """A guide that is bright at its right edges: the products with its values come above those of a free dream."""
    guide = np.tile(np.arange(24) % 6 > 2, (20, 1)).astype("float32")[None]
    guided = kw.vision.dream(net, PHOTO, "second", octaves=1, steps=10, guide=guide)
    free = kw.vision.dream(net, PHOTO, "second", octaves=1, steps=10)

    def near(image):
        value, aim = (values_of(net, each, "second")[0][0].reshape(6, -1) for each in (image, guide))
        return (value.T @ aim).max(1).mean()

    assert near(guided) > near(PHOTO) and near(guided) > near(free)


@pytest.mark.parametrize("size, side, overlap", [((30, 40), 16, 4), ((17, 40), 20, 4), ((10, 23), 12, 5)])
def test_gradients_of_overlapping_tiles_are_those_of_the_whole_picture(net, size, side, overlap):
    """Two convolutions of 3 x 3: a value sees 5 x 5 pixels, so that an overlap of 4 leaves nothing of the edges."""
    picture = np.random.default_rng(2).random((1, *size), "float32")
    objective = dreamer(net, "second").objective
    whole = kw.input("whole", (1, *picture.shape))
    want = kw.compile([whole], [kw.grad(objective(whole), whole)])(picture[None])[0]
    tiled = TiledAscent(objective, Pixels(picture[None], (0.0, 1.0)), Climb("t", 0.1, Shaking("t")), side, overlap)
    _, found = tiled.gradient(picture)
    share = np.prod(tiled.tile) / np.prod(size)  # the objectives are means, over a tile and over the picture
    np.testing.assert_allclose(found * share, want, rtol=1e-4, atol=1e-8)
    assert tiled.tile == tuple(min(side, length) for length in size)


def test_without_overlap_gradients_differ_at_the_edges_of_tiles_alone(net):
    objective = dreamer(net, "second").objective
    whole = kw.input("whole", (1, *PHOTO.shape))
    want = kw.compile([whole], [kw.grad(objective(whole), whole)])(PHOTO[None])[0]
    tiled = TiledAscent(objective, Pixels(PHOTO[None], (0.0, 1.0)), Climb("t", 0.1, Shaking("t")), 20, 0)
    found = tiled.gradient(PHOTO)[1] * (20 * 20 / (30 * 40))
    wrong = np.abs(found - want)[0] > 1e-6
    columns = wrong[:8].any(0)  # rows of the first tiles, away from the next ones
    assert columns[16:24].any() and not columns[:16].any() and not columns[24:].any()


def test_the_parts_that_count_cover_an_axis_once():
    assert spans(10, 12, 2) == [(0, 0, 10)]
    assert spans(12, 12, 2) == [(0, 0, 12)]
    assert spans(20, 12, 2) == [(0, 0, 10), (8, 10, 20)]
    assert spans(23, 10, 0) == [(0, 0, 10), (10, 10, 16), (13, 16, 23)]
    for length in range(10, 60):
        parts = spans(length, 10, 3)
        assert [first for _, first, _ in parts] == [0, *(last for _, _, last in parts[:-1])] and parts[-1][2] == length
        for start, first, last in parts:
            assert start >= 0 and start + 10 <= length
            assert (first == 0 or first - start >= 3) and (last == length or start + 10 - last >= 3)


def test_a_tiled_dream_excites_its_layer(net):
    seen = []
    options = {"octaves": 2, "steps": 4, "tile": 24, "every": 2}
    dreamt = kw.vision.dream(net, PHOTO, "second", **options, shown=lambda *told: seen.append(told))
    assert [step for step, _, _ in seen] == [2, 4, 6, 8]
    assert [picture.shape for _, picture, _ in seen] == [(1, 21, 29)] * 2 + [(1, 30, 40)] * 2
    before, after = (np.square(values_of(net, image, "second")[0]).mean() for image in (PHOTO, dreamt))
    assert after > 1.1 * before
    np.testing.assert_array_equal(dreamt, kw.vision.dream(net, PHOTO, "second", **options))


def test_the_overlap_is_as_far_as_a_layer_sees(net):
    assert dreamer(net, "first")._overlap(1, 40) == 2
    assert dreamer(net, ["first", "second"])._overlap(1, 40) == 4
    assert dreamer(net, ["first", "second"])._overlap(1, 12) == 3  # a quarter at most


def test_a_zoom_is_dreams_of_enlarged_dreams(net):
    frames = kw.vision.zoom(net, PHOTO, "second", frames=3, factor=1.1, octaves=1, steps=2, jitter=0)
    first = kw.vision.dream(net, PHOTO, "second", octaves=1, steps=2, jitter=0)
    second = kw.vision.dream(net, enlarged(first, 1.1), "second", octaves=1, steps=2, jitter=0)
    assert frames.shape == (3, *PHOTO.shape) and frames.dtype == np.float32
    np.testing.assert_array_equal(frames[0], first)
    np.testing.assert_array_equal(frames[1], second)


def test_an_animation_has_all_frames(tmp_path):
    image = pytest.importorskip("PIL.Image")
    frames = np.linspace(0, 1, 5)[:, None, None, None] * np.ones((1, 3, 8, 10))
    kw.vision.save_animation(tmp_path / "a.gif", frames, milliseconds=50, scale=2)
    with image.open(tmp_path / "a.gif") as file:
        assert (file.format, file.n_frames, file.size, file.info["duration"]) == ("GIF", 5, (20, 16), 50)
        for place in range(5):
            file.seek(place)
            np.testing.assert_allclose(np.asarray(file.convert("RGB")), 255 * place / 4, atol=1)


def test_pictures_between_pixels():
    row = np.array([[[0.0, 1.0]]], "float32")
    np.testing.assert_allclose(resized(row, (1, 4))[0, 0], [0, 0.25, 0.75, 1])
    np.testing.assert_allclose(resized(row, (2, 1))[0, :, 0], [0.5, 0.5])
    ramp = np.linspace(0, 1, 9, dtype="float32").reshape(1, 3, 3)
    np.testing.assert_array_equal(resized(ramp, (3, 3)), ramp)
    np.testing.assert_allclose(enlarged(ramp, 2.0), 0.5 + (ramp - 0.5) / 2, atol=1e-7)


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"scale": 1.0}, ValueError, "scale is above 1"),
        ({"layer": []}, ValueError, "has to name a layer"),
        ({"layer": {"second": -1}}, ValueError, "layer, second, is a number of at least 0"),
        ({"layer": "secnd"}, ValueError, "did you mean 'second'"),
        ({"tile": 16, "overlap": 8}, ValueError, "overlap is less than half the tile, 16, not 8"),
        ({"guide": PHOTO[None]}, InputError, "a picture is"),
        ({"guide": np.zeros((1, 9, 9), "float32"), "layer": "relu1"}, InputError, "0 throughout for the guide"),
        ({"image": PHOTO[None]}, InputError, "a picture is"),
    ],
)
def test_mistakes_are_named(net, options, error, words):
    with pytest.raises(error, match=words):
        kw.vision.dream(**{"network": net, "image": PHOTO, "layer": "second", "steps": 1, **options})


def test_a_dense_layer_is_not_tiled(net):
    flat = kw.nn.Sequential(kw.nn.Flatten(), kw.nn.Dense(3))
    with pytest.raises(ValueError, match="with tile a layer has height and width"):
        kw.vision.dream(flat, PHOTO, "dense1", octaves=1, tile=16)
    with pytest.raises(ValueError, match="factor is at least 1"):
        kw.vision.zoom(net, PHOTO, "second", factor=0.9)
