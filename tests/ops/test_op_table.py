"""Generated from the op table: reference, native kernels, first and second derivatives, misuse."""

import zlib

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler import dtypes
from kernelwright.compiler.graph.ops import OPS
from kernelwright.compiler.graph.reference import evaluate
from kernelwright.compiler.graph.tensor import apply

WITHOUT_SAMPLES = {"input", "variable", "full", "array", "iota", "size", "stop_gradient", "check_range", "window_pick"}
WITHOUT_SAMPLES |= {"contained", "segment_sum"}  # made by passes alone, whose tests compare them with direct sums
WITHOUT_SAMPLES |= {"scan"}  # has a folder of tests
SAMPLED = sorted(name for name, op in OPS.items() if op.samples)
TOLERANCE = {"bfloat16": 2.0**-7, "float32": 2e-5, "float64": 1e-10}


def rng_for(name):
    return np.random.default_rng(zlib.crc32(name.encode()))


def draw(sample, i, dtype, rng):
    """A value for the sample's i-th input."""
    shape = sample.shapes[i]
    kind = (sample.dtypes[i] if sample.dtypes else None) or dtype
    if kind == "bool":
        return rng.random(shape) < 0.5
    if kind not in TOLERANCE:
        return rng.integers(0, sample.high, size=shape).astype(kind)
    value = rng.uniform(*sample.domain, size=shape)
    for point in sample.away_from:
        value = np.where(np.abs(value - point) < 0.05, value + 0.1, value)
    return kw.to_bfloat16(value) if kind == "bfloat16" else np.asarray(value, kind)


def build(op, sample, dtype, rng, tag=0):
    values = [draw(sample, i, dtype, rng) for i in range(len(sample.shapes))]
    kinds = ["bfloat16" if v.dtype == "uint16" else v.dtype for v in values]
    inputs = [kw.input(f"x{tag}_{i}", v.shape, kind) for i, (v, kind) in enumerate(zip(values, kinds))]
    return inputs, values, apply(op.name, inputs, **sample.attrs)


def test_every_op_has_samples():
    assert {name for name, op in OPS.items() if not op.samples} == WITHOUT_SAMPLES


@pytest.mark.parametrize("name", SAMPLED)
def test_inferred_shape_and_dtype_are_the_references(name):
    rng = rng_for(name)
    for dtype in ("float32", "float64"):
        for sample in OPS[name].samples:
            inputs, values, y = build(OPS[name], sample, dtype, rng)
            (got,) = evaluate([y], dict(zip(inputs, values)))
            assert (got.shape, got.dtype.name) == (y.shape, dtypes.computed(y.dtype))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
@pytest.mark.parametrize("name", SAMPLED)
def test_native_kernels_agree_with_the_reference(name, dtype):
    rng = rng_for(name)
    built = [build(OPS[name], s, dtype, rng, i) for i, s in enumerate(OPS[name].samples)]
    inputs = [x for b in built for x in b[0]]
    values = [v for b in built for v in b[1]]
    outputs = [b[2] for b in built]
    program = kw.compile(inputs, outputs, threads=2)
    for got, want, b in zip(program.run(values), evaluate(outputs, dict(zip(inputs, values))), built):
        got = kw.from_bfloat16(got) if b[2].dtype == "bfloat16" else got
        assert (got.shape, got.dtype) == (want.shape, want.dtype)
        np.testing.assert_allclose(got, want, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype], err_msg=str(b[2]))


def directional(y, feed, x, direction, step):
    plus, minus = dict(feed), dict(feed)
    plus[x], minus[x] = feed[x] + step * direction, feed[x] - step * direction
    return (float(evaluate([y], plus)[0]) - float(evaluate([y], minus)[0])) / (2 * step)


def check_gradient(loss, inputs, feed, rng, tolerance):
    """Each input's gradient against a finite difference along a random direction. Returns the gradients."""
    gradients = kw.grad(loss, inputs)
    for x, g in zip(inputs, gradients):
        direction = rng.normal(size=x.shape)
        want = directional(loss, feed, x, direction, 1e-5)
        got = float((evaluate([g], feed)[0] * direction).sum())
        assert got == pytest.approx(want, rel=tolerance, abs=tolerance), f"gradient for {x}"
    return gradients


DIFFERENTIABLE = [n for n in SAMPLED if OPS[n].vjp is not None and not OPS[n].zero_gradient]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_first_and_second_derivatives(name):
    rng = rng_for(name)
    for sample in OPS[name].samples:
        inputs, values, y = build(OPS[name], sample, "float64", rng)
        floats = [x for x in inputs if x.dtype == "float64"]
        if not floats or y.dtype != "float64" or 0 in [d for v in values for d in v.shape]:
            continue
        weights = kw.as_tensor(rng.normal(size=y.shape))
        feed = dict(zip(inputs, values))
        gradients = check_gradient((y * weights).sum(), floats, feed, rng, 1e-5)
        second = None
        for g in gradients:
            term = (g * kw.as_tensor(rng.normal(size=g.shape))).sum()
            second = term if second is None else second + term
        check_gradient(second, floats, feed, rng, 1e-4)


@pytest.mark.parametrize("name", [n for n in SAMPLED if OPS[n].zero_gradient])
def test_ops_constant_almost_everywhere_have_zero_gradient(name):
    inputs, values, y = build(OPS[name], OPS[name].samples[0], "float64", rng_for(name))
    floats = [x for x in inputs if x.dtype == "float64"]
    if not floats:
        pytest.skip("no float operand to differentiate by")
    extra = sum((x.sum() for x in floats), kw.as_tensor(0.0, "float64"))
    for g in kw.grad(y.astype("float64").sum() + extra, floats):
        (value,) = evaluate([g], dict(zip(inputs, values)))
        assert (value == 1).all()


@pytest.mark.parametrize("name", [n for n in OPS if OPS[n].bad])
def test_misuse_is_refused_with_shapes_and_line(name):
    for bad in OPS[name].bad:
        inputs = [kw.input(f"operand{i}", s, (bad.dtypes or ["float32"] * 9)[i]) for i, s in enumerate(bad.shapes)]
        with pytest.raises((kw.ShapeError, kw.DTypeError)) as error:
            apply(name, inputs, **bad.attrs)
        text = str(error.value)
        assert all(word in text for word in bad.says), text
        assert name in text and __file__ in text, text
