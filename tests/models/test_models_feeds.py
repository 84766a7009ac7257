"""Training from a loader: the bits of training from memory, also when resumed, and errors that say what to do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_network import small

import kernelwright as kw
from kernelwright.models.data import DataError, ImageDataset, ImageFiles, Loader


def trainer(device: str, model: kw.models.Model | None = None, **options: object) -> kw.Trainer:
    options = {"optimizer": kw.optim.Adam(0.01), "batch": 16, "threads": 1, **options}
    return kw.Trainer(model or small(), device=device, **options)


def weights(t: kw.Trainer) -> list[np.ndarray]:
    return [kw.get_value(v) for v in t._variables()]


def same(a: kw.Trainer, b: kw.Trainer) -> bool:
    return all((x == y).all() for x, y in zip(weights(a), weights(b), strict=True))


def brighter(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return images * rng.uniform(0.8, 1.2, (len(images), 1, 1, 1)).astype("float32")


class Lazy(kw.data.InMemory):
    """A source, as image files are one, so that a loader is made for it."""


class StopAt(kw.Callback):
    """Ctrl-C after `steps` steps of epoch `epoch`."""

    def __init__(self, epoch: int, steps: int):
        self.at = (epoch, steps)

    def after_steps(self, t: kw.Trainer) -> None:
        if (t.epoch, t.position) == self.at:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_loader_trains_to_the_bits_of_arrays(device, problem):
    """The order, the batches and the last, smaller one are the same; the loader brings its batch and seed."""
    memory, files = trainer(device, seed=5), trainer(device, batch=3)
    memory.fit(problem, epochs=2, validation=problem, progress=False)
    loader = Loader(problem, 16, seed=5, workers=3)
    files.fit(loader, epochs=2, validation=problem, progress=False)
    assert same(memory, files) and (files.batch, files.seed) == (16, 5)
    kept = ("loss", "accuracy", "validation_loss", "validation_accuracy")
    assert [[r[k] for k in kept] for r in memory.history] == [[r[k] for k in kept] for r in files.history]


def test_evaluation_sees_every_example_once(device, problem):
    t = trainer(device)
    whole = t.evaluate(problem)
    for batch in (7, 70, 100):
        found = t.evaluate(Loader(problem, batch, seed=3, workers=2))
        assert found["accuracy"] == whole["accuracy"] and found["loss"] == pytest.approx(whole["loss"], rel=1e-5)


@pytest.mark.parametrize("steps", [1, 3, 5])
def test_a_run_stopped_within_an_epoch_resumes_with_the_same_bits(problem, tmp_path, steps):
    """Also with a transform that draws numbers, on another number of threads, and after the epoch's last step."""
    whole, part, path = trainer("reference"), trainer("reference"), tmp_path / "run.safetensors"
    whole.fit(Loader(problem, 16, 2, transform=brighter, workers=1), epochs=3, progress=False)
    with pytest.raises(KeyboardInterrupt, match=r"saved to .*resume"):
        loader = Loader(problem, 16, 2, transform=brighter, workers=4)
        part.fit(loader, epochs=3, checkpoint=path, callbacks=[StopAt(1, steps)], progress=False)
    rest = kw.Trainer.resume(path, small(), device="reference", threads=1)
    assert (rest.epoch, rest.position) == (1, steps)
    rest.fit(Loader(problem, 16, 2, transform=brighter, workers=2), epochs=3, progress=False)
    assert same(whole, rest)
    assert [r["loss"] for r in rest.history] == [r["loss"] for r in whole.history]


def test_other_data_within_an_epoch_is_refused(problem, tmp_path):
    t, path = trainer("reference"), tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        t.fit(Loader(problem, 16), epochs=2, checkpoint=path, callbacks=[StopAt(0, 2)], progress=False)
    images, labels = problem
    cases = [
        (Loader(problem, 8), r"batch 16 \(now 8\)"),
        (Loader(problem, 16, seed=1), r"seed 0 \(now 1\)"),
        (Loader(problem, 16, shuffle=False), r"shuffle True \(now False\)"),
        ((images[:60], labels[:60]), r"examples 70 \(now 60\)"),
    ]
    for data, message in cases:
        rest = kw.Trainer.resume(path, small(), device="reference")
        with pytest.raises(kw.InputError, match=rf"stopped within epoch 1 of data that had {message}: go on with"):
            rest.fit(data, epochs=2, progress=False)
    rest = kw.Trainer.resume(path, small(), device="reference")
    rest.fit(problem, epochs=1, progress=False)  # the same examples from memory are the same data
    rest.fit((images[:60], labels[:60]), epochs=2, progress=False)  # a new epoch may have other data
    assert rest.epoch == 2


