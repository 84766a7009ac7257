"""PyTorch's names for arguments, against NumPy's and PyTorch's values, and what is refused."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.synonyms import OTHERS

RNG = np.random.default_rng(5)
X = RNG.normal(size=(3, 5, 4))
W = RNG.normal(size=(2, 5, 3))
PLACES = RNG.integers(0, 5, size=(3, 2, 4))

CALLS = [
    (lambda x: kw.sum(x, dim=1), lambda x: x.sum(1)),
    (lambda x: x.sum(dim=(0, 2), keepdim=True), lambda x: x.sum((0, 2), keepdims=True)),
    (lambda x: x.sum(1, keepdim=True), lambda x: x.sum(1, keepdims=True)),
    (lambda x: x.mean(dim=-1), lambda x: x.mean(-1)),
    (lambda x: x.prod(dim=0), lambda x: x.prod(0)),
    (lambda x: kw.amax(x, dim=1), lambda x: x.max(1)),
    (lambda x: x.amin(dim=1, keepdim=True), lambda x: x.min(1, keepdims=True)),
    (lambda x: x.argmax(dim=1), lambda x: x.argmax(1)),
    (lambda x: x.argmin(dim=1, keepdim=True), lambda x: x.argmin(1, keepdims=True)),
    (lambda x: kw.any(x > 1, dim=0), lambda x: (x > 1).any(0)),
    (lambda x: (x > -1).all(dim=0), lambda x: (x > -1).all(0)),
    (lambda x: kw.count_nonzero(x > 0, dim=0), lambda x: np.count_nonzero(x > 0, 0)),
    (lambda x: x.std(dim=1, correction=1), lambda x: x.std(1, ddof=1)),
    (lambda x: kw.var(x, dim=1, correction=0), lambda x: x.var(1)),
    (lambda x: kw.logsumexp(x, dim=1), lambda x: np.log(np.exp(x).sum(1))),
    (lambda x: kw.norm(x, p=1, dim=1), lambda x: np.abs(x).sum(1)),
    (lambda x: kw.softmax(x, dim=1), lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
    (lambda x: x.log_softmax(dim=0), lambda x: x - np.log(np.exp(x).sum(0))),
    (lambda x: kw.glu(x, dim=-1), lambda x: x[..., :2] / (1 + np.exp(-x[..., 2:]))),
    (lambda x: kw.cat([x, x], dim=1), lambda x: np.concatenate([x, x], 1)),
    (lambda x: kw.stack([x, x], dim=-1), lambda x: np.stack([x, x], -1)),
    (lambda x: kw.unsqueeze(x, dim=1), lambda x: x[:, None]),
    (lambda x: kw.expand_dims(x, axis=-1), lambda x: x[..., None]),
    (lambda x: x[:1].squeeze(dim=0), lambda x: x[0]),
    (lambda x: kw.permute(x, dims=(2, 0, 1)), lambda x: x.transpose(2, 0, 1)),
    (lambda x: x.flip(dims=(0, 1)), lambda x: np.flip(x, (0, 1))),
    (lambda x: kw.roll(x, shifts=2, dims=1), lambda x: np.roll(x, 2, 1)),
    (lambda x: kw.chunk(x, 2, dim=1)[1], lambda x: x[:, 3:]),
    (lambda x: kw.repeat(x, 2, dim=1), lambda x: np.repeat(x, 2, 1)),
    (lambda x: kw.diagonal(x, dim1=1, dim2=2), lambda x: np.diagonal(x, 0, 1, 2)),
    (lambda x: x.flatten(start_dim=1), lambda x: x.reshape(3, 20)),
    (lambda x: kw.cumsum(x, dim=1), lambda x: x.cumsum(1)),
    (lambda x: x.cumprod(dim=1), lambda x: x.cumprod(1)),
    (lambda x: x.argsort(dim=1), lambda x: x.argsort(1)),
    (lambda x: kw.topk(x, 2, dim=1)[0], lambda x: -np.sort(-x, 1)[:, :2]),
    (lambda x: kw.take_along_axis(x, PLACES, dim=1), lambda x: np.take_along_axis(x, PLACES, 1)),
    (lambda x: kw.max_pool(x[None], kernel_size=2), lambda x: x[None, :, :4].reshape(1, 3, 2, 2, 2, 2).max((3, 5))),
]


def test_calls_with_the_other_names() -> None:
    x = kw.input("x", X.shape, "float64")
    for (ours, numpys), got in zip(CALLS, kw.compile([x], [ours(x) for ours, _ in CALLS], threads=1).run([X])):
        np.testing.assert_allclose(got, numpys(X), rtol=1e-12, atol=1e-12, err_msg=inspect.getsource(ours))


def test_padding_is_pad() -> None:
    x, w, images = kw.input("x", X.shape, "float64"), kw.as_tensor(W), kw.input("images", (1, 2, 6, 6))
    assert kw.conv(x, w, padding=1) is kw.conv(x, w, pad=1)
    assert kw.max_pool(images, 2, padding=1) is kw.max_pool(images, 2, pad=1)
    assert kw.avg_pool(images, kernel_size=3, padding=1) is kw.avg_pool(images, 3, pad=1)
    assert kw.conv_transpose(images, kw.ones((2, 3, 3, 3)), 2, padding=1, output_padding=1).shape == (1, 3, 12, 12)
    torch = pytest.importorskip("torch")
    want = torch.nn.functional.conv1d(torch.tensor(X), torch.tensor(W), padding=1).numpy()
    (got,) = kw.compile([x], [kw.conv(x, w, padding=1)], device="reference").run([X])
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_layers_take_the_other_names() -> None:
    x = kw.input("x", (2, 3, 8, 8))
    for layer, shape in [
        (kw.nn.Conv(4, kernel_size=3, padding=1), (2, 4, 8, 8)),
        (kw.nn.Conv(4, kernel_size=3, padding="same"), (2, 4, 8, 8)),
        (kw.nn.ConvTranspose(4, 3, stride=2, padding=1, output_pad=1), (2, 4, 16, 16)),
        (kw.nn.MaxPool(kernel_size=3, stride=2, padding=1), (2, 3, 4, 4)),
        (kw.nn.AvgPool(2, padding=1), (2, 3, 5, 5)),
    ]:
        assert layer(x).shape == shape
    for layer, function in [(kw.nn.Softmax, kw.softmax), (kw.nn.LogSoftmax, kw.log_softmax)]:
        assert layer(dim=1)(x) is function(x, 1)


def test_every_function_and_method_takes_them() -> None:
    """So that none is forgotten: both names at once are refused before anything else is looked at."""
    others = {"arange", "linspace", "layer_norm", "swapaxes", "Tensor.transpose"}  # a start, a shift, order of axes
    seen = 0
    for place in (kw, kw.Tensor):
        for name in dir(place):
            call = getattr(place, name)
            if not inspect.isfunction(call) or "compiler.graph" not in call.__module__ or call.__qualname__ in others:
                continue
            for ours in inspect.signature(call).parameters.keys() & OTHERS.keys():
                other = OTHERS[ours][0]
                label = call.__name__.strip("_")
                with pytest.raises(kw.ShapeError, match=f"{label}: {ours}=1 and {other}=2 are one argument"):
                    call(**{ours: 1, other: 2})
                seen += 1
    assert seen > 50


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda x: kw.sum(x, 1, dim=0), ["sum: axis=1 and dim=0 are one argument, given twice"]),
        (lambda x: x.mean(axis=1, dim=1), ["mean: axis=1 and dim=1"]),
        (lambda x: x.sum(dim=0, keepdim=True, keepdims=True), ["sum: keepdims=True and keepdim=True"]),
        (lambda x: kw.flip(x, dim=0, dims=1), ["flip: axis=0 and dims=1"]),
        (lambda x: kw.conv(x, x, pad=1, padding=0), ["conv: pad=1 and padding=0"]),
        (lambda x: x.max(dim=1)[0], ["max: dim", "a pair", "kw.amax", "kw.argmax"]),
        (lambda x: kw.min(x, 1, keepdim=True), ["min: keepdim", "kw.amin", "kw.argmin"]),
        (lambda x: x.sort(dim=1), ["sort: dim", "kw.argsort"]),
        (lambda x: x.std(dim=1), ["std: dim", "n - 1", "correction=1"]),
        (lambda x: x.split(2, dim=1), ["split: dim", "number"]),
        (lambda x: kw.gather(x, x, dim=1), ["gather: dim", "kw.take_along_axis"]),
        (lambda x: kw.scatter_add(x, x, 3, dim=1), ["scatter_add: dim", "kw.add_along_axis"]),
    ],
)
def test_what_would_mean_two_things_is_refused(wrong, words) -> None:
    with pytest.raises(kw.ShapeError) as error:
        wrong(kw.input("x", (3, 4)))
    assert all(word in str(error.value) for word in [*words, __file__]), str(error.value)
