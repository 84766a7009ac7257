"""`kernelwright see attack`, `rubbish` and `transfer`: what the library gives, as lines and JSON; mistakes."""

import json

import command
import numpy as np
import pytest

import kernelwright as kw


def run(*arguments, code=0):
    return command.run("see", *arguments, code=code)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    model = kw.models.build("perceptron")
    kw.Trainer(model).fit(kw.data.digits(), 2, progress=False)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    model.save(path)
    return path


def test_smallest_and_universal_changes_are_those_of_the_library(weights, tmp_path):
    model, images = kw.load_model(weights), kw.data.digits().test.images[[3, 4]]
    wanted = {
        "lbfgs": kw.vision.lbfgs_attack(model, images),
        "universal": kw.vision.universal(model, images, 0.2).on(model, images),
    }
    for method, want in wanted.items():
        outcome = tmp_path / f"{method}.json"
        options = ("--network", "perceptron", "--weights", weights, "--method", method, "--epsilon", 0.2)
        run("attack", "digits:3", "digits:4", *options, "--json", outcome)
        said = json.loads(outcome.read_text())["images"]
        assert [each["after"] for each in said] == want.after.tolist()
        np.testing.assert_allclose([each["distortion"] for each in said], want.distortion, rtol=1e-4)


def test_noise_for_each_class(weights, tmp_path):
    image = pytest.importorskip("PIL.Image")
    out = tmp_path / "noise.png"
    done = run("rubbish", "--network", "perceptron", "--weights", weights, "--out", out)
    want = kw.vision.rubbish(kw.load_model(weights), (1, 28, 28), np.arange(10))
    assert done.stdout.count("\n") == 10 and f"confidence {want.confidence[7]:.4g}" in done.stdout.splitlines()[7]
    assert image.open(out).size == (2 * 112 + 12, 10 * 116 + 4)


def test_a_table_of_two_networks_and_the_nearest_neighbour(weights, tmp_path):
    outcome = tmp_path / "table.json"
    again = f"perceptron:{weights}"
    done = run("transfer", again, again, "--count", 20, "--method", "deepfool", "--json", outcome)
    said = json.loads(outcome.read_text())
    assert said["columns"] == ["perceptron", again, "nearest neighbour"] and said["images"] == 20
    data, model = kw.data.digits(), kw.load_model(weights)
    attack = kw.vision.deepfool(model, data.test.images[:20])
    error = (attack.after != data.test.labels[:20]).mean()
    np.testing.assert_allclose(np.array(said["errors"])[:2, :2], error)  # one network under two names
    np.testing.assert_allclose(said["distortions"][:2], attack.distortion.mean(), rtol=1e-4)
    assert len(done.stdout.splitlines()) == 4 and "gaussian noise" in done.stdout


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("transfer", "perceptron"), "is not NETWORK:WEIGHTS"),
        (("transfer", "perceptron:F", "--method", "gradient"), "--method is one of pgd"),
        (("attack", "digits:1", "--method", "universal", "--class", 2), "universal has no target"),
        (("rubbish", "--class", 12), "classes 0 to 9"),
    ],
)
def test_mistakes_are_one_line(weights, arguments, words):
    more = () if arguments[0] == "transfer" else ("--network", "perceptron", "--weights", weights)
    error = run(*arguments, *more, code=1).stderr
    assert words in error and error.count("\n") == 1