def test_an_unreadable_example_stops_the_run_with_its_name(problem):
    class Broken:
        labels, shape = problem[1], (1, 8, 8)

        def __len__(self):
            return 70

        def read(self, position):
            if position == 3:
                raise OSError("input/output error")
            return problem[0][position]

        def where(self, position):
            return f"photo-{position}.jpg"

    t = trainer("reference")
    with pytest.raises(DataError, match=r"photo-3\.jpg: cannot be read \(OSError: input/output error\)"):
        t.fit(Broken(), epochs=1, progress=False)
    assert t.epoch == 0


def test_loaders_that_do_not_fit_the_network(problem):
    images, labels = problem
    t = trainer("reference")
    cases = [
        (Loader((images[:, :, :7], labels)), r"gives images of shape \(1, 7, 8\), the network takes \(1, 8, 8\)"),
        (Loader((images, labels + 1)), r"label 4 at position .* 0\.\.3"),
        (Loader((images, np.eye(4, dtype="uint8")[labels])), r"not \(70, 4\); for several classes per image"),
        (Loader(problem, transform=lambda x, rng: x[:, :, :4]), r"\(1, 4, 8\), the network takes"),
    ]
    for loader, message in cases:
        with pytest.raises(kw.InputError, match=message):
            t.fit(loader, epochs=1, progress=False)
        with pytest.raises(kw.InputError, match=message):
            t.evaluate(loader)


def test_data_sets_that_do_not_fit_the_network(problem):
    images, labels = problem
    split = kw.data.Split(images, labels)
    more = kw.data.Dataset("hexes", split, split, tuple("abcdef"))
    wide = kw.data.Dataset("wide", *2 * (kw.data.Split(images[:, :, :4], labels),), tuple("abcd"))
    t = trainer("reference")
    start = r"small takes images \(1, 8, 8\) of up to 4 classes, but "
    for data, message in ((more, r"hexes has images \(1, 8, 8\) of 6;"), (wide, r"wide has images \(1, 4, 8\) of 4;")):
        for use in (t.fit, t.evaluate):
            with pytest.raises(kw.InputError, match=start + message):
                use(data)


def test_image_files_train_and_are_evaluated(tmp_path: Path):
    Image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    paths, labels = [], np.arange(48, dtype="int32") % 4
    for i, label in enumerate(labels):
        pixels = rng.integers(0, 100, (8, 8), np.uint8)
        pixels[4 * (label // 2) :, 4 * (label % 2) :][:4, :4] += 150
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(pixels).save(paths[-1])
    files = ImageFiles(paths, labels, (1, 8, 8))
    t = trainer("reference")
    history = t.fit(ImageDataset("quarters", *files.split(8), tuple("abcd")), epochs=12, progress=False)
    assert history[-1]["validation_accuracy"] == 1.0
    assert t.evaluate(files)["accuracy"] > 0.9


def test_validation_files_come_in_the_loaders_batches(problem):
    """So that a resumed run, which knows the loader's batch from its checkpoint, sums the same parts."""
    t = trainer("reference", batch=3)
    t.fit(Loader(problem, 16), epochs=1, validation=Lazy(*problem), progress=False)
    first = t.history[0]["validation_loss"]
    assert first == t.evaluate(Loader(problem, 16))["loss"]


def test_a_second_ctrl_c_does_not_wait_for_a_slow_file(tmp_path: Path):
    """The first one lets the step in hand finish; while its batch is not there, the second ends the run at once."""
    script = tmp_path / "wait.py"
    script.write_text(
        "import time, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import numpy as np, kernelwright as kw\n"
        "from small_network import small\n"
        "class Slow:\n"
        "    labels, shape = np.zeros(4_000, 'int32'), (1, 8, 8)\n"
        "    def __len__(self): return 4_000\n"
        "    def where(self, position): return str(position)\n"
        "    def read(self, position):\n"
        "        if not position % 100: print('reading', flush=True)\n"
        "        time.sleep(0.05)\n"
        "        return np.zeros(self.shape, 'float32')\n"
        "t = kw.Trainer(small(), device='reference', optimizer=kw.optim.SGD(0.1))\n"
        "try:\n"
        "    t.fit(kw.data.Loader(Slow(), 2_000, workers=1), progress=False)\n"
        "except KeyboardInterrupt as stop:\n"
        "    print('stopped:', stop)\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=os.environ)
    assert process.stdout is not None and process.stdout.readline() == "reading\n"
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    out, _ = process.communicate(timeout=30)  # the batch takes 100 s
    assert "stopped: training stopped in epoch 1 after 0 steps" in out and process.returncode == 0
