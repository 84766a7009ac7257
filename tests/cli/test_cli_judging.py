"""`kernelwright evaluate` and `kernelwright predict`: what they print and write, and one line for what is wrong."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import command
import numpy as np
import pytest

import kernelwright as kw


def run(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    return command.run(*arguments, "--device", "reference", code=code)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a perceptron trained a little, as a model's file and as a run's checkpoint."""
    folder = tmp_path_factory.mktemp("saved")
    trainer = kw.Trainer(kw.models.perceptron(), device="reference")
    trainer.fit(kw.data.digits().train.subset(2000), 2, progress=False)
    trainer.model.save(folder / "model")
    trainer.save(folder / "run")
    return folder


def accuracy(file: Path) -> float:
    test = kw.data.digits().test
    model = kw.load_model(file)
    return kw.Trainer(model, device="reference").evaluate(test)["accuracy"]


def test_evaluate_prints_and_writes(saved: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    wanted = accuracy(saved / "model")
    page, out = tmp_path / "a.html", tmp_path / "a.json"
    done = run("evaluate", "perceptron", "--weights", saved / "run", "--report", page, "--json", out)
    assert f"top-1 accuracy {wanted:.2%}" in done.stdout and "perceptron on digits: 1,000 examples" in done.stdout
    assert json.loads(out.read_text())["top1"]["value"] == pytest.approx(wanted)
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_evaluate_refuses_contradictions(saved: Path, tmp_path: Path) -> None:
    for words, arguments in [
        ("holds the weights of perceptron, not of lenet5", ("lenet5", "--weights", saved / "model")),
        ("there is no checkpoint", ("perceptron", "--weights", tmp_path / "nowhere")),
        ("ends in .html or .png", ("perceptron", "--weights", saved / "run", "--report", "a.pdf")),
        ("cannot write the outcome", ("perceptron", "--weights", saved / "run", "--json", tmp_path / "no" / "a")),
    ]:
        found = run("evaluate", *arguments, code=1).stderr
        assert words in found and len(found.splitlines()) == 1
    assert "did you mean 'perceptron'" in run("evaluate", "perceptrom", "--weights", saved / "run", code=2).stderr


def test_evaluate_refuses_data_with_other_classes(saved: Path, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for part in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / part / name / "0.png")
    options = ("--weights", saved / "run", "--data", "image-folder", "--folder", tmp_path)
    assert "perceptron tells 10 classes apart" in run("evaluate", "perceptron", *options, code=1).stderr


def digit(path: Path, position: int) -> Path:
    """An example of the digits as a file."""
    image = pytest.importorskip("PIL.Image")
    pixels = np.rint(kw.data.digits().test.images[position, 0] * 255).astype("uint8")
    image.fromarray(pixels).save(path)
    return path


def test_predict_says_a_line_for_each_image(saved: Path, tmp_path: Path) -> None:
    paths = [digit(tmp_path / f"{i}.png", i) for i in range(3)]
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"oops")
    names, out = tmp_path / "names.txt", tmp_path / "out.json"
    names.write_text("".join(f"digit {k}\n" for k in range(10)))
    given = [paths[0], broken, *paths[1:], tmp_path / "nowhere.png"]
    options = ("--network", "perceptron", "--weights", saved / "model", "--classes", names, "--json", out)
    done = run("predict", *given, *options, code=1)
    trainer = kw.Trainer(kw.load_model(saved / "model"), device="reference")
    wanted = trainer.predict(kw.data.digits().test.images[:3])
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    for line, path, row in zip(lines, paths, wanted, strict=True):
        order = np.argsort(-row)[:5]
        assert line == f"{path}: " + ", ".join(f"digit {k} {row[k]:.1%}" for k in order)
    first, second = done.stderr.splitlines()
    assert f"{broken}: not an image" in first and f"{tmp_path / 'nowhere.png'}: no such file" in second
    said = json.loads(out.read_text())["images"]
    assert [each["image"] for each in said] == [str(path) for path in given]
    assert "error" in said[1] and said[0]["classes"][0]["probability"] == pytest.approx(wanted[0].max(), abs=1e-5)


def test_predict_names_classes_by_number_and_counts_their_names(saved: Path, tmp_path: Path) -> None:
    path = digit(tmp_path / "a.png", 0)
    options = ("--network", "perceptron", "--weights", saved / "model")
    assert run("predict", path, *options).stdout.startswith(f"{path}: {kw.data.digits().test.labels[0]} ")
    (tmp_path / "names.txt").write_text("one\n")
    words = run("predict", path, *options, "--classes", tmp_path / "names.txt", code=2).stderr
    assert "has 1 lines" in " ".join(words.replace("│", " ").split())
