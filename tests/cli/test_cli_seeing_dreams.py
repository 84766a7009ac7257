"""`kernelwright see unit` and `dream`: what is written is what the library makes, and mistakes are one line."""

import json

import numpy as np
import pytest
from command import run

import kernelwright as kw


def see(*arguments, code=0):
    """What is printed, or the error, of a network that was never trained."""
    done = run("see", *arguments, "--network", "lenet5", code=code)
    return done.stderr if code else done.stdout


def test_units(tmp_path):
    image = pytest.importorskip("PIL.Image")
    out, outcome = tmp_path / "units.png", tmp_path / "units.json"
    layers = ("--layer", "conv1", "--layer", "dense3", "--channel", 0, "--channel", 5)
    see("unit", *layers, "--basis", "fourier", "--steps", 12, "--rotate", 5, "--out", out, "--json", outcome)
    want, responses = kw.vision.unit(
        kw.models.build("lenet5", seed=0), (1, 28, 28), "dense3", 5, 12, 0.05, basis="fourier", rotate=5.0
    )
    said = json.loads(outcome.read_text())["images"]
    assert [each["image"] for each in said] == ["conv1:0", "conv1:5", "dense3:0", "dense3:5"]
    assert said[3]["response"] == pytest.approx(responses[-1], rel=1e-5)
    sheet = np.asarray(image.open(out))
    assert sheet.shape == (2 * 116 + 4, 2 * 116 + 4, 3)
    np.testing.assert_allclose(sheet[120:232:4, 120:232:4, 0] / 255, want[0], atol=0.005)


def test_a_dream_and_a_walk_into_it(tmp_path):
    image = pytest.importorskip("PIL.Image")
    photo, out, outcome = tmp_path / "photo.png", tmp_path / "dream.png", tmp_path / "dream.json"
    image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40), "uint8")).save(photo)
    options = ("--layer", "conv1", "--layer", "conv2", "--octaves", 2, "--steps", 2, "--size", 40, "--tile", 24)
    said = see("dream", photo, *options, "--guide", "digits:3", "--out", out, "--json", outcome)
    pixels = kw.vision.load_image(photo, (1, 40, 40), whole=True)
    net, guide = kw.models.build("lenet5", seed=0), kw.data.digits().test.images[3]
    want = kw.vision.dream(net, pixels, ["conv1", "conv2"], octaves=2, steps=2, guide=guide, tile=24)
    np.testing.assert_allclose(np.asarray(image.open(out))[..., 0] / 255, want[0], atol=0.005)
    (line,) = json.loads(outcome.read_text())["images"]
    assert (line["width"], line["height"]) == (40, 30) and f"{photo}: width 40, height 30, objective" in said
    said = see("dream", photo, *options, "--zoom", 3, "--out", tmp_path / "dream.gif")
    assert "frames 3" in said
    with image.open(tmp_path / "dream.gif") as file:
        assert file.n_frames == 3 and file.size == (40, 30)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("unit", "--layer", "conv1", "--channel", 6), "conv1 has channels 0 to 5, not 6"),
        (("unit", "--layer", "conv1", "--channel", 0, "--basis", "waves"), "--basis is one of pixels, fourier"),
        (("dream", "digits:1", "--layer", "conv1", "--zoom", 3, "--out", "dream.png"), "a file that ends in .gif"),
        (("dream", "digits:1", "--layer", "conv1", "--out", "dream.gif"), "a GIF is of --zoom FRAMES"),
    ],
)
def test_mistakes_are_one_line(arguments, words):
    error = see(*arguments, code=1)
    assert words in error and error.count("\n") == 1
