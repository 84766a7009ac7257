"""`kernelwright see` as a user meets it: lines, pictures, JSON, and mistakes in one line."""

import json

import command
import numpy as np
import pytest

import kernelwright as kw


def run(*arguments, code=0):
    return command.run("see", *arguments, "--network", "lenet5", code=code)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    model = kw.models.build("lenet5")
    trainer = kw.Trainer(model)
    trainer.fit(kw.data.digits(), 2, progress=False)
    folder = tmp_path_factory.mktemp("weights")
    model.save(folder / "model.safetensors")
    trainer.save(folder / "run.safetensors")
    return folder


def test_maps_of_images_in_a_test_set_and_in_files(weights, tmp_path):
    image = pytest.importorskip("PIL.Image")
    digit = kw.data.digits().test.images[7]
    file, out, outcome = tmp_path / "seven.png", tmp_path / "map.png", tmp_path / "out.json"
    image.fromarray((digit[0] * 255).astype("uint8")).save(file)
    model = kw.load_model(weights / "model.safetensors")
    options = ("--weights", weights / "model.safetensors", "--out", out, "--json", outcome)
    done = run("saliency", "digits:7", file, *options, "--method", "gradient")
    want = kw.vision.attribute(model, digit[None], method="gradient")
    said = json.loads(outcome.read_text())
    assert said["network"] == "lenet5" and [each["class"] for each in said["images"]] == [int(want.classes[0])] * 2
    np.testing.assert_allclose([each["score"] for each in said["images"]], want.scores[0], rtol=1e-4)
    assert f"digits:7: class {want.classes[0]}, score" in done.stdout
    sheet = np.asarray(image.open(out))
    side = 28 * 4
    assert sheet.shape == (2 * side + 12, 2 * side + 12, 3)
    np.testing.assert_array_equal(sheet[4 : 4 + side : 4, 4 : 4 + side : 4, 0], np.rint(digit[0] * 255))
    drawn = kw.vision.heat_map(want.maps[0], digit).transpose(1, 2, 0)
    np.testing.assert_allclose(sheet[4 : 4 + side : 4, side + 8 : -4 : 4] / 255, drawn, atol=0.01)


def test_a_checkpoint_serves_and_an_attack_keeps_its_bound(weights, tmp_path):
    outcome = tmp_path / "out.json"
    run("attack", "digits:3", "digits:4", "--weights", weights / "run.safetensors", "--epsilon", 0.2, "--json", outcome)
    for each, label in zip(json.loads(outcome.read_text())["images"], kw.data.digits().test.labels[3:5], strict=True):
        assert 0.1 < each["linf"] <= 0.2 and each["after"] != label


def test_style_and_inversion_of_a_network_that_was_never_trained(tmp_path):
    image = pytest.importorskip("PIL.Image")
    photo, out, outcome = tmp_path / "photo.png", tmp_path / "made.png", tmp_path / "out.json"
    image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), "uint8")).save(photo)
    layers = ("--layer", "conv1", "--layer", "conv2", "--steps", 3, "--out", out, "--json", outcome)
    run("style", photo, "--style", "digits:3", "--style", photo, *layers, "--size", 24, "--style-weight", 10)
    (said,) = json.loads(outcome.read_text())["images"]
    assert said["loss"] < said["before"]
    assert np.asarray(image.open(out)).shape == (16, 24, 3)
    run("invert", "digits:3", "digits:4", *layers)
    assert [set(each) for each in json.loads(outcome.read_text())["images"]] == [{"image", "conv1", "conv2"}] * 2
    side = 28 * 4
    assert np.asarray(image.open(out)).shape == (2 * (side + 4) + 4, 3 * (side + 4) + 4, 3)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("gradcam", "digits:1", "--layer", "conv9"), "there is no layer 'conv9'"),
        (("saliency", "digits:1", "--method", "fgsm"), "--method is one of saliency, gradient"),
        (("attack", "digits:1", "--method", "gradient"), "--method is one of pgd"),
        (("style", "digits:1", "--style", "digits:2", "--layer", "conf1"), "did you mean 'conv1'"),
        (("invert", "digits:1", "--layer", "conv1", "--method", "sgd"), "--method is one of lbfgs, adam"),
        (("saliency", "digits:5000"), "images 0 to 999"),
        (("saliency", "digits:1", "--class", 12), "classes 0 to 9"),
    ],
)
def test_mistakes_are_one_line(weights, arguments, words):
    error = run(*arguments, "--weights", weights / "model.safetensors", code=1).stderr
    assert words in error and error.count("\n") == 1
