"""The quick check for regressions: what it measures, what it calls lost and what noise. All times are made up."""

import json

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.bench import quick, quick_cases
from kernelwright.bench.contenders import BenchError
from kernelwright.bench.quick import Samples

PEAK = 1e9


def shares(*values):
    """Turns that count."""
    return Samples(1, list(values))


def measured(seconds, peaks, rounds=1):
    """The samples of one kernel of 100 operations that takes these seconds between these peaks."""
    times, limits = iter(seconds), iter(peaks)
    samples = {"k": Samples(100)}
    quick.measure(samples, {"k": lambda: next(times)}, lambda: next(limits), rounds)
    return samples["k"]


def test_a_share_is_of_the_peak_around_its_turn():
    found = measured([1.0, 2.0], [195.0, 205.0, 205.0], rounds=2)
    assert found.good == pytest.approx([100 / 1.0 / 200, 100 / 2.0 / 205]) and not found.noisy


def test_a_turn_in_which_the_peak_moved_is_noise():
    found = measured([1.0, 1.0, 1.0], [200.0, 200.0, 100.0, 200.0], rounds=3)
    assert found.good == [0.5] and len(found.noisy) == 2


def test_a_slower_processor_is_no_loss():
    fast, slow = measured([1.0] * 3, [200.0] * 4, 3), measured([2.0] * 3, [100.0] * 4, 3)
    (row,) = quick.verdicts({"k": slow}, {"k": fast.spread()[1]})
    assert row["mark"] == quick.SAME and row["change"] == 0


@pytest.mark.parametrize("values, mark", [
    ((0.5, 0.5, 0.5, 0.5), quick.LOST),
    ((0.67, 0.67, 0.67, 0.67), quick.LOST),
    ((0.69, 0.69, 0.69, 0.69), quick.SAME),  # 0.85 of 0.8 is 0.68
    ((0.8, 0.8, 0.1, 0.8), quick.SAME),  # one bad turn
    ((0.1, 0.2, 0.3, 0.8, 0.8), quick.NOISE),  # most are slower, and some as fast as ever
    ((0.5, 0.5), quick.NOISE),  # too few
    ((0.99, 0.99, 0.99), quick.GAINED),
])  # fmt: skip
def test_marks(values, mark):
    (row,) = quick.verdicts({"k": shares(*values)}, {"k": 0.8})
    assert row["mark"] == mark


def test_a_kernel_that_was_never_stored_is_new():
    (row,) = quick.verdicts({"k": shares(0.5, 0.5, 0.5)}, {"other": 0.9})
    assert row["mark"] == quick.NEW and row["stored"] is None


def test_a_file_for_each_processor_and_number_of_threads():
    about = {"processor": "Intel(R) Xeon(R) Gold 6330 CPU @ 2.00GHz", "cpu": "icelake-server"}
    assert quick.key(about, 2) == "intel-xeon-gold-6330-cpu-2-00ghz-icelake-server-2-threads"
    assert quick.key(about, 1).endswith("-1-thread")


class Bench:
    """The check with one kernel, whose share is set, and a peak that stands still unless `peaks` says otherwise."""

    def __init__(self, monkeypatch, folder):
        self.share, self.limit, self.folder, self.said, self.turns = 0.8, lambda: PEAK, folder, [], 0
        monkeypatch.setattr(quick, "cases", lambda networks: [quick_cases.Case("k", 100, lambda threads: None)])
        monkeypatch.setattr(quick, "turn", lambda run: self.turn)
        monkeypatch.setattr(quick.peak, "multiply_adds", lambda threads, repeats: self.limit())

    def turn(self):
        self.turns += 1
        return 100 / PEAK / self.share

    def check(self, **options):
        return quick.check(threads=1, rounds=4, folder=self.folder, say=self.said.append, **options)


@pytest.fixture
def bench(monkeypatch, tmp_path):
    return Bench(monkeypatch, tmp_path)


