"""Integers: every dtype and op at its edge values gives NumPy's numbers, stored or in the middle of a kernel.

The devices are the CPU by the walk, the CPU by Numba's whole front end, CUDA's kernels in lockstep, and the reference.
NumPy's own arrays say what is right; for floats that no integer holds it is written out below.
"""

from __future__ import annotations

import math
import operator
from functools import cache

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.tensor import as_tensor
from kernelwright.compiler.targets.cpu import assemble
from kernelwright.compiler.targets.cpu.llvm import frontend
from kernelwright.compiler.targets.cpu.llvm.build import build
from kernelwright.compiler.targets.cpu.llvm.operations import Unsupported
from kernelwright.compiler.targets.cpu.llvm.translate import translate
from kernelwright.compiler.targets.cuda import program
from kernelwright.compiler.targets.shared import saved

DTYPES = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
DEVICES = ("walk", "numba", "cuda", "reference")
QUICK = ("uint8", "int32", "int64", "uint64")
"""What Numba's whole front end, which takes about eight times as long, compiles in the quick suite."""
EACH = [
    pytest.param(device, dtype, marks=pytest.mark.slow if device == "numba" and dtype not in QUICK else ())
    for device in DEVICES
    for dtype in DTYPES
]
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

BINARY = {
    "a + b": (lambda a, b: a + b, np.add),
    "a - b": (lambda a, b: a - b, np.subtract),
    "a * b": (lambda a, b: a * b, np.multiply),
    "maximum": (kw.maximum, np.maximum),
    "minimum": (kw.minimum, np.minimum),
    "-a": (lambda a, b: -a, lambda a, b: -a),
    "abs a": (lambda a, b: abs(a), lambda a, b: np.abs(a)),
    "sign a": (lambda a, b: kw.sign(a), lambda a, b: np.sign(a)),
    "relu a": (lambda a, b: kw.relu(a), lambda a, b: np.maximum(a, a.dtype.type(0))),
    "a + 1": (lambda a, b: a + 1, lambda a, b: a + a.dtype.type(1)),
    "7 - a * 5": (lambda a, b: 7 - a * 5, lambda a, b: a.dtype.type(7) - a * a.dtype.type(5)),
    "where": (lambda a, b: kw.where(a < b, a - b, b + b), lambda a, b: np.where(a < b, a - b, b + b)),
}
COMPARED = {
    "a < b": (lambda a, b: a < b, np.less),
    "a >= b": (lambda a, b: a >= b, np.greater_equal),
    "a == b": (kw.equal, np.equal),
    "a != b": (kw.not_equal, np.not_equal),
    "a + 1 > a": (lambda a, b: a + 1 > a, lambda a, b: a + a.dtype.type(1) > a),
    "a - b <= a": (lambda a, b: a - b <= a, lambda a, b: a - b <= a),
}
FOLLOWED = {
    "stored": (lambda r, a, b: r, lambda r, a, b: r),
    "as float64": (lambda r, a, b: r.astype("float64"), lambda r, a, b: r.astype("float64")),
    "as float32": (lambda r, a, b: r.astype("float32"), lambda r, a, b: r.astype("float32")),
    "compared": (lambda r, a, b: r < b, lambda r, a, b: r < b),
    "then an op": (lambda r, a, b: abs(r - b) * r, lambda r, a, b: np.abs(r - b) * r),
    **{
        f"as {d}": (lambda r, a, b, d=d: r.astype(d) + 1, lambda r, a, b, d=d: r.astype(d) + np.dtype(d).type(1))
        for d in ("uint8", "int16", "uint32", "int64")
    },
}
WHOLE = {
    "a // b": (operator.floordiv, np.floor_divide),
    "a % b": (operator.mod, np.remainder),
    "a << b": (operator.lshift, np.left_shift),
    "a >> b": (operator.rshift, np.right_shift),
    "a & b": (operator.and_, np.bitwise_and),
    "a | b": (operator.or_, np.bitwise_or),
    "a ^ b": (operator.xor, np.bitwise_xor),
    "~a": (lambda a, b: ~a, lambda a, b: np.invert(a)),
    "a // 3": (lambda a, b: a // 3, lambda a, b: a // a.dtype.type(3)),
    "100 % a": (lambda a, b: 100 % a, lambda a, b: a.dtype.type(100) % a),
    "1 << a": (lambda a, b: 1 << a, lambda a, b: a.dtype.type(1) << a),
    "a >> 2 << 1": (lambda a, b: a >> 2 << 1, lambda a, b: a >> a.dtype.type(2) << a.dtype.type(1)),
    "6 ^ a": (lambda a, b: 6 ^ a, lambda a, b: a.dtype.type(6) ^ a),
}


def edges(dtype: str) -> np.ndarray:
    limits = np.iinfo(dtype)
    near = {0, 1, 2, 3, 7, limits.max // 2, limits.max // 2 + 1, limits.max - 1, limits.max}
    near |= {-1, -2, -7, limits.min, limits.min + 1, limits.min // 2}
    return np.array(sorted(v for v in near if limits.min <= v <= limits.max), dtype)


def operands(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of edges, numbers of bits among them, and random numbers: an odd count, so that a rest is left."""
    bits = [number for number in (8, 15, 16, 31, 32, 63, 64) if number <= np.iinfo(dtype).max]
    near = np.concatenate([edges(dtype), np.array(bits, dtype)])
    rng, limits = np.random.default_rng(5), np.iinfo(dtype)
    drawn = rng.integers(limits.min, limits.max, (2, 77), dtype, endpoint=True)
    drawn[1, ::3] = rng.integers(1, 8, 26)
    a, b = (np.concatenate([x.ravel(), more]) for x, more in zip(np.meshgrid(near, near), drawn))
    return (a, b) if a.size % 2 else (a[1:], b[1:])


def pairs(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.meshgrid(edges(dtype), edges(dtype))
    return a.ravel(), b.ravel()


def by_numba(texts):
    """Object code of kernels by Numba's whole front end."""
    named = {assemble.kernel_key(text): text for text in texts}
    return {
        key: build(text.replace("def kernel(", f"def {assemble.symbol(key)}(", 1), assemble.symbol(key)).object
        for key, text in named.items()
    }


def refuse(*ignored):
    raise Unsupported


def run(device, inputs, outputs, arrays, monkeypatch):
    if device == "cuda":
        return program.run_program(program.build_kernels(inputs, outputs, {}), arrays)
    if device == "reference":
        return kw.compile(inputs, outputs, device="reference").run(arrays)
    with monkeypatch.context() as patch:
        if device == "numba":
            patch.setattr(saved, "identify", lambda *graph: None)  # no finished program is read or kept
            patch.setattr(frontend, "translate", refuse)
            patch.setattr(assemble, "compile_sources", by_numba)
        compiled = kw.compile(inputs, outputs)
    if device == "walk":
        for kernel in compiled.kernels:
            name = kernel.source.split("def ")[1].split("(")[0]
            translate(kernel.source, name, frontend.namespace(kernel.source))  # does not refuse
    return compiled.run(arrays)


def check(got, cases):
    for found, (name, want) in zip(got, cases.items(), strict=True):
        found, want = np.asarray(found), np.asarray(want)
        assert (found.dtype, found.shape) == (want.dtype, want.shape), name
        np.testing.assert_array_equal(found, want, err_msg=name)


@cache
def arithmetic(dtype: str):
    """(inputs, outputs, arrays, what each output is in NumPy)"""
    a, b = kw.input("a", (None,), dtype), kw.input("b", (None,), dtype)
    x, y = pairs(dtype)
    outputs, cases = [], {}
    with np.errstate(all="ignore"):
        for name, (ours, numpy) in BINARY.items():
            for then, (after, numpy_after) in FOLLOWED.items():
                outputs.append(after(ours(a, b), a, b))
                cases[f"{name}, {then}"] = numpy_after(numpy(x, y), x, y)
        for name, (ours, numpy) in COMPARED.items():
            outputs += [ours(a, b), ours(a, b).astype("int32") * 3]
            cases[name] = numpy(x, y)
            cases[f"{name}, as int32"] = numpy(x, y).astype("int32") * np.int32(3)
    return [a, b], outputs, [x, y], cases


@pytest.mark.parametrize(("device", "dtype"), EACH)
def test_arithmetic_wraps_wherever_it_stands(device, dtype, monkeypatch):
    inputs, outputs, arrays, cases = arithmetic(dtype)
    check(run(device, inputs, outputs, arrays, monkeypatch), cases)


@cache
def whole(dtype: str):
    """(inputs, outputs, arrays, what each output is in NumPy)"""
    a, b = kw.input("a", (None,), dtype), kw.input("b", (None,), dtype)
    x, y = operands(dtype)
    other = "int16" if dtype == "uint32" else "uint32"
    outputs, cases = [], {}
    with np.errstate(all="ignore"):
        for name, (ours, numpy) in WHOLE.items():
            r, want = ours(a, b), numpy(x, y)
            outputs += [r, r.astype("float64"), r < b, abs(r - b) * r, r.astype(other) + 1]
            cases |= {(name, 0): want, (name, 1): want.astype("float64"), (name, 2): want < y}
            cases |= {(name, 3): np.abs(want - y) * want, (name, 4): want.astype(other) + np.dtype(other).type(1)}
    return [a, b], outputs, [x, y], cases


@pytest.mark.parametrize(("device", "dtype"), EACH)
def test_quotients_shifts_and_bits_wherever_they_stand(device, dtype, monkeypatch):
    inputs, outputs, arrays, cases = whole(dtype)
    check(run(device, inputs, outputs, arrays, monkeypatch), cases)


def test_what_quotients_and_shifts_of_integers_are():
    """Written out, beside NumPy's: rounded down, 0 for a divisor of 0, wrapped around, no bits left."""
    a, b = kw.input("a", (9,), "int8"), kw.input("b", (9,), "int8")
    x = np.array([7, -7, 7, -7, -128, 5, -5, 1, -3], "int8")
    y = np.array([2, 2, -2, -2, -1, 0, 0, 8, -1], "int8")
    got = kw.compile([a, b], [a // b, a % b, a << b, a >> b]).run([x, y])
    assert np.asarray(got[0]).tolist() == [3, -4, -4, 3, -128, 0, 0, 0, 3]
    assert np.asarray(got[1]).tolist() == [1, 1, -1, -1, 0, 0, 0, 1, 0]
    assert np.asarray(got[2]).tolist() == [28, -28, 0, 0, 0, 5, -5, 0, 0]
    assert np.asarray(got[3]).tolist() == [1, -2, 0, -1, -1, 5, -5, 0, -1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("device", DEVICES)
def test_quotients_and_remainders_of_floats_are_numpys(device, dtype, monkeypatch):
    limits, rng = np.finfo(dtype), np.random.default_rng(2)
    near = [0.0, 1.0, 0.1, 0.3, 3.0, 7.5, 1e10, math.inf, limits.max, limits.tiny, limits.smallest_subnormal]
    near = np.array([*near, *(-v for v in near), math.nan], dtype)
    drawn = rng.normal(size=(2, 76)).astype(dtype)
    x, y = (np.concatenate([v.ravel(), more]) for v, more in zip(np.meshgrid(near, near), drawn))
    a, b = kw.input("a", (None,), dtype), kw.input("b", (None,), dtype)
    got = run(device, [a, b], [a // b, a % b, kw.floor_divide(a, 2), kw.remainder(1, b)], [x, y], monkeypatch)
    with np.errstate(all="ignore"):
        two, one = np.dtype(dtype).type(2), np.dtype(dtype).type(1)
        wanted = [np.floor_divide(x, y), np.remainder(x, y), x // two, one % y]
    check(got, dict(enumerate(wanted)))
    for found, want in zip(got, wanted):
        np.testing.assert_array_equal(np.signbit(np.asarray(found))[want == 0], np.signbit(want)[want == 0])


def test_gradients_of_quotients_and_remainders_are_pytorchs():
    x, y = kw.input("x", (4,), "float64"), kw.input("y", (4,), "float64")
    by_x, by_y = kw.grad((x % y + x // y).sum(), [x, y])
    got = kw.compile([x, y], [by_x, by_y]).run([np.array([7.0, -7.0, 7.0, 0.5]), np.array([2.0, 2.0, -2.0, 3.0])])
    assert np.asarray(got[0]).tolist() == [1, 1, 1, 1]
    assert np.asarray(got[1]).tolist() == [-3, 4, 4, 0]


@pytest.mark.parametrize("device", DEVICES)
def test_casts_between_integers_wrap(device, monkeypatch):
    inputs, outputs, arrays, cases = [], [], [], {}
    for one in DTYPES:
        x = kw.input(f"of_{one}", edges(one).shape, one)
        inputs.append(x)
        arrays.append(edges(one))
        for other in DTYPES:
            outputs += [x.astype(other), x.astype(other).astype("float64"), x.astype(other).astype("int64") + 1]
            moved = edges(one).astype(other)
            cases |= {(one, other, 0): moved, (one, other, 1): moved.astype("float64")}
            with np.errstate(all="ignore"):
                cases[one, other, 2] = moved.astype("int64") + np.int64(1)
        outputs += [x.astype("bool"), x.astype("bool").astype(one) + x]
        with np.errstate(all="ignore"):
            truth = edges(one) != 0
            cases |= {(one, "bool"): truth, (one, "bool", 1): truth.astype(one) + edges(one)}
    check(run(device, inputs, outputs, arrays, monkeypatch), cases)


FLOATS = [
    *(math.nan, math.inf, -math.inf, 0.0, -0.0, 0.99, -0.99, 1.5, -1.5, -1.0, 127.9, 254.9, 255.0, 255.9, 256.0, 300.0),
    *(2.0**31 - 128, 2.0**31, 2.0**31 + 256, -(2.0**31), -(2.0**31) - 256, 2.0**32 - 256, 2.0**32, -(2.0**32)),
    *(2.0**63 - 2.0**39, 2.0**63, 2.0**64, -(2.0**63), -(2.0**64), 1e30, -1e30, 3.0),
]


def nearest(value: float, dtype: str) -> int:
    limits = np.iinfo(dtype)
    if math.isnan(value):
        return 0
    if math.isinf(value):
        return int(limits.max if value > 0 else limits.min)
    return int(min(max(math.trunc(value), limits.min), limits.max))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("device", DEVICES)
def test_floats_become_the_nearest_integer_of_the_dtype_and_nan_0(device, dtype, monkeypatch):
    x = kw.input("x", (None,), dtype)
    for first in range(3):  # every value once in the vectors, once in what is left after them
        values = np.array((FLOATS * 4)[first * 13 : first * 13 + 77], dtype)
        cases = {d: np.array([nearest(v, d) for v in values.tolist()], d) for d in DTYPES}
        outputs = [x.astype(d) for d in DTYPES] + [x.astype(d).astype("float64") for d in DTYPES]
        cases |= {f"{d} as float64": cases[d].astype("float64") for d in DTYPES}
        check(run(device, [x], outputs, [values], monkeypatch), cases)


def test_a_constant_is_cast_as_an_element_is():
    values = np.array([300.0, -5.0, math.nan, 1e30], "float32")
    got = kw.compile([], [as_tensor(values).astype("uint8")]).run([])
    np.testing.assert_array_equal(np.asarray(got[0]), np.array([255, 0, 0, 255], "uint8"))


@pytest.mark.parametrize(("device", "dtype"), EACH)
def test_extremes_and_their_places(device, dtype, monkeypatch):
    values = np.stack([edges(dtype), edges(dtype)[::-1], np.roll(edges(dtype), 3)])
    x = kw.input("x", (None, values.shape[1]), dtype)
    outputs, cases = [], {}
    for axis in (0, 1):
        outputs += [x.max(axis), x.min(axis), kw.argmax(x, axis), kw.argmin(x, axis)]
        cases |= {("max", axis): values.max(axis), ("min", axis): values.min(axis)}
        cases |= {("argmax", axis): values.argmax(axis).astype("int32")}
        cases |= {("argmin", axis): values.argmin(axis).astype("int32")}
    outputs += [(x.max(1) + 1).astype("float64"), (x.min(0) - 1).astype("float64")]
    with np.errstate(all="ignore"):
        cases["max + 1"] = (values.max(1) + values.dtype.type(1)).astype("float64")
        cases["min - 1"] = (values.min(0) - values.dtype.type(1)).astype("float64")
    check(run(device, [x], outputs, [values], monkeypatch), cases)


@pytest.mark.parametrize("device", DEVICES)
def test_bools_are_numbers_0_and_1(device, monkeypatch):
    a, b = kw.input("a", (None,), "bool"), kw.input("b", (None,), "bool")
    x, y = np.array([0, 0, 1, 1] * 5, bool), np.array([0, 1, 0, 1] * 5, bool)
    outputs = [a < b, a <= b, kw.equal(a, b), kw.not_equal(a, b), a & b, a | b, ~a, kw.where(a, b, ~b)]
    wanted = [x < y, x <= y, x == y, x != y, x & y, x | y, ~x, np.where(x, y, ~y)]
    for d in (*DTYPES, "float32"):
        outputs += [a.astype(d) - b.astype(d)]
        wanted += [x.astype(d) - y.astype(d)]
    check(run(device, [a, b], outputs, [x, y], monkeypatch), dict(enumerate(wanted)))


SUMS = {
    "uint8": (np.array([[200, 200, 255], [200, 1, 7]], "uint8"), 863, [400, 201, 262], [655, 208]),
    "int32": (np.array([[2**31 - 1, -5, 1], [2**31 - 1, 2, 0]], "int32"), 2**32 - 4, [2**32 - 2, -3, 1], None),
    "uint32": (np.array([[2**32 - 1, 1, 1], [2**32 - 1, 0, 0]], "uint32"), 2**33, [2**33 - 2, 1, 1], None),
    "int64": (np.array([[2**63 - 1, 1, 1], [3, 0, 0]], "int64"), -(2**63) + 4, [-(2**63) + 2, 1, 1], None),
    "int8": (np.array([[127, 127, -1], [127, -128, 0]], "int8"), 252, [254, -1, -1], [253, -1]),
    "uint16": (np.array([[65535, 65535, 1], [1, 0, 0]], "uint16"), 131072, [65536, 65535, 1], [131071, 1]),
    "uint64": (np.array([[2**64 - 1, 1, 1], [3, 2**63, 0]], "uint64"), 2**63 + 4, [2, 2**63 + 1, 1], None),
    "bool": (np.array([[1, 1, 0], [1, 0, 0]], bool), 3, [2, 1, 0], [2, 1]),
}


@pytest.mark.parametrize("dtype", SUMS)
@pytest.mark.parametrize("device", DEVICES)
def test_sums_of_integers_have_64_bits(device, dtype, monkeypatch):
    values, whole, down, across = SUMS[dtype]
    kind = "uint64" if dtype == "uint64" else "int64"
    x = kw.input("x", values.shape, dtype)
    cases = {"whole": np.array(whole, kind), "down": np.array(down, kind), "as float64": np.array(whole, "float64")}
    outputs = [x.sum(), x.sum(0), x.sum().astype("float64")]
    if across:
        outputs.append(x.sum(1, keepdims=True))
        cases["across"] = np.array(across).reshape(2, 1)
    outputs += [x.sum(()), kw.prod(x, 1)]
    cases |= {"nothing": values.astype(kind), "product": values.prod(1, dtype=kind)}
    check(run(device, [x], outputs, [values], monkeypatch), cases)


@pytest.mark.parametrize("device", DEVICES)
def test_means_of_integers_do_not_overflow_and_are_rounded_once(device, monkeypatch):
    x, y = kw.input("x", (None,), "uint8"), kw.input("y", (3,), "int32")
    values = [np.full(1000, 255, "uint8"), np.array([2**31 - 1, 2**31 - 1, 2**31 - 2], "int32")]
    wanted = {"x": np.float32(255), "y": np.float32(2147483646.6666667), "bool": np.float32(1)}
    got = run(device, [x, y], [kw.mean(x), kw.mean(y), kw.mean(x > 3)], values, monkeypatch)
    check(got, wanted)
