"""`kw.elementwise`: a user's own scalar function gives what Python gives, on every device, in any graph."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.targets.cuda import build
from kernelwright.compiler.targets.cuda.program import build_kernels, run_program
from kernelwright.compiler.targets.shared import saved

QUARTER = 0.25


@kw.elementwise
def softsign(x):
    if x > 0:
        return x / (1 + x)
    return x / (1 - x)


@kw.elementwise
def root(x):
    r = 1.0
    for _ in range(4):
        r = 0.5 * (r + x / r)
    return r


@kw.elementwise
def halvings(x):
    k = 0
    while x > 1 and k < 20:
        x, k = x / 2, k + 1
    return k


@kw.elementwise
def mixed(x, y):
    return root(abs(x)) + np.arctan2(y, 2.0) * QUARTER + math.exp(-y) + math.gamma(2 + abs(x))


@kw.elementwise
def above(x, level=0.5):
    return x > level


def run(y, *feeds, **options):
    """The value of y for {input: array}."""
    (feed,) = feeds
    return kw.compile(list(feed), [y], **options)(*feed.values())


VALUES = np.array([-2.5, -1.0, -0.0, 0.0, 0.5, 1.0, 3.0, 40.0, np.inf, np.nan], "float32")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_branches_as_written(dtype):
    x = kw.input("x", (None,), dtype)
    want = [-2.5 / 3.5, -0.5, 0.0, 0.0, 1 / 3, 0.5, 0.75, 40 / 41, math.nan, math.nan]
    for options in ({}, {"threads": 2}, {"device": "reference"}):
        got = run(softsign(x), {x: VALUES.astype(dtype)}, **options)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("size", [0, 1, 5, 1000])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("function", [root, halvings, above, softsign])
def test_dtypes_and_sizes_are_pythons(function, dtype, size):
    x = kw.input("x", (None,), dtype)
    values = np.random.default_rng(1).uniform(0.5, 6, size).astype(dtype)
    y = function(x)
    want = np.array([function.py_func(v.item()) for v in values]).astype(y.dtype)
    for options in ({"threads": 2}, {"device": "reference"}):
        got = run(y, {x: values}, **options)
        assert got.dtype == y.dtype
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_result_dtypes():
    f32, f64, i32 = (kw.input("x", (3,), dtype) for dtype in ("float32", "float64", "int32"))
    whole = kw.elementwise(lambda x: 2 * x + 1)
    assert [whole(x).dtype for x in (f32, f64, i32)] == ["float32", "float64", "int64"]
    assert (halvings(f32).dtype, above(f64).dtype, root(i32).dtype) == ("int64", "bool", "float64")
    narrow = kw.elementwise(dtype="int32")(lambda x: x * 3)
    assert run(narrow(f32), {f32: np.array([0.5, -1.5, 1e12], "float32")}).tolist() == [1, -4, 2**31 - 1]


def test_functions_call_each_other_and_broadcast():
    x, y = kw.input("x", (3, 1)), kw.input("y", (4,))
    a, b = np.array([[0.3], [1.0], [2.0]], "float32"), np.linspace(-1, 1, 4, dtype="float32")
    want = [
        [math.sqrt(p) + math.atan2(q, 2.0) * 0.25 + math.exp(-q) + math.gamma(2 + p) for q in b.tolist()]
        for p in a[:, 0].tolist()
    ]
    for options in ({}, {"device": "reference"}):
        np.testing.assert_allclose(run(mixed(x, y), {x: a, y: b}, **options), want, rtol=1e-5)


def test_float32_stays_float32_inside():
    x = kw.input("x", (None,))
    third = kw.elementwise(lambda x: x * (1 / 3) + math.sqrt(2 / math.pi) * -5 - 2 * x**2 + np.float32(0.1))
    (kernel,) = kw.compile([x], [third(x)]).kernels
    assert "0.3333333333333333" in kernel.source and "math" not in kernel.source
    assert "double" not in kernel.llvm
    want = 0.7 / 3 - 5 * math.sqrt(2 / math.pi) - 2 * 0.49 + 0.1
    np.testing.assert_allclose(run(third(x), {x: np.array([0.7], "float32")}), [want], rtol=1e-6)


def test_bfloat16_is_computed_in_float32_and_rounded():
    x = kw.input("x", (3,), "bfloat16")
    y = softsign(x)
    got = kw.from_bfloat16(run(y, {x: kw.to_bfloat16(np.array([1.0, -3.0, 2.0], "float32"))}))
    assert y.dtype == "bfloat16" and got.tolist() == [0.5, -0.75, 0.66796875]  # 2/3 in 8 bits of mantissa


def test_numbers_alone_are_pythons():
    assert softsign(3.0) == 0.75
    assert above(1, level=2) is False


def test_it_fuses_with_its_neighbours_and_is_shown():
    x = kw.input("x", (None, 8))
    program = kw.compile([x], [(kw.exp(softsign(x * 2.0)) + 1.0).sum(1)])
    (kernel,) = program.kernels
    assert "scalar_function" in kernel.fused
    assert "return x / (1 + x)" in str(kernel)
    values = np.random.default_rng(0).normal(size=(5, 8)).astype("float32")
    want = (np.exp(2 * values / (1 + np.abs(2 * values))) + 1).sum(1)
    np.testing.assert_allclose(program(values), want, rtol=1e-5)


def test_loops_over_it_are_vectors():
    x = kw.input("x", (None,))
    for function in (softsign, kw.elementwise(lambda x: math.tanh(x) * 0.5 if x > 0 else math.exp(x) - 1)):
        assert " x float>" in kw.compile([x], [function(x)]).kernels[0].llvm


# ---------------------------------------------------------------- derivatives


def slope(function, at):
    """The derivative of a function of one tensor at these points, compiled."""
    x = kw.input("x", (len(at),), "float64")
    return kw.compile([x], [kw.grad(function(x).sum(), x)])(np.array(at, "float64"))


def test_a_given_derivative_and_its_own():
    bent = kw.elementwise(gradient=lambda x: 1 / (1 + kw.abs(x)) ** 2)(softsign.py_func)
    points = [-2.0, 0.5, 3.0]
    np.testing.assert_allclose(slope(bent, points), [1 / 9, 4 / 9, 1 / 16])

    def first(x):
        return kw.grad(bent(x).sum(), x)

    np.testing.assert_allclose(slope(first, points), [2 / 27, -2 / 1.5**3, -2 / 64])  # -2 sign(x) / (1 + |x|)^3


def test_a_derivative_read_off_the_text():
    swish = kw.elementwise(lambda x: x / (1 + math.exp(-x)))
    # torch.nn.functional.silu of 2.14: its gradient at these points
    np.testing.assert_allclose(
        slope(swish, [-1.0, 0.0, 2.0]), [0.07232948812851325, 0.5, 1.0907842487848955], rtol=1e-12
    )
    chosen = kw.elementwise(lambda x: np.where(x > 1, x * x, 3 * x))
    np.testing.assert_allclose(slope(chosen, [0.5, 2.0]), [3.0, 4.0])


def test_one_derivative_for_each_argument():
    times = kw.elementwise(gradient=lambda x, y: (None, x * x))(lambda x, y: x * x * y)
    x, y = kw.input("x", (2,)), kw.input("y", (2,))
    g = kw.compile([x, y], kw.grad(times(x, y).sum(), [x, y]))
    a, b = g(np.array([2.0, 3.0], "float32"), np.array([5.0, 7.0], "float32"))
    assert (a.tolist(), b.tolist()) == ([0.0, 0.0], [4.0, 9.0])


def test_a_value_that_is_both_arguments():
    product = kw.elementwise(lambda x, y: x * y)
    np.testing.assert_allclose(slope(lambda x: product(x, x * 3.0), [2.0]), [12.0])  # (3 x^2)' = 6 x


def test_a_branch_without_a_derivative_is_refused_when_it_is_needed():
    x = kw.input("x", (3,))
    with pytest.raises(kw.GradientError, match=r"branches on a value; say it by kw.elementwise\(gradient="):
        kw.grad(softsign(x).sum(), x)
    two = kw.elementwise(gradient=lambda x: (x, x))(softsign.py_func)
    with pytest.raises(kw.GradientError, match="2 derivatives for 1 arguments"):
        kw.grad(two(x).sum(), x)


def test_it_trains():
    bend = kw.elementwise(gradient=lambda x: 1 / (1 + kw.abs(x)) ** 2)(softsign.py_func)
    net = kw.nn.Sequential(kw.nn.Flatten(), kw.nn.Dense(16), bend, kw.nn.Dense(10))
    model = kw.models.Model("bent", net, (1, 28, 28), 10)
    trainer = kw.Trainer(model, kw.optim.Adam(0.01), "cross_entropy", batch=64)
    data = kw.data.digits().train
    before = trainer.evaluate(data)
    trainer.fit(data, epochs=2, progress=False)
    assert trainer.evaluate(data)["loss"] < 0.5 * before["loss"]


# ---------------------------------------------------------------- identity


def scaled(factor):
    return kw.elementwise(lambda x: x * factor if x > 0 else x)


def test_equal_text_is_one_and_another_number_is_another():
    x = kw.input("x", (2,))
    assert scaled(2.0)(x) is scaled(2.0)(x)
    values = np.array([3.0, -3.0], "float32")
    for factor in (2.0, 5.0):
        assert run(scaled(factor)(x), {x: values}).tolist() == [3 * factor, -3.0]


def test_finished_programs_carry_the_text():
    x = kw.input("x", (2,))
    keys = [saved.identify([x], [scaled(factor)(x)], {}, {}, "").key for factor in (2.0, 2.0, 5.0)]
    assert keys[0] == keys[1] != keys[2]
    given = kw.elementwise(gradient=lambda x: 2 * x)(lambda x: x * x)
    assert saved.identify([x], [given(x)], {}, {}, "") is not None


def test_a_changed_body_meets_no_older_kernel_in_another_process(tmp_path):
    def printed(factor):
        (tmp_path / "own.py").write_text(
            "import kernelwright as kw\n\n\n@kw.elementwise\ndef f(x):\n"
            f"    return x * {factor} if x > 0 else x\n\n\n"
            "x = kw.input('x', (1,))\nprint(kw.compile([x], [f(x)])([2.0])[0])\n"
        )
        environment = {**os.environ, "KERNELWRIGHT_CACHE": str(tmp_path / "cache")}
        done = subprocess.run(
            [sys.executable, str(tmp_path / "own.py")], env=environment, capture_output=True, text=True, check=True
        )
        return float(done.stdout)

    assert [printed(factor) for factor in (3, 5, 3)] == [6.0, 10.0, 6.0]


def test_printed_kernels_are_run_as_python(monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_VERIFY", "2")
    x = kw.input("x", (None, 3))
    values = np.array([[1.0, 2.0, -3.0]], "float32")
    np.testing.assert_allclose(run(softsign(x) + 1, {x: values}), [[1.5, 5 / 3, 0.25]], rtol=1e-6)


# ---------------------------------------------------------------- misuse


@pytest.mark.parametrize(
    ("body", "line", "says"),
    [
        ("    return [x]", 6, "may not have list"),
        ("    return x + unknown", 6, "reads unknown"),
        ("    return str(x)", 6, "reads str"),
        ("    return plain(x)", 6, "decorate it with kw.elementwise"),
        ("    return 'a'", 6, "may not have a text"),
        ("    y = x\n    return (x, y)", 4, "not one number"),
        ("    y = x\n    return x << 1.5", 7, "No implementation"),
        ("    if x > 0:\n        return x", 4, "not one number"),
    ],
)
def test_misuse_is_refused_with_the_functions_line(body, line, says, tmp_path):
    path = tmp_path / "misuse.py"
    path.write_text(f"import kernelwright as kw\n\nplain = lambda x: x\n@kw.elementwise\ndef f(x):\n{body}\n")
    scope = {}
    with pytest.raises(kw.KernelwrightError) as error:
        exec(compile(path.read_text(), str(path), "exec"), scope)
        scope["f"](kw.input("x", (3,)))
    assert says in str(error.value)
    assert f"misuse.py:{line}" in str(error.value)


def test_other_misuse():
    x = kw.input("x", (3,))
    with pytest.raises(kw.CompileError, match="missing a required argument"):
        mixed(x)
    with pytest.raises(kw.ShapeError, match="do not broadcast"):
        mixed(x, kw.input("y", (4,)))
    with pytest.raises(kw.CompileError, match="takes a Python function"):
        kw.elementwise(math.exp)
    scope = {"kw": kw}
    exec("def f(x):\n    return x", scope)
    with pytest.raises(kw.CompileError, match="cannot be read; write it in a file"):
        kw.elementwise(scope["f"])


# ---------------------------------------------------------------- CUDA


@pytest.mark.parametrize(("dtype", "wide"), [("float32", False), ("float64", True), ("int32", True)])
def test_cuda_kernels_compile_in_the_arguments_own_type(dtype, wide):
    if build.missing_parts():
        pytest.skip("the extra cuda is not installed")
    x = kw.input("x", (None,), dtype)
    for y in (softsign(x), root(x), mixed(x, x)):
        (kernel,) = build_kernels([x], [y], {}).kernels
        assert (".f64" in kernel.compile((9, 0)).ptx) is wide


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
def test_cuda_kernels_in_lockstep(dtype):
    x = kw.input("x", (None,), dtype)
    values = np.random.default_rng(2).uniform(0, 6, 77).astype(dtype)
    outputs = [softsign(x), root(x), halvings(x), above(x)]
    for got, want in zip(
        run_program(build_kernels([x], outputs, {}), [values]),
        kw.compile([x], outputs, device="reference").run([values]),
    ):
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=1e-6)
