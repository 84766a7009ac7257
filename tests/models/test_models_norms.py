"""Norms of single examples, embeddings, dropout of channels: values and gradients against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(5)
IMAGES = RNG.standard_normal((3, 6, 5, 7)) * 2 + 1

LAYERS = {
    "groups": (lambda: kw.nn.GroupNorm(3), lambda: torch.nn.GroupNorm(3, 6), IMAGES),
    "groups of vectors": (lambda: kw.nn.GroupNorm(2), lambda: torch.nn.GroupNorm(2, 6), IMAGES[:, :, 0, 0]),
    "one group, plain": (
        lambda: kw.nn.GroupNorm(1, affine=False, eps=1e-3),
        lambda: torch.nn.GroupNorm(1, 6, eps=1e-3, affine=False),
        IMAGES[:, :, 0],
    ),
    "instances": (lambda: kw.nn.InstanceNorm(), lambda: torch.nn.InstanceNorm2d(6), IMAGES),
    "instances, 1-D": (
        lambda: kw.nn.InstanceNorm(affine=True),
        lambda: torch.nn.InstanceNorm1d(6, affine=True),
        IMAGES[:, :, 0],
    ),
    "mean square": (lambda: kw.nn.RMSNorm(), lambda: torch.nn.RMSNorm(7), IMAGES),
    "mean square, plain": (
        lambda: kw.nn.RMSNorm(eps=0.1, affine=False),
        lambda: torch.nn.RMSNorm(7, eps=0.1, elementwise_affine=False),
        IMAGES,
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_norms_are_those_of_torch(name, dtype):
    make, theirs, values = LAYERS[name]
    values = values.astype(dtype)
    x = kw.input("x", (None, *values.shape[1:]), dtype)
    with kw.init.precision(dtype):
        layer = make()
        y = layer(x)
    module = theirs().double()
    for p in module.parameters():
        torch.nn.init.normal_(p)
    if layer.parameters():
        layer.load_state_dict(module.state_dict())
    loss = (y * y * y).sum()
    device = "cpu" if dtype == "float32" else "reference"
    out = kw.compile([x], [y, *kw.grad(loss, [x, *layer.parameters()])], device=device)(values)
    exact = torch.tensor(values.astype("float64"), requires_grad=True)
    wanted = module(exact)
    (wanted**3).sum().backward()
    expected = [wanted.detach(), exact.grad, *(p.grad for p in module.parameters())]
    close = {"rtol": 2e-5, "atol": 2e-4} if dtype == "float32" else {"rtol": 1e-7, "atol": 1e-9}
    for value, want in zip(out, expected, strict=True):
        assert value.dtype == dtype
        np.testing.assert_allclose(value, want.numpy(), **close)


def test_an_embedding_looks_rows_up_and_sums_gradients_into_them(device):
    tokens = np.array([[1, 4, 4], [0, 2, 4]], "int32")
    layer = kw.nn.Embedding(5, 3, padding_idx=2)
    x = kw.input("x", (None, 3), "int32")
    y = layer(x)
    module = torch.nn.Embedding(5, 3, padding_idx=2)
    layer.load_state_dict(module.state_dict())
    value, slope = kw.compile([x], [y, kw.grad((y * y).sum(), layer.weight)], device=device)(tokens)
    wanted = module(torch.tensor(tokens))
    (wanted**2).sum().backward()
    assert value.shape == (2, 3, 3) and (value[1, 1] == 0).all()
    np.testing.assert_allclose(value, wanted.detach().numpy())
    np.testing.assert_allclose(slope, module.weight.grad.numpy(), rtol=1e-6)


def test_an_embedding_refuses_what_it_has_no_row_for():
    x = kw.input("x", (None,), "int32")
    program = kw.compile([x], [kw.nn.Embedding(5, 3)(x)], device="reference")
    with pytest.raises(kw.KernelwrightError, match=r"5"):
        program(np.array([5], "int32"))
    with pytest.raises(kw.nn.LayerError, match="int32"):
        kw.nn.Embedding(5, 3)(kw.input("x", (None,)))
    with pytest.raises(kw.nn.LayerError, match="here it is num_embeddings"):
        kw.nn.Embedding(input_dim=5, output_dim=3)
    with pytest.raises(kw.nn.LayerError, match="3 groups must divide"):
        kw.nn.GroupNorm(3)(kw.input("x", (None, 4, 2)))
    with pytest.raises(kw.nn.LayerError, match="channels are learnt"):
        kw.nn.GroupNorm(8, 64)


def test_spatial_dropout_takes_whole_channels():
    layer = kw.nn.SpatialDropout(0.25, seed=3)
    x = kw.input("x", (None, 50, 2, 3))
    y = kw.compile([x], [layer(x, training=True)], device="reference")(np.ones((40, 50, 2, 3), "float32"))
    first = y[:, :, 0, 0]
    assert (y == first[:, :, None, None]).all()
    np.testing.assert_allclose(np.unique(first), [0, 1 / 0.75], rtol=1e-6)
    assert 0.2 < (first == 0).mean() < 0.3
