"""`kw.evaluate` on a network whose answers are known, its plain data, and its reports as a reader opens them."""

from __future__ import annotations

import base64
import io
import json
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models.checks import SettingError
from kernelwright.models.data import Dataset, ImageFiles, Loader, Split
from kernelwright.models.evaluation import Evaluation, figures, trained
from kernelwright.runtime.checkpoint import CheckpointError

NAMES = ("ant", "<b>bee</b>", "$cat$", "dog", "eel", "fox")


class Given(kw.nn.Layer):
    """The first six pixels are the logits."""

    def forward(self, x: kw.Tensor) -> kw.Tensor:
        return kw.flatten(x)[:, :6]


def known() -> tuple[kw.models.Model, Dataset, np.ndarray]:
    """(network, data, logits): 300 examples of six classes, most of them recognised."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 6, 300).astype("int32")
    images = rng.random((300, 1, 3, 3), dtype="float32")
    images.reshape(300, 9)[np.arange(300), labels] += rng.normal(1.0, 0.5, 300).astype("float32")
    model = kw.models.Model("given", Given(), (1, 3, 3), 6)
    part = Split(images, labels)
    return model, Dataset("made", part, part, NAMES), images.reshape(300, 9)[:, :6]


def judged(worst: int = 16) -> Evaluation:
    model, data, _ = known()
    return kw.evaluate(model, data, device="reference", worst=worst, progress=False)


def test_measures_are_those_of_the_answers() -> None:
    model, data, logits = known()
    found = kw.evaluate(model, data, device="reference", progress=False)
    labels = data.test.labels
    odds = np.exp(logits.astype("float64"))
    np.testing.assert_allclose(found.probabilities, odds / odds.sum(1, keepdims=True), rtol=1e-5)
    assert found.top1.right == (logits.argmax(1) == labels).sum() and found.top1.of == 300
    assert found.top5 is not None and found.top5.right == 300 - (logits.argmin(1) == labels).sum()
    for k, row in enumerate(found.by_class):
        mine, said = labels == k, logits.argmax(1) == k
        assert (row.name, row.recall.of, row.precision.of) == (NAMES[k], mine.sum(), said.sum())
        assert row.recall.right == row.precision.right == found.confusion[k, k] == (mine & said).sum()
    text = found.summary()
    assert f"{found.top1.right / 300:.2%}" in text and "300 examples of 6 classes" in text


def test_the_surest_mistakes_are_kept_across_batches() -> None:
    model, data, logits = known()
    found = kw.evaluate(model, Loader(data.test, batch=7), device="reference", worst=5, progress=False)
    odds = np.exp(logits)
    sure = np.where(logits.argmax(1) != data.test.labels, (odds / odds.sum(1, keepdims=True)).max(1), 0)
    wanted = np.argsort(-sure, kind="stable")[:5]
    assert [m.position for m in found.worst] == wanted.tolist()
    for m, i in zip(found.worst, wanted, strict=True):
        assert np.array_equal(m.image, data.test.images[i]) and m.source == f"image {i}"
        assert (m.label, m.said) == (data.test.labels[i], logits[i].argmax())
    assert found.classes == tuple("012345")  # a loader has no names


def test_plain_data_is_json() -> None:
    found = judged(3)
    said = json.loads(json.dumps(found.as_data(), allow_nan=False))
    assert said["top1"]["right"] == found.top1.right and said["examples"] == 300 and len(said["worst"]) == 3
    assert said["confusion"] == found.confusion.tolist() and np.sum(said["confusion"]) == 300
    low, high = said["top1"]["interval"]
    assert low < said["top1"]["value"] < high
    assert [c["name"] for c in said["classes"]] == list(NAMES)
    bins = said["calibration"]["bins"]
    assert len(bins) == 15 and sum(b["examples"] for b in bins) == 300 and bins[0]["accuracy"] is None


class Page(HTMLParser):
    """What a page would load or follow, its text, and whether its tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_a_page_stands_by_itself(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("matplotlib")
    found = judged()
    found.report(tmp_path / "a.html")
    content = (tmp_path / "a.html").read_text()
    page = Page()
    page.feed(content)
    assert page.open == [] and len(page.sources) == 4 and "http" not in content and "url(" not in content
    for source in page.sources:
        head, _, data = source.partition(",")
        assert head == "data:image/png;base64"
        with image.open(io.BytesIO(base64.b64decode(data))) as picture:
            assert min(picture.size) > 100
    assert "<b>bee</b>" in page.text and "<b>" not in content  # names are text
    assert f"{found.top1.value:.2%}" in page.text and "$cat$" in page.text
    assert list(tmp_path.iterdir()) == [tmp_path / "a.html"]


def test_a_picture(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("matplotlib")
    judged(0).report(tmp_path / "a.png")
    with image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG" and min(picture.size) > 500


def test_reports_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = judged()
    with pytest.raises(SettingError, match=r"ends in \.html or \.png, not 'a\.pdf'"):
        found.report("a.pdf")
    with monkeypatch.context() as m:
        m.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(ImportError, match=r"reports need matplotlib: pip install 'kernelwright\[plot\]'"):
            found.report(tmp_path / "a.html")
    pytest.importorskip("matplotlib")
    with pytest.raises(SettingError, match="cannot write the report"):
        found.report(tmp_path / "nowhere" / "a.html")


def test_a_trainer_answers_with_its_averages() -> None:
    digits = kw.data.digits()
    part = Dataset("part", digits.train.subset(320), digits.test.subset(100), digits.classes)
    trainer = kw.Trainer(kw.models.perceptron(), device="reference", ema=0.9)
    trainer.fit(part, 1, progress=False)
    found = kw.evaluate(trainer, part, progress=False)
    assert found.top1.value == pytest.approx(trainer.evaluate(part.test)["accuracy"])
    assert np.array_equal(found.probabilities, trainer.predict(part.test.images))
    with pytest.raises(SettingError, match="a trainer has its own device"):
        kw.evaluate(trainer, part, device="cpu")


@pytest.mark.parametrize("ema", [None, 0.9])
def test_files_of_models_and_of_runs_give_what_was_trained(tmp_path: Path, ema: float | None) -> None:
    digits = kw.data.digits()
    part = Dataset("part", digits.train.subset(320), digits.test.subset(100), digits.classes)
    trainer = kw.Trainer(kw.models.perceptron(), device="reference", ema=ema)
    trainer.fit(part, 1, progress=False)
    wanted = trainer.predict(part.test.images)
    trainer.save(tmp_path / "run")
    if ema is not None:
        trainer.use_averages()
    trainer.model.save(tmp_path / "model")
    for file in ("run", "model"):
        found = kw.evaluate(trained("perceptron", tmp_path / file), part, device="reference", progress=False)
        np.testing.assert_allclose(found.probabilities, wanted, rtol=1e-6)
    with pytest.raises(CheckpointError, match=r"run holds the weights of perceptron, not of lenet5"):
        trained("lenet5", tmp_path / "run")


def test_a_run_with_augmentation_is_read(tmp_path: Path) -> None:
    """Augmentation is of training alone, and its state stands in the checkpoint beside the weights."""
    digits = kw.data.digits()
    augment = kw.images.Augment(kw.images.Translate(1))
    trainer = kw.Trainer(kw.models.perceptron(), device="reference", augment=augment)
    trainer.fit(digits.train.subset(64), 1, progress=False)
    trainer.save(tmp_path / "run")
    weights = trained("perceptron", tmp_path / "run").state_dict()
    assert all(np.array_equal(weights[name], value) for name, value in trainer.model.state_dict().items())


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    model, data, _ = known()
    other = Dataset("other", data.train, data.test, (*NAMES, "gnu"))
    with pytest.raises(kw.InputError, match=r"given tells 6 classes apart, other has 7"):
        kw.evaluate(model, other)
    with pytest.raises(SettingError, match=r"a kw.models.Model or its trainer is needed"):
        kw.evaluate(model.net, data)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="worst is a whole number of at least 0"):
        kw.evaluate(model, data, worst=-1)
    with pytest.raises(SettingError, match=r"Trainer\.evaluate measures several"):
        kw.evaluate(kw.Trainer(model, several=True), data)
    with pytest.raises(kw.InputError, match=r"images have shape"):
        kw.evaluate(model, (np.zeros((2, 1, 4, 4), "float32"), np.zeros(2, "int32")))
    sick = kw.models.perceptron()
    kw.set_value(sick.parameters()[0], np.full(sick.parameters()[0].shape, np.nan, "float32"))
    with pytest.raises(kw.InputError, match="perceptron gives nan or inf"):
        kw.evaluate(sick, kw.data.digits().test.subset(3), device="reference", progress=False)
    (tmp_path / "a").write_bytes(b"no file of ours")
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        trained("lenet5", tmp_path / "a")


def test_mistakes_in_files_are_named(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        pixels = np.zeros((3, 3), np.uint8)
        pixels[0, i] = 255
        image.fromarray(pixels).save(path)
    model, _, _ = known()
    files = ImageFiles(paths, np.array([0, 1, 0]), (1, 3, 3))
    found = kw.evaluate(model, files, device="reference", progress=False)
    assert found.top1.right == 2 and [m.source for m in found.worst] == [str(paths[2])]


def test_long_names_stay_apart_in_pictures() -> None:
    """Names that differ at their ends only, and one that mathematics would read otherwise."""
    figure = pytest.importorskip("matplotlib.figure").Figure()
    names = ("great crested grebe of the north", "great crested grebe of the south", "a" * 20, "$b$", "c", "d")
    found = judged()
    named = Evaluation(found.network, found.data, names, found.labels, found.probabilities, found.worst)
    axes = figure.subplots()
    figures.draw_confusion(axes, named)
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert len(set(shown)) == 6 and max(map(len, shown)) == 20 and shown[3] == "$b$"
    assert not any(label.get_parse_math() for label in axes.get_yticklabels())
