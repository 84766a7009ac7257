"""`kernelwright train --recipe`, `--augment` and `kernelwright recipes`: what wins, what is kept, what is shown."""

import json

import command
import pytest

import kernelwright as kw
from kernelwright.models import recipe_files
from kernelwright.runtime import checkpoint

MINE = """network = "mlp1986"
data = "digits"
epochs = 1
batch = 250
validation = 0.2
augment = "translate=1"

[optimizer]
name = "SGD"
momentum = 0.5

[schedule]
name = "constant"
learning_rate = 0.2

[loss]
name = "cross_entropy"
"""


def run(*arguments, code=0):
    done = command.run(*arguments, code=code)
    return " ".join((done.stderr if code else done.stdout).replace("│", " ").split())


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "mine.toml").write_text(MINE)
    path = folder / "run.safetensors"
    options = ("--batch", 100, "--device", "reference", "-q", "--checkpoint", path)
    run("train", "mlp1986", "--recipe", folder / "mine.toml", *options)
    return path


def test_a_run_is_as_the_recipe_says_and_options_win(saved):
    said = checkpoint.load(saved)[1]
    assert said["notes"] == {"recipe": "mine", "data": "digits", "validation": 0.2, "augment": "translate=1"}
    assert said["batch"] == 100 and said["data"]["examples"] == 6800  # the option's batch; 0.8 of 8,500 digits
    assert said["optimizer"]["options"]["momentum"] == 0.5 and said["plan"]["recipe"]["loss"] == "cross_entropy"
    assert said["augment"].startswith("Augment(Translate(pixels=1")


def test_a_resumed_run_says_what_it_has_and_goes_on_with_it(saved, tmp_path):
    out = tmp_path / "out.json"
    words = run("train", "mlp1986", "--device", "reference", "--resume", saved, "--epochs", 2, "--json", out)
    assert (
        "1 epochs done, batch 100, seed 0, SGD 0.2, recipe mine, data digits, validation 0.2, augment transl" in words
    )
    assert [line["learning_rate"] for line in json.loads(out.read_text())["history"]] == pytest.approx([0.2, 0.2])
    for option, value in (("--augment", "flip"), ("--recipe", "mlp-mnist"), ("--data", "mnist")):
        assert f"{option} {value} contradicts" in run("train", "mlp1986", "--resume", saved, option, value, code=2)


@pytest.mark.parametrize("options, words", [
    (("lenet5", "--recipe", "mlp-mnist"), "the recipe mlp-mnist trains mlp, not lenet5"),
    (("lenet5", "--recipe", "lenet5-mnits"), "did you mean 'lenet5-mnist'"),
    (("lenet5", "--augment", "rotat=3"), "there is no step 'rotat'; did you mean 'rotate'"),
    (("lenet5", "--augment", "crop=20"), "it has to keep their shape"),
])  # fmt: skip
def test_what_is_wrong_is_one_message(options, words):
    assert words in run("train", *options, code=2)


def test_recipes_are_listed_and_printed(tmp_path):
    out = tmp_path / "out.json"
    listed = run("recipes", "--json", out)
    assert json.loads(out.read_text())["recipes"] == recipe_files.names()
    assert "lenet5-mnist 10 epochs of batch 64, SGD 0.1, cosine, cross_entropy" in listed
    assert run("recipes", "lenet5-mnist").startswith("# LeNet-5 as taught today")
    assert "did you mean 'lenet5-mnist'" in run("recipes", "lenet5-mnits", code=1)


def test_networks_for_other_data_than_digits_train_on_what_is_made():
    words = run("train", "playground", "--device", "reference", "-q", "--epochs", 20)
    assert words.startswith("playground on circle: test accuracy") and float(words.split()[5].rstrip("%")) > 95


def test_label_smoothing_wins_over_the_recipe_and_is_refused_beside_another_loss(tmp_path):
    recipe, path = tmp_path / "smooth.toml", tmp_path / "run.safetensors"
    recipe.write_text(recipe_files.text("playground-circle") + "label_smoothing = 0.2\n")
    train, asked = ("train", "playground", "--device", "reference", "-q"), ("--label-smoothing", 0.1)
    run(*train, "--recipe", recipe, "--epochs", 1, *asked, "--checkpoint", path)
    said = checkpoint.load(path)[1]
    assert said["label_smoothing"] == 0.1 and said["plan"]["recipe"]["loss_options"] == {"label_smoothing": 0.1}
    model = kw.models.playground()
    assert kw.Trainer.resume(path, model, device="reference").loss == kw.losses.CrossEntropy(0.1)
    run(*train, "--resume", path, "--epochs", 2, *asked)
    words = run(*train, "--resume", path, "--label-smoothing", 0, code=1)
    assert f"--label-smoothing 0.0 contradicts {path}, whose run had 0.1" in words
    words = run("train", "svm", *asked, code=2)
    assert "--label-smoothing 0.1 is for a cross-entropy, and this run trains by hinge" in words
    assert "--label-smoothing is a number that lies in [0, 1), not 1.5" in run(*train, "--label-smoothing", 1.5, code=2)


@pytest.mark.parametrize("data, loss", [("plane", 0.001), ("reg-gauss", 0.05)])
def test_the_playground_learns_surfaces(data, loss, tmp_path):
    path, out, best = (tmp_path / name for name in ("run.safetensors", "out.json", "best.safetensors"))
    options = ("--threads", 1, "-q", "--epochs", 100, "--checkpoint", path, "--json", out, "--best", best)
    words = run("train", "playground", "--data", data, *options)
    assert words.startswith(f"playground on {data}: test loss 0.0")
    assert json.loads(out.read_text())["test_loss"] < loss  # the mean for every point: 0.22 and 0.09
    run("train", "playground", "--threads", 1, "-q", "--resume", path, "--epochs", 101)
    words = run("evaluate", "playground", "--weights", path, "--data", data, "--device", "reference", code=1)
    assert "playground gives a number here, and only classifiers are judged" in words
    words = run("train", "playground", "--recipe", "playground-circle", "--data", data, code=1)
    assert "labels are integers, one per image, not float32" in words
