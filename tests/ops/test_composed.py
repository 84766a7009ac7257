"""Composed functions and the public forms of convolution and pooling, against NumPy and PyTorch."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.functions import (
    batch_norm,
    binary_cross_entropy,
    hinge,
    kl_divergence,
    layer_norm,
    mean_squared_error,
    moments,
)
from kernelwright.compiler.graph.reference import evaluate

RNG = np.random.default_rng(3)


def run(f, *arrays):
    """f's value by native kernels; the reference has to agree."""
    inputs = [kw.input(f"a{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
    y = f(*inputs)
    got = kw.compile(inputs, y, threads=2)(*arrays)
    np.testing.assert_allclose(got, evaluate([y], dict(zip(inputs, arrays)))[0], rtol=1e-9, atol=1e-9)
    return got


def normal(*shape):
    return RNG.normal(size=shape)


def test_softmax_and_its_logarithm():
    x = normal(5, 7)
    want = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    np.testing.assert_allclose(run(kw.softmax, x), want, rtol=1e-12)
    np.testing.assert_allclose(run(kw.log_softmax, x), np.log(want), rtol=1e-12)


def test_cross_entropy_of_integers_weights_and_smoothing():
    x, t = normal(6, 4), np.array([0, 3, 1, 1, 2, 0], "int32")
    log_p = x - np.log(np.exp(x).sum(-1, keepdims=True))
    want = -log_p[np.arange(6), t].mean()
    assert run(kw.cross_entropy, x, t) == pytest.approx(want)
    assert run(kw.cross_entropy, x, np.eye(4)[t]) == pytest.approx(want)
    smooth = np.eye(4)[t] * 0.9 + 0.1 / 4
    assert run(lambda a, b: kw.cross_entropy(a, b, 0.1), x, t) == pytest.approx(-(smooth * log_p).sum(-1).mean())


def test_other_losses():
    a, b = normal(3, 4), normal(3, 4)
    assert run(mean_squared_error, a, b) == pytest.approx(((a - b) ** 2).mean())
    p, q = (np.exp(z) / np.exp(z).sum(-1, keepdims=True) for z in (a, b))
    assert run(kl_divergence, p, q) == pytest.approx((p * np.log(p / q)).sum(-1).mean())
    t = np.array([1, 0, 3], "int32")
    y = np.where(np.eye(4)[t] > 0, 1.0, -1.0)
    assert run(hinge, a, t) == pytest.approx(np.maximum(0, 1 - y * a).sum(-1).mean())
    target = (b > 0).astype(float)
    sigma = 1 / (1 + np.exp(-a))
    want = -(target * np.log(sigma) + (1 - target) * np.log(1 - sigma)).mean()
    assert run(binary_cross_entropy, a, target) == pytest.approx(want)


def test_norms():
    x, s, b = normal(4, 6), normal(6), normal(6)
    want = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * s + b
    np.testing.assert_allclose(run(layer_norm, x, s, b), want, rtol=1e-9)
    x = normal(3, 5, 2, 4)

    def normalized(x, s, b):
        return batch_norm(x, s, b, *moments(x, (0, 2, 3)))

    s, b = normal(5), normal(5)
    m, v = x.mean((0, 2, 3)).reshape(1, 5, 1, 1), x.var((0, 2, 3)).reshape(1, 5, 1, 1)
    want = (x - m) / np.sqrt(v + 1e-5) * s.reshape(1, 5, 1, 1) + b.reshape(1, 5, 1, 1)
    np.testing.assert_allclose(run(normalized, x, s, b), want, rtol=1e-9)


CONVOLUTIONS = [
    ((2, 3, 9, 8), (4, 3, 3, 3), {}),
    ((2, 3, 9, 8), (4, 3, 3, 3), {"pad": 1}),
    ((2, 4, 9, 7), (6, 2, 3, 2), {"groups": 2, "stride": 2, "pad": 1}),
    ((1, 2, 11, 11), (3, 2, 3, 3), {"dilation": 2, "pad": 2}),
    ((3, 5, 7, 7), (17, 5, 1, 1), {}),
    ((2, 3, 12, 12), (5, 3, 7, 7), {"stride": 2, "pad": 3}),
]


@pytest.mark.parametrize("x_shape, w_shape, options", CONVOLUTIONS)
def test_convolution_and_gradients_agree_with_torch(x_shape, w_shape, options):
    torch = pytest.importorskip("torch")
    x, w = normal(*x_shape), normal(*w_shape)
    tx, tw = (torch.tensor(a, requires_grad=True) for a in (x, w))
    renamed = {{"pad": "padding"}.get(k, k): v for k, v in options.items()}
    want = torch.nn.functional.conv2d(tx, tw, **renamed)
    (want * want).sum().backward()
    ix, iw = kw.input("x", x_shape, "float64"), kw.input("w", w_shape, "float64")
    y = kw.conv(ix, iw, **options)
    got = kw.compile([ix, iw], [y, *kw.grad((y * y).sum(), [ix, iw])], threads=2)(x, w)
    for a, b in zip(got, (want, tx.grad, tw.grad)):
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-9, atol=1e-9)


def test_transposed_convolution_is_the_gradient_of_convolution():
    x, w = normal(2, 3, 5, 6), normal(3, 2, 3, 3)
    big = kw.input("big", (2, 2, 10, 12), "float64")
    iw, ix = kw.input("w", w.shape, "float64"), kw.input("x", x.shape, "float64")
    forward = kw.conv(big, iw, stride=2, pad=1)
    (want,) = kw.vjp([forward], [big], [ix])
    transposed = kw.conv_transpose(ix, iw, stride=2, pad=1, output_pad=1)
    got = kw.compile([big, iw, ix], [transposed, want], threads=1)(np.zeros((2, 2, 10, 12)), w, x)
    assert got[0].shape == (2, 2, 10, 12)
    np.testing.assert_allclose(got[0], got[1], rtol=1e-12)


@pytest.mark.parametrize("window, stride, pad", [(2, 2, 0), (3, 2, 1), (3, 1, 1), ((2, 3), (1, 2), 0)])
def test_pooling_agrees_with_torch(window, stride, pad):
    torch = pytest.importorskip("torch")
    x = normal(2, 3, 8, 9)
    for ours, theirs in ((kw.max_pool, torch.nn.functional.max_pool2d), (kw.avg_pool, torch.nn.functional.avg_pool2d)):
        tx = torch.tensor(x, requires_grad=True)
        want = theirs(tx, window, stride, pad)
        (want * want).sum().backward()
        ix = kw.input("x", x.shape, "float64")
        y = ours(ix, window, stride, pad)
        got = kw.compile([ix], [y, kw.grad((y * y).sum(), ix)], threads=2)(x)
        np.testing.assert_allclose(got[0], want.detach().numpy(), rtol=1e-12)
        np.testing.assert_allclose(got[1], tx.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("beta", [0.75, 0.6])
def test_local_response_norm_and_its_gradient_agree_with_torch(beta):
    torch = pytest.importorskip("torch")
    x = torch.tensor(normal(2, 7, 3, 4), requires_grad=True)
    y = torch.nn.functional.local_response_norm(x, 5, 1e-2, beta, 2.0)
    (y * y).sum().backward()
    a = kw.input("a", x.shape, "float64")
    normed = kw.local_response_norm(a, 5, 1e-2, beta, 2.0)
    got = kw.compile([a], [normed, kw.grad((normed * normed).sum(), a)], threads=2)(x.detach().numpy())
    np.testing.assert_allclose(got[0], y.detach().numpy(), rtol=1e-9)
    np.testing.assert_allclose(got[1], x.grad.numpy(), rtol=1e-9)


def test_random_numbers_are_reproducible_and_distributed():
    def sample(seed, threads):
        g = kw.Generator(seed)
        outputs = [g.uniform((64, 200), -1, 3), g.normal((64, 200), 1, 2), g.bernoulli((64, 200), 0.3)]
        program = kw.compile([], outputs, updates=g.updates(), threads=threads)
        return program.run([]), program.run([])

    first, second = sample(7, 1)
    again, _ = sample(7, 2)
    for a, b, c in zip(first, second, again):
        np.testing.assert_array_equal(a, c)
        assert (a != b).any()
    uniform, gauss, coin = first
    assert uniform.min() >= -1 and uniform.max() < 3 and abs(uniform.mean() - 1) < 0.05
    assert abs(gauss.mean() - 1) < 0.06 and abs(gauss.std() - 2) < 0.06
    assert abs(coin.mean() - 0.3) < 0.02
    assert (sample(8, 1)[0][0] != uniform).any()


def test_gather_scatter_and_checked_labels():
    x, at = normal(5, 3), np.array([4, 0, 4, 2], "int32")
    np.testing.assert_array_equal(run(lambda a, i: kw.gather(a, i, 0), x, at), x[at])
    want = np.zeros((5, 3))
    np.add.at(want, at, x[:4])
    np.testing.assert_allclose(run(lambda v, i: kw.scatter_add(v, i, 5), x[:4], at), want)
    ix, it = kw.input("x", (None, 3)), kw.input("labels", (None,), "int32")
    program = kw.compile([ix, it], kw.cross_entropy(ix, it))
    with pytest.raises(kw.KernelwrightError, match=r"labels.*7|7.*labels"):
        program(np.zeros((2, 3), "float32"), np.array([0, 7], "int32"))
