"""The same bits on any number of threads, for programs that once differed and for random ones.

Steps so small that one thread would run them are shared all the same here.
"""

import functools

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.runtime import binding

THREADS = (1, 2, 3, 7)


@pytest.fixture(autouse=True)
def shared_however_small(monkeypatch):
    monkeypatch.setattr(binding, "MEETING", 0.0)


def differing(inputs, outputs, arrays):
    """Of each number of threads and output that differs from one thread's: both."""
    runs = []
    for threads in THREADS:
        program = kw.compile(inputs, outputs, threads=threads)
        assert program.threads == threads
        given = program(*arrays)
        runs.append([np.asarray(each).tobytes() for each in (given if len(outputs) > 1 else [given])])
    return [(t, k) for t, run in zip(THREADS, runs) for k, each in enumerate(run) if each != runs[0][k]]


def layer_norm(x, axis=-1):
    apart = x - kw.mean(x, axis, True)
    return apart / kw.sqrt(kw.mean(apart * apart, axis, True) + 1e-5)


ROWS = {
    "sum": lambda x: x.sum(-1),
    "sum of squares": lambda x: (x * x).sum(-1),
    "sum in a sum": lambda x: (x * x.sum(-1, keepdims=True) + x).sum(-1),
    "distance from the mean": lambda x: x - x.mean(-1, keepdims=True),
    "softmax": lambda x: kw.softmax(x, -1),
    "log_softmax": lambda x: kw.log_softmax(x, -1),
    "layer norm": layer_norm,
    "multiply-add": lambda x: x * x - x * 0.3,
    "functions": lambda x: kw.tanh(x) * x + kw.log1p(kw.abs(x)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(257, 5), (33, 6), (5, 9, 6), (17, 1, 11, 4), (40, 10), (130, 70)], ids=str)
def test_short_rows(shape, dtype):
    x = kw.input("x", (None, *shape[1:]), dtype)
    values = np.random.default_rng(0).normal(size=shape).astype(dtype)
    outputs = [make(x) for make in ROWS.values()]
    assert [(t, list(ROWS)[k]) for t, k in differing([x], outputs, [values])] == []


@pytest.mark.parametrize("n", [1, 63, 64, 1023, 1024, 1025, 2048, 5000])
def test_elements_around_the_size_of_a_piece(n):
    """Also the values are right, wherever a piece ends."""
    x = kw.input("x", (None,))
    values = np.random.default_rng(n).normal(size=n).astype("float32")
    assert differing([x], [kw.tanh(x) * 0.3 + x], [values]) == []
    three = kw.compile([x], [kw.tanh(x) * 0.3 + x], threads=3)
    np.testing.assert_allclose(three(values), np.tanh(values) * np.float32(0.3) + values, rtol=1e-5, atol=1e-6)


def test_gradients_by_weights_in_blocks():
    """Sums over every pixel of a batch, of more tiles than stay together."""
    x, w = kw.input("x", (None, 9, 13, 13)), kw.input("w", (21, 9, 3, 3))
    loss = kw.sum(kw.conv(x, w, pad=1) ** 2)
    rng = np.random.default_rng(1)
    values = [rng.normal(size=(7, 9, 13, 13)).astype("float32"), rng.normal(size=(21, 9, 3, 3)).astype("float32")]
    assert differing([x, w], [loss, *kw.grad(loss, [x, w])], values) == []


# ---------------------------------------------------------------- random programs


class Random:
    """Draws a program: its inputs, the arrays for them, and what it computes."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.dtype = self.one("float32", "float64")
        self.batch = self.one(1, 2, 3, 5, 10, 17, 32, 33, 61, 100, 257)
        size = self.one(None, None, self.batch)
        features, image = self.one(3, 5, 6, 10, 13, 16, 17, 33, 64, 100, 1000), (self.one(3, 5, 8, 11) for _ in "hw")
        self.inputs, self.arrays = [], []
        shapes = [(size, self.one(1, 3, 4, 6), *image), (size, features), (size, self.one(2, 5, 9), features)]
        self.pool = [self.given(*shape) for shape in shapes]
        for _ in range(self.rng.integers(2, 8)):
            self.pool.append(self.step(self.one(*self.pool, *self.pool[3:])))

    def one(self, *choices):
        return choices[int(self.rng.integers(len(choices)))]

    def given(self, *shape):
        x = kw.input(f"x{len(self.inputs)}", shape, self.dtype)
        self.inputs.append(x)
        self.arrays.append(self.rng.normal(size=[n or self.batch for n in shape]).astype(self.dtype))
        return x

    def outputs(self):
        if self.one(True, False):
            return self.pool[-3:]
        loss = kw.sum(self.pool[-1] * self.pool[-1] * 0.5)
        try:
            return [loss, *kw.grad(loss, self.inputs[:3])]
        except kw.GradientError:  # nothing but comparisons on the way
            return self.pool[-3:]

    def step(self, x):
        make = self.one(self.map, self.pair, self.pair, self.reduce, self.reduce, self.norm, self.move, self.product)
        return make(x)

    def map(self, x):
        functions = [kw.tanh, kw.sigmoid, kw.relu, lambda x: x * x + x, lambda x: kw.log1p(kw.abs(x))]
        return self.one(*functions, lambda x: kw.exp(-kw.abs(x)))(x)

    def pair(self, x):
        y = self.one(*[y for y in self.pool if y.shape == x.shape])
        return self.one(x * y - x, x + y, x / (1 + y * y), kw.maximum(x, y), kw.where(x < y, x, y * 2))

    def reduce(self, x):
        if not x.rank:
            return self.map(x)
        chosen = int(self.rng.integers(1, 2**x.rank))
        axes = tuple(i for i in range(x.rank) if chosen >> i & 1)
        y = self.one(kw.sum, kw.mean, kw.max)(x, axes, True)
        return self.one(x - y, x * y, self.one(kw.sum, kw.max)(x, axes))

    def norm(self, x):
        if x.rank < 2:
            return self.map(x)
        axis = self.one(x.rank - 1, x.rank - 1, *range(x.rank))
        batch = functools.partial(layer_norm, axis=(0, *range(2, x.rank)))
        return self.one(lambda x: kw.softmax(x, axis), lambda x: layer_norm(x, axis), batch)(x)

    def product(self, x):
        if x.rank == 4 and min(x.shape[2:]) >= 3:
            if self.one(True, False):
                return self.one(kw.max_pool, kw.avg_pool)(x, 2, self.one(1, 2))
            w = self.given(self.one(1, 4, 6, 16), x.shape[1], 3, 3)
            return kw.conv(x, w, stride=self.one(1, 2), pad=self.one(0, 1))
        if x.rank > 1 and isinstance(x.shape[-1], int):
            return x @ self.given(x.shape[-1], self.one(1, 3, 10, 17, 40))
        return self.map(x)

    def move(self, x):
        if x.rank < 2:
            return self.map(x)
        axes = tuple(self.rng.permutation(x.rank).tolist())
        moved = [kw.flatten(x), kw.flip(x, x.rank - 1), kw.pad(x, [0] * (x.rank - 1) + [(1, 2)]), kw.transpose(x, axes)]
        return self.one(*moved)


def random_ones_that_differ(seeds):
    """(seed, threads, output) of each that does."""
    found = []
    for seed in seeds:
        drawn = Random(seed)
        found += [(seed, *each) for each in differing(drawn.inputs, drawn.outputs(), drawn.arrays)]
    return found


def test_random_programs():
    assert random_ones_that_differ(range(30)) == []


@pytest.mark.slow
def test_more_random_programs():
    assert random_ones_that_differ(range(30, 200)) == []
