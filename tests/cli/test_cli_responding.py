"""`kernelwright see filters`, `exciting`, `deconv`, `distort`, `untangle` and `nearest`: what is said is what the
library finds."""

import json

import command
import numpy as np
import pytest

import kernelwright as kw

DIGITS = kw.data.digits().test


@pytest.fixture(scope="module")
def model():
    model = kw.models.build("lenet5")
    kw.Trainer(model).fit(kw.data.digits(), 1, progress=False)
    return model


@pytest.fixture(scope="module")
def see(model, tmp_path_factory):
    """(arguments) -> (what is printed, the outcome, the sheet of pictures)."""
    folder = tmp_path_factory.mktemp("seen")
    model.save(folder / "model.safetensors")

    def run(*arguments, code=0, keeps=True):
        out, outcome = folder / "out.png", folder / "out.json"
        given = ["see", *arguments, "--network", "lenet5", "--weights", folder / "model.safetensors", "--out", out]
        done = command.run(*given, *["--json", outcome] * keeps, code=code)
        if code:
            return done.stderr
        image = pytest.importorskip("PIL.Image")
        return done.stdout, json.loads(outcome.read_text()) if keeps else None, np.asarray(image.open(out))

    return run


def test_filters(see):
    said, _, sheet = see("filters", "--layer", "conv2", keeps=False)
    assert said == "conv2: 16 filters of 6x5x5 weights\n"
    assert sheet.shape == (16 * 114 + 4, 6 * 114 + 4, 3)  # 22 times 5 pixels, and 4 between


def test_exciting_images_and_their_projections(see, model):
    want = kw.vision.exciting(model, DIGITS.images[:200], "avgpool2", 3, 4)
    said, outcome, _ = see("exciting", "digits", "--layer", "avgpool2", "--channel", 3, "--count", 4, "--among", 200)
    assert [each["image"] for each in outcome["images"]] == [f"digits:{i}" for i in want.indices]
    assert outcome["images"][0]["rows"] == [want.fields[0][0].start, want.fields[0][0].stop]
    assert said.count("\n") == 4
    names = [each["image"] for each in outcome["images"]]
    _, outcome, _ = see("deconv", *names, "--layer", "avgpool2", "--channel", 3)
    np.testing.assert_allclose([each["value"] for each in outcome["images"]], want.values, rtol=1e-4)
    assert [each["position"] for each in outcome["images"]] == want.positions.tolist()


def test_distortions(see, model):
    want = kw.vision.distort(model, DIGITS.images[7], "rotate", [-30, 0, 30])
    said, outcome, _ = see("distort", "digits:7", "--kind", "rotate", "--amounts", "-30,0,30")
    np.testing.assert_allclose(outcome["curves"][0]["probability"], want.confidence, atol=1e-4)
    assert outcome["curves"][0]["amounts"] == [-30, 0, 30]
    assert f"digits:7: class {want.label}, answered {(want.answers == want.label).sum()} of 3" in said


@pytest.mark.slow
def test_untangling(see, model):
    want = kw.vision.untangling(model, DIGITS.images[:200], DIGITS.labels[:200])
    said, outcome, _ = see("untangle", "digits", "--among", 200)
    assert [each["layer"] for each in outcome["layers"]] == list(want.layers)
    np.testing.assert_allclose([each["held_out"] for each in outcome["layers"]], want.held_out, atol=0.04)
    assert said.splitlines()[0].split()[:2] == ["pixels", "784"]


def test_nearest(see):
    _, outcome, sheet = see("nearest", "digits:5", "--data", "digits", "--layer", "dense2", "--among", 50, "--count", 3)
    (line,) = outcome["images"]
    far = np.linalg.norm((DIGITS.images[:50] - DIGITS.images[5]).reshape(50, -1), axis=1)
    assert line["by_pixels"] == far.argsort()[:3].tolist() and line["by_features"][0] == 5
    assert sheet.shape == (2 * 116 + 4, 4 * 116 + 4, 3)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("exciting", "digits", "--layer", "conv1", "--channel", 6), "channel of conv1 is a whole number from 0 to 5"),
        (("distort", "digits:1", "--kind", "shear"), "--kind is one of translate_x"),
        (("distort", "digits:1", "--amounts", "1,two"), "--amounts are numbers with commas between"),
    ],
)
def test_mistakes_are_one_line(see, arguments, words):
    error = see(*arguments, code=1)
    assert words in error and error.count("\n") == 1


def test_another_ending_is_refused_before_the_weights_are_read(tmp_path):
    given = ("untangle", "digits", "--network", "lenet5", "--weights", tmp_path / "none")
    done = command.run("see", *given, "--out", tmp_path / "curve.gif", code=1)
    assert "the file ends in .png, .svg, .pdf, not" in done.stderr
