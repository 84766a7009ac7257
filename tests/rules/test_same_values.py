"""The comparison of two graphs: it finds what leaves a float's range, and takes what is as good as what was written."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.rewriting.same_values import difference
from kernelwright.compiler.rewriting.verify import VerifyError, verify

F32 = kw.input("x", (6, 4)), kw.input("y", (6, 4)), kw.input("m", (4, 4)), kw.input("row", (4,))
F64 = tuple(kw.input(f"{t.name}64", t.shape, "float64") for t in F32)

# name: (before, after), each a rule that is right on paper
UNFAIR = {
    "(x * c) * y": lambda x, y, m, row, c: ((x * (1 / c)) * y, (x * y) * (1 / c)),
    "(x * c) * (x * c)": lambda x, y, m, row, c: ((x * c) * (x * c), (x * x) * float("inf")),
    "sum(x * c)": lambda x, y, m, row, c: ((x * 0.125).sum(0), x.sum(0) * 0.125),
    "sum(x / c)": lambda x, y, m, row, c: ((x / 8.0).sum(0), x.sum(0) / 8.0),
    "contract(x * c, y), small": lambda x, y, m, row, c: ((x * (1 / c)) @ m, (x @ m) * (1 / c)),
    "contract(y, x * c), small": lambda x, y, m, row, c: (x @ (m * (1 / c)), (x @ m) * (1 / c)),
    "contract(x * c, y), large": lambda x, y, m, row, c: ((x * c) @ m, (x @ m) * c),
    "sum(x * repeated)": lambda x, y, m, row, c: ((x * row).sum(0), x.sum(0) * row),
    "sum(x / repeated)": lambda x, y, m, row, c: ((x / row).sum(0), x.sum(0) / row),
    "c / (a / b)": lambda x, y, m, row, c: (c / (x / y), (c / x) * y),
    "x * x / y": lambda x, y, m, row, c: (x * (x / y), x * x / y),
    "x * 0": lambda x, y, m, row, c: (x * 0.0, kw.where(x > 0, 0.0, 0.0)),
    "x - x": lambda x, y, m, row, c: (x - x, kw.where(x > 0, 0.0, 0.0)),
    "a sign": lambda x, y, m, row, c: (kw.abs(x), kw.maximum(x, 0.0)),
    "NaN becomes a number": lambda x, y, m, row, c: (x + y, kw.where(x > 2e30, x + y, kw.where(x <= 2e30, x + y, 1.0))),
    "an infinity spreads": lambda x, y, m, row, c: (x, x + (x.sum(0) - x.sum(0))),
}


@pytest.mark.parametrize("inputs", [F32, F64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", UNFAIR)
def test_what_may_not_stand_for_the_other_is_found(name, inputs):
    before, after = UNFAIR[name](*inputs, 1e20 if inputs is F32 else 1e200)
    assert "changed" in difference([before], [after], scaled=60)


FAIR = {
    "sqrt(x * x)": lambda x, y, m, row: (kw.sqrt(x * x), kw.abs(x)),
    "log(1 + x)": lambda x, y, m, row: (kw.log(1 + x), kw.log1p(x)),
    "exp(x) - 1": lambda x, y, m, row: (kw.exp(x) - 1, kw.expm1(x)),
    "1 / (1 + exp(-x))": lambda x, y, m, row: (1 / (1 + kw.exp(-x)), kw.sigmoid(x)),
    "sum in another order": lambda x, y, m, row: (x.sum(0).sum(0), x.sum(1).sum(0)),
    "x / y": lambda x, y, m, row: (x / kw.sqrt(y), x * kw.rsqrt(y)),
    "max(x, max)": lambda x, y, m, row: (kw.maximum(x, x.max(0)), kw.broadcast_to(x.max(0), x.shape)),
    "products of sums": lambda x, y, m, row: ((x + x) @ m, x @ m + x @ m),
}


@pytest.mark.parametrize("inputs", [F32, F64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", FAIR)
def test_what_differs_by_rounding_alone_is_the_same(name, inputs):
    before, after = FAIR[name](*inputs)
    assert difference([before], [after], scaled=60) == ""


def test_integers_are_compared_exactly():
    x, i = kw.input("x", (5,)), kw.input("i", (5,), "int32")
    assert difference([i + 1], [i + 1]) == ""
    assert "changed" in difference([i + 1], [i * 2])
    assert difference([x > 0.5], [x > 0.5]) == ""
    assert "changed" in difference([x > -0.5], [x < 2])  # negative inputs are drawn


def test_the_deep_level_draws_extremes(monkeypatch):
    x = F32[0]
    before, after = [(x * 0.125).sum(0)], [x.sum(0) * 0.125]
    verify("moved", before, after)
    monkeypatch.setenv("KERNELWRIGHT_VERIFY", "2")
    with pytest.raises(VerifyError, match=r"moved changed .* to .*inf"):
        verify("moved", before, after)


def test_programs_compile_at_the_deep_level(monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_VERIFY", "2")
    x, t = kw.input("x", (None, 1, 6, 6)), kw.input("t", (None,), "int32")
    net = kw.nn.Sequential(
        kw.nn.Conv(4, 3, pad=1), kw.nn.BatchNorm(), kw.relu, kw.nn.MaxPool(2), kw.nn.Flatten(), kw.nn.Dense(10)
    )
    loss = kw.cross_entropy(net(x), t)
    step = kw.compile([x, t], [loss], kw.optim.SGD(0.1).updates(net.parameters(), kw.grad(loss, net.parameters())))
    images = np.random.default_rng(0).random((4, 1, 6, 6), "float32")
    assert np.isfinite(np.asarray(step(images, np.arange(4, dtype="int32")))).all()


def test_symbols_are_large_enough_for_every_size(monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_VERIFY", "2")
    x = kw.input("x", (None,))
    y = kw.compile([x], [x[5:] + 1.0])(np.arange(7, dtype=np.float32))
    assert y.tolist() == [6.0, 7.0]
