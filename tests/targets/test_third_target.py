"""The protocol of targets is enough for another one: C from a file of under 400 lines trains a network."""

import inspect
import operator
import shutil

import c_target
import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.pipeline import TARGETS

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(TARGETS, "c", c_target.C)


def test_it_is_small():
    assert len(inspect.getsource(c_target).splitlines()) < 400


def test_elementwise_reductions_and_products_have_numpys_values():
    x, w = kw.input("x", (None, 6)), kw.as_tensor(np.arange(12, dtype="float32").reshape(6, 2) / 7)
    y = kw.tanh(x) @ w
    program = kw.compile([x], [y, x.max(1), kw.argmax(x, 1), kw.where(x > 0, x, x * 0.5).sum(0)], device="c", threads=2)
    a = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
    got = program.run([a])
    np.testing.assert_allclose(got[0], np.tanh(a) @ (np.arange(12).reshape(6, 2) / 7), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(got[1], a.max(1))
    np.testing.assert_array_equal(got[2], a.argmax(1))
    np.testing.assert_allclose(got[3], np.where(a > 0, a, a / 2).sum(0), rtol=1e-5)
    assert "for (int64_t" in program.kernels[0].source and program.kernels[0].schedule.startswith("loops i0")
    assert [step.name for step in program.trace.steps] == [
        "simplify",
        "part_joins",
        "normalize",
        "set_orders",
        "order_kernels",
        "schedule",
    ]


@pytest.mark.parametrize("dtype", [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)])
def test_whole_numbers_have_numpys_values(dtype):
    limits = np.iinfo(dtype)
    near = [limits.min, limits.min + 1, 0, 1, 2, 7, 8, 31, 64, limits.max, *([-1, -2] if limits.min else [])]
    a, b = (v.ravel() for v in np.meshgrid(np.array(near, dtype), np.array(near, dtype)))
    x, y = kw.input("x", (None,), dtype), kw.input("y", (None,), dtype)
    operators = [operator.floordiv, operator.mod, operator.lshift, operator.rshift, operator.and_, operator.or_]
    operators += [operator.xor, operator.add, operator.sub, operator.mul, lambda p, q: ~p]
    with np.errstate(all="ignore"):
        wanted = [f(a, b) for f in operators]
    got = kw.compile([x, y], [f(x, y) for f in operators], device="c", threads=2).run([a, b])
    for found, want in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(np.asarray(found), want, strict=True)


def test_quotients_of_floats_have_numpys_values():
    near = np.array([0.0, -0.0, 1.0, -1.0, 0.1, -7.5, 3.0, np.inf, -np.inf, np.nan], "float64")
    a, b = (v.ravel() for v in np.meshgrid(near, near))
    x, y = kw.input("x", (None,), "float64"), kw.input("y", (None,), "float64")
    got = kw.compile([x, y], [x // y, x % y], device="c").run([a, b])
    with np.errstate(all="ignore"):
        for found, want in zip(got, [a // b, a % b], strict=True):
            np.testing.assert_array_equal(np.asarray(found), want)


def test_a_convolutional_network_trains_as_on_the_reference():
    rng = np.random.default_rng(1)
    images, labels = rng.normal(size=(4, 1, 9, 9)).astype("float32"), np.array([0, 2, 1, 2], "int32")
    losses = {}
    for device in ("c", "reference"):
        x, t = kw.input("x", (None, 1, 9, 9)), kw.input("t", (None,), "int32")
        with kw.init.seeded(3):
            net = kw.nn.Sequential(
                kw.nn.Conv(4, 3, pad=1, stride=2), kw.relu, kw.nn.MaxPool(2), kw.nn.Flatten(), kw.nn.Dense(3)
            )
            loss = kw.losses.cross_entropy(net(x), t)
        updates = kw.optim.SGD(0.1, momentum=0.9).updates(net.parameters(), kw.grad(loss, net.parameters()))
        step = kw.compile([x, t], [loss], updates, device=device)
        losses[device] = [float(step(images, labels)) for _ in range(5)]
    np.testing.assert_allclose(losses["c"], losses["reference"], rtol=1e-4)
    assert losses["c"][-1] < losses["c"][0]


def test_options_that_it_does_not_list_are_refused():
    x = kw.input("x", (3,))
    with pytest.raises(kw.CompileError, match=r"schedules .* is not for device 'c', which takes threads, typical"):
        kw.compile([x], [x + 1], device="c", schedules={"*": "loops i0"})
