"""Layers that resize and transposed convolution: values and gradients against PyTorch, in 1 to 3 dimensions."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(7)
LINE, IMAGE, BODY = (RNG.standard_normal((2, 4, *space)) for space in [(7,), (5, 7), (3, 5, 4)])

LAYERS = {
    "nearest": (kw.nn.Upsample(2), torch.nn.Upsample(scale_factor=2), IMAGE),
    "nearest, 1-D": (kw.nn.Upsample(3), torch.nn.Upsample(scale_factor=3), LINE),
    "bilinear": (
        kw.nn.Upsample((2, 3), "bilinear"),
        torch.nn.Upsample(scale_factor=(2, 3), mode="bilinear"),
        IMAGE,
    ),
    "linear, 1-D": (kw.nn.Upsample(4, "linear"), torch.nn.Upsample(scale_factor=4, mode="linear"), LINE),
    "trilinear": (kw.nn.Upsample(2, "linear"), torch.nn.Upsample(scale_factor=2, mode="trilinear"), BODY),
    "one pixel": (kw.nn.Upsample(2, "linear"), torch.nn.Upsample(scale_factor=2, mode="bilinear"), IMAGE[:, :, :1, :1]),
    "shuffle": (kw.nn.PixelShuffle(2), torch.nn.PixelShuffle(2), IMAGE),
    "adaptive": (kw.nn.AdaptiveAvgPool((3, 7)), torch.nn.AdaptiveAvgPool2d((3, 7)), IMAGE),
    "adaptive, more than there are": (kw.nn.AdaptiveAvgPool(9), torch.nn.AdaptiveAvgPool1d(9), LINE),
    "adaptive, 3-D": (kw.nn.AdaptiveAvgPool((1, 2, 2)), torch.nn.AdaptiveAvgPool3d((1, 2, 2)), BODY),
    "global": (
        kw.nn.GlobalMaxPool(),
        torch.nn.Sequential(torch.nn.AdaptiveMaxPool2d(1), torch.nn.Flatten()),
        IMAGE,
    ),
    "reshape": (kw.nn.Reshape(2, -1), torch.nn.Unflatten(1, (2, 14)), LINE.reshape(2, 28)),
    "max pool, 1-D": (kw.nn.MaxPool(3, 2, pad=1), torch.nn.MaxPool1d(3, 2, 1), LINE),
    "pool, 3-D": (kw.nn.AvgPool(2), torch.nn.AvgPool3d(2), BODY),
}


def compared(layer, module, values, dtype, device):
    """The layer's values and gradients of a sum of cubes against the module's in float64, with its weights."""
    values = values.astype(dtype)
    x = kw.input("x", (None, *values.shape[1:]), dtype)
    with kw.init.precision(dtype):
        y = layer(x)
    module = module.double()
    if layer.parameters():
        layer.load_state_dict(module.state_dict())
    loss = (y * y * y).sum()
    out = kw.compile([x], [y, *kw.grad(loss, [x, *layer.parameters()])], device=device)(values)
    exact = torch.tensor(values.astype("float64"), requires_grad=True)
    wanted = module(exact)
    (wanted**3).sum().backward()
    expected = [wanted.detach(), exact.grad, *(p.grad for p in module.parameters())]
    close = {"rtol": 2e-5, "atol": 1e-4} if dtype == "float32" else {"rtol": 1e-11, "atol": 1e-12}
    for value, want in zip(out, expected, strict=True):
        assert value.dtype == dtype
        np.testing.assert_allclose(value, want.numpy(), **close)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_without_weights_are_those_of_torch(name):
    compared(*LAYERS[name], "float64", "reference")


def test_compiled_layers_are_those_of_torch():
    net = kw.nn.Sequential(
        kw.nn.Upsample(2, "bilinear"), kw.nn.PixelShuffle(2), kw.nn.AdaptiveAvgPool((6, 5)), kw.nn.Upsample((1, 3))
    )
    theirs = torch.nn.Sequential(
        torch.nn.Upsample(scale_factor=2, mode="bilinear"),
        torch.nn.PixelShuffle(2),
        torch.nn.AdaptiveAvgPool2d((6, 5)),
        torch.nn.Upsample(scale_factor=(1, 3)),
    )
    compared(net, theirs, IMAGE, "float32", "cpu")


CONVOLUTIONS = [
    (kw.nn.Conv(6, 3, stride=2, pad=1, groups=2), torch.nn.Conv1d(4, 6, 3, 2, 1, groups=2), LINE),
    (
        kw.nn.Conv(3, (2, 3, 1), dilation=(1, 2, 1), bias=False),
        torch.nn.Conv3d(4, 3, (2, 3, 1), dilation=(1, 2, 1), bias=False),
        BODY,
    ),
]


@pytest.mark.parametrize("layer, module, values", CONVOLUTIONS, ids=["1-D", "3-D"])
def test_convolution_is_that_of_torch(layer, module, values):
    compared(layer, module, values, "float64", "reference")


TRANSPOSED = {
    "plain": (LINE, {}, {}),
    "stride and what is over": (IMAGE, {"stride": 2, "pad": 1, "output_padding": 1}, {"stride": 2, "padding": 1}),
    "groups": (IMAGE, {"groups": 2, "stride": (2, 1), "bias": False}, {"groups": 2, "stride": (2, 1), "bias": False}),
    "dilation": (
        IMAGE,
        {"dilation": 2, "stride": 3, "pad": (0, 2), "output_padding": (2, 0)},
        {"dilation": 2, "stride": 3, "padding": (0, 2)},
    ),
    "3-D": (BODY, {"stride": 2}, {"stride": 2}),
}


@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_convolution_is_that_of_torch(name):
    values, ours, theirs = TRANSPOSED[name]
    module = (torch.nn.ConvTranspose1d, torch.nn.ConvTranspose2d, torch.nn.ConvTranspose3d)[values.ndim - 3]
    theirs = {**theirs, "output_padding": ours.get("output_padding", 0)}
    compared(kw.nn.ConvTranspose(6, 3, **ours), module(4, 6, 3, **theirs), values, "float64", "reference")


def test_compiled_transposed_convolution_is_that_of_torch():
    theirs = torch.nn.ConvTranspose2d(4, 6, (2, 3), stride=2, padding=1, groups=2, output_padding=1)
    ours = kw.nn.ConvTranspose(6, (2, 3), stride=2, pad=1, groups=2, output_padding=1)
    compared(ours, theirs, IMAGE, "float32", "cpu")


def test_what_does_not_fit_is_refused_with_a_way_out():
    x = kw.input("x", (None, 4, 5, 7))
    for layer, words in [
        (kw.nn.PixelShuffle(3), "3x3 divides"),
        (kw.nn.Upsample((2, 2, 2)), "each of 2 axes"),
        (kw.nn.Reshape(3, -1), "reshape"),
        (kw.nn.ConvTranspose(6, 3, output_padding=1), "below the stride"),
        (kw.nn.ConvTranspose(6, 3, groups=4), "4 groups must divide"),
        (kw.nn.ConvTranspose(6, 1, pad=3), "takes all there is"),
    ]:
        with pytest.raises(kw.nn.LayerError, match=words):
            layer(x)
    with pytest.raises(kw.nn.LayerError, match="here it is filters"):
        kw.nn.ConvTranspose(out_channels=3, window=3)