def test_what_is_stored_is_compared_with(bench):
    assert bench.check(store=True)["lost"] == [] and bench.turns == 4
    (path,) = (bench.folder / "quick").iterdir()
    assert json.loads(path.read_text())["shares"] == {"k": 0.8}
    assert bench.check()["kernels"][0]["mark"] == quick.SAME
    bench.share = 0.6
    bench.turns = 0
    assert bench.check()["lost"] == ["k"] and bench.turns == 8  # a loss is measured twice
    assert "LOST" in bench.said[-1] and "-25%" in bench.said[-1] and "1 lost more than 15%" in bench.said[-1]
    assert json.loads(path.read_text())["shares"] == {"k": 0.8}


def test_storing_keeps_what_was_not_measured(bench):
    bench.check(store=True)
    (path,) = (bench.folder / "quick").iterdir()
    path.write_text(json.dumps({"shares": {"old": 0.5, "k": 0.1}}))
    bench.check(store=True)
    assert json.loads(path.read_text())["shares"] == {"old": 0.5, "k": 0.8}


def test_noise_is_neither_lost_nor_stored(bench):
    bench.check(store=True)
    limits = iter([1.0, 2.0] * 20)
    bench.share, bench.limit = 0.4, lambda: next(limits) * PEAK
    found = bench.check()
    assert found["lost"] == [] and found["kernels"][0]["mark"] == quick.NOISE
    assert "the machine is busy" in bench.said[-1]
    with pytest.raises(BenchError, match=r"nothing was stored.*'k'.*idle"):
        bench.check(store=True)


def test_the_heaviest_contractions_of_a_network_are_those_of_most_work():
    found = quick_cases.heaviest("mlp", 128)
    first, second = 2 * 128 * 784 * 512, 2 * 128 * 512 * 512
    assert [(c.name, c.flops) for c in found] == [
        ("mlp dense1, forward", first), ("mlp dense1, by weight", first), ("mlp dense2, forward", second)
    ]  # fmt: skip


def test_layers_of_one_shape_count_together():
    found = quick_cases.layers("resnet20", 4)
    repeated = next(layer for layer in found if layer.node.inputs[1].shape[1:] == (64, 64, 3, 3))
    assert repeated.count == 5 and repeated.flops == 2 * 4 * 64 * 8 * 8 * 64 * 9  # He et al., table of CIFAR-10
    assert [layer.passed for layer in found][:2] == [False, True]  # no gradient of the images


def test_every_case_has_a_name_of_its_own():
    names = [case.name for case in quick_cases.cases()]
    assert len(set(names)) == len(names) and len(names) >= 5 + 3 * len(quick_cases.BATCHES)


@pytest.fixture
def left(monkeypatch):
    """Values of the variables in which programs that were compiled since leave their results."""
    results = []

    def compile_and_keep(inputs, outputs, updates, **options):
        results.extend(updates)
        return kw.compile(inputs, outputs, updates, **options)

    monkeypatch.setattr(quick_cases, "compile", compile_and_keep)
    return lambda: [kw.get_value(v) for v in results]


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-6), ("bfloat16", 0.01)])
def test_products_multiply(left, dtype, tolerance):
    case = quick_cases.product(3, 4, 5, dtype)
    assert case.flops == 2 * 3 * 4 * 5
    case.make(1)()
    a, b = drawn(3, 4), drawn(4, 5)
    np.testing.assert_allclose(left()[0], a @ b, rtol=0, atol=tolerance * np.abs(a @ b).max())


def test_contractions_are_those_of_the_layer(left):
    torch = pytest.importorskip("torch")
    for case in quick_cases.heaviest("lenet5", 2):
        case.make(1)()
    x, w, g = (torch.tensor(drawn(*s), requires_grad=True) for s in [(2, 6, 14, 14), (16, 6, 5, 5), (2, 16, 10, 10)])
    y = torch.nn.functional.conv2d(x, w)
    for mine, theirs in zip(left(), [y, *torch.autograd.grad(y, (x, w), g)], strict=True):
        np.testing.assert_allclose(mine.reshape(theirs.shape), theirs.detach().numpy(), rtol=0, atol=1e-5)


def drawn(*shape):
    """The numbers of every operand."""
    return np.random.default_rng(0).standard_normal(shape, "float32") * np.float32(0.1)


def test_a_network_that_is_not_checked_is_an_error():
    with pytest.raises(BenchError, match=r"'lenet'.*lenet5"):
        quick_cases.cases(["lenet"])
