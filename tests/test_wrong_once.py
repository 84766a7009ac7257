"""Small programs that once gave wrong answers, each beside the right value written out.

Every one stands for a kind of fault, whose own tests are elsewhere; these are what users typed.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

import kernelwright as kw


def f32(*v):
    return np.array(v, "float32")


def run(build, *arrays, symbolic=True):
    shapes = [(None, *a.shape[1:]) if symbolic and a.ndim else a.shape for a in arrays]
    ins = [kw.input(f"x{i}", shape, a.dtype) for i, (shape, a) in enumerate(zip(shapes, arrays))]
    return kw.compile(ins, build(*ins))(*arrays)


def same(got, want, tol=0.0):
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, f"shape {got.shape}, right {want.shape}"
    ok = np.allclose(got, want, rtol=tol, atol=0, equal_nan=True)
    assert ok, f"{got.tolist()}, right {want.tolist()}"


def test_difference_of_uint8_images_as_floats():
    a, b = np.array([200, 255, 7], "uint8"), np.array([255, 7, 200], "uint8")
    same(run(lambda x, y: (x - y).astype("float32"), a, b), f32(201, 248, 63))


def test_sum_of_uint8_twice():
    a = np.array([200, 255, 7], "uint8")
    s, t = run(lambda x: [(x + x).astype("float32"), kw.maximum(x + x, x)], a)
    same(s, f32(144, 254, 14))
    same(t, np.array([200, 255, 14], "uint8"))


def test_int32_wraps_before_it_is_compared():
    m = np.array([2**31 - 1, -(2**31), 5], "int32")
    d, c = run(lambda i: [(i + i).astype("float64"), ((i + 1) > i).astype("int32")], m)
    same(d, np.array([-2.0, 0.0, 10.0]))
    same(c, np.array([0, 1, 1], "int32"))


def test_float_to_uint8_is_the_same_everywhere_in_an_array():
    x = np.full(100, 300.0, "float32")
    got = np.asarray(run(lambda t: t.astype("uint8"), x))
    assert len(set(got.tolist())) == 1, f"one value, several answers: {sorted(set(got.tolist()))}"


def test_scaled_up_then_squared():
    same(run(lambda x: (x * 1e20) * (x * 1e20), f32(1e-25)), f32(1e-10), 1e-5)


def test_scaled_down_then_squared():
    same(run(lambda x: (x * 1e-20) * (x * 1e-20), f32(1e25)), f32(1e10), 1e-5)


def test_mean_of_large_values():
    same(run(lambda x: kw.sum(x / 8.0), np.full(8, 1e38, "float32")), np.float32(1e38), 1e-5)


def test_product_of_scaled_matrices():
    m = np.full((4, 4), 1e25, "float32")
    same(run(lambda a: (a * 1e-20) @ (a * 1e-20), m, symbolic=False), np.full((4, 4), 4e10, "float32"), 1e-5)


def test_convolution_keeps_an_infinite_pixel_to_its_neighbours():
    x = np.random.default_rng(0).normal(size=(2, 32, 16, 16)).astype("float32")
    w = np.random.default_rng(1).normal(size=(32, 32, 3, 3)).astype("float32")
    x[0, 3, 8, 8] = np.inf
    got = np.asarray(run(lambda i: kw.conv(i, kw.as_tensor(w), pad=1), x))
    bad = ~np.isfinite(got[0])
    bad[:, 7:10, 7:10] = False
    assert not bad.any() and np.isfinite(got[1]).all(), f"{int(bad.sum())} results that never read it are not finite"


def test_equality_makes_a_mask():
    t = np.array([0, 1, 2, 0], "int32")
    same(run(lambda x: kw.where(x == 0, 9, x), t), np.array([9, 1, 2, 9], "int32"))


def test_a_computed_label_out_of_range_is_refused():
    logits, t = np.zeros((4, 3), "float32"), np.array([0, 3, 1, 2], "int64")
    with pytest.raises(kw.IndexLimitError, match=r"label -1 at position \[0\]"):
        run(lambda x, y: kw.cross_entropy(x, y - 1), logits, t)


def test_batch_norm_of_an_empty_batch_leaves_the_statistics():
    bn = kw.nn.BatchNorm()
    x = kw.input("x", (None, 4))
    step = kw.compile([x], [bn(x, training=True)], bn.updates())
    step(np.ones((0, 4), "float32"))
    assert np.isfinite(np.asarray(kw.get_value(bn.mean))).all(), "running mean is not finite"


def test_no_columns():
    x = kw.input("x", (None, 0))
    same(kw.compile([x], [kw.tanh(x) * 2 + 1])(np.zeros((3, 0), "float32")), np.zeros((3, 0), "float32"))


def test_a_sum_over_many_rows_keeps_its_digits():
    x = np.full((2**22, 4), 0.1, "float32")
    same(run(lambda a: kw.mean(a, 0), x), np.full(4, 0.1, "float32"), 1e-5)


def test_gradient_of_a_window_of_minus_infinities():
    x = kw.input("x", (1, 1, 2, 2))
    g = kw.grad(kw.sum(kw.max_pool(x, 3, 1, 1)), x)
    got = np.asarray(kw.compile([x], [g])(np.full((1, 1, 2, 2), -np.inf, "float32")))
    assert got.sum() == 4, f"the gradient went to the padding: {got.tolist()}"


def _in_a_process(code, cache, *flags):
    done = subprocess.run(
        [sys.executable, *flags, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "KERNELWRIGHT_CACHE": cache},
    )
    assert done.returncode == 0, done.stderr[-300:]
    return done.stdout.strip()


def test_stack_of_1000():
    x = kw.input("x", (4, 3))
    got = kw.compile([x], [kw.stack([x * float(i) for i in range(1000)])])(np.ones((4, 3), "float32"))
    same(np.asarray(got)[:, 0, 0], np.arange(1000, dtype="float32"))


SUMS = (
    "import numpy as np, kernelwright as kw\n"
    "x = kw.input('x', (None, 4)); a = np.arange(8, dtype='float32').reshape(2, 4)\n"
    "print(kw.compile([x], [x + 1])(a).tolist(), kw.compile([x], [kw.sum(x, 1)])(a).tolist())\n"
)


def test_python_with_assertions_off(tmp_path):
    right = "[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]] [6.0, 22.0]"
    first, second = _in_a_process(SUMS, tmp_path, "-O"), _in_a_process(SUMS, tmp_path)
    assert (first, second) == (right, right), f"{first} and then {second}"


TRAINERS = (
    "import numpy as np, kernelwright as kw\n"
    "from concurrent.futures import ThreadPoolExecutor\n"
    "def work(i):\n"
    "    net = kw.nn.Sequential(kw.nn.Flatten(), kw.nn.Dense(20 + i), kw.tanh, kw.nn.Dense(10))\n"
    "    r = np.random.default_rng(i)\n"
    "    x, y = r.random((50, 1, 28, 28), dtype='float32'), r.integers(0, 10, 50).astype('int32')\n"
    "    try: return float(kw.Trainer(kw.models.Model(f'm{i}', net, (1, 28, 28), 10), batch=50).step(x, y))\n"
    "    except BaseException as e: return repr(e)[:120]\n"
    "with ThreadPoolExecutor(4) as pool: got = list(pool.map(work, range(4)))\n"
    "print(all(isinstance(v, float) and 2 < v < 3 for v in got) or got)\n"
)


@pytest.mark.slow
def test_four_threads_compile_at_once(tmp_path):
    for attempt in range(3):
        cache = tmp_path / str(attempt)
        assert [_in_a_process(TRAINERS, cache), _in_a_process(TRAINERS, cache)] == ["True", "True"]
