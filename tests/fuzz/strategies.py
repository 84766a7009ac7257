"""Random small programs: elementwise, movement, reductions, products, convolution and pooling over a few inputs."""

import numpy as np
from hypothesis import strategies as st

import kernelwright as kw

UNARY = [
    kw.tanh,
    kw.sigmoid,
    kw.relu,
    lambda x: x * 0.5 - 1,
    lambda x: kw.exp(-kw.abs(x)),
    lambda x: x * x,
    lambda x: kw.log1p(kw.abs(x)),
    lambda x: kw.softmax(x, -1) if x.rank else x,
]
BINARY = [
    lambda a, b: a + b,
    lambda a, b: a * b,
    lambda a, b: a - b,
    kw.maximum,
    lambda a, b: kw.where(a < b, a, b * 2),
]


@st.composite
def programs(draw, steps=6):
    """(inputs, outputs, arrays): a program over a symbolic batch, and values for it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    batch = draw(st.sampled_from([1, 2, 5, 17]))
    c, h, w = draw(st.integers(1, 4)), draw(st.integers(3, 7)), draw(st.integers(3, 7))
    image, flat = kw.input("image", (None, c, h, w), "float64"), kw.input("flat", (None, 6), "float64")
    arrays = [rng.normal(size=(batch, c, h, w)), rng.normal(size=(batch, 6))]
    inputs, pool = [image, flat], [image, flat]

    def weight(*shape):
        x = kw.input(f"w{len(inputs)}", shape, "float64")
        inputs.append(x)
        arrays.append(rng.normal(size=shape) * 0.4)
        return x

    for _ in range(steps):
        x = pool[draw(st.integers(0, len(pool) - 1))]
        pool.append(_step(draw, x, pool, weight))
    return inputs, pool[-2:], arrays


def _step(draw, x, pool, weight):
    kind = draw(st.sampled_from(["unary", "binary", "move", "reduce", "product", "window"]))
    if kind == "binary":
        same = [y for y in pool if y.shape == x.shape]
        return draw(st.sampled_from(BINARY))(x, same[draw(st.integers(0, len(same) - 1))])
    if kind == "move":
        return _move(draw, x)
    if kind == "reduce" and x.rank > 1:
        axis = draw(st.integers(1, x.rank - 1))
        keep = draw(st.booleans())
        reduced = draw(st.sampled_from([kw.sum, kw.max, kw.mean]))(x, axis, keep)
        return x - reduced if keep else reduced
    if kind == "product" and x.rank == 2:
        return x @ weight(x.shape[1], draw(st.integers(1, 19)))
    if kind == "product" and x.rank == 4 and min(x.shape[2:]) >= 2:
        k, pad, stride = draw(st.integers(1, 9)), draw(st.integers(0, 1)), draw(st.integers(1, 2))
        return kw.conv(x, weight(k, x.shape[1], 2, 2), stride=stride, pad=pad)
    if kind == "window" and x.rank == 4 and min(x.shape[2:]) >= 2:
        pool_kind = draw(st.sampled_from([kw.max_pool, kw.avg_pool]))
        return pool_kind(x, 2, draw(st.integers(1, 2)))
    return draw(st.sampled_from(UNARY))(x)


def _move(draw, x):
    choice = draw(st.sampled_from(["flatten", "flip", "slice", "pad", "concat", "swap"]))
    if choice == "flatten" and x.rank > 2:
        return kw.flatten(x)
    if choice == "flip" and x.rank > 1:
        return kw.flip(x, x.rank - 1)
    if choice == "slice" and x.rank > 1 and x.shape[-1] > 2:
        return x[..., 1:] if draw(st.booleans()) else x[..., ::2]
    if choice == "pad" and x.rank > 1:
        return kw.pad(x, [0] * (x.rank - 1) + [(1, 2)])
    if choice == "concat" and x.rank > 1:
        return kw.concat([x, x * 2], 1)
    if choice == "swap" and x.rank == 4:
        return kw.transpose(x, (0, 1, 3, 2))
    return x + 1
