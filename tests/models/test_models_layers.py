"""Layers: shapes and values against NumPy formulas (and PyTorch where it is installed), names, statistics, errors."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw

RNG = np.random.default_rng(1)


def run(layer, *arrays, training=False, device="reference"):
    x = kw.input("x", (None, *arrays[0].shape[1:]))
    y = layer(x, training=training)
    return kw.compile([x], [y], layer.updates() if training else {}, device=device)(*arrays)


def test_dense_is_x_times_weight_transposed_plus_bias(device):
    x = RNG.standard_normal((5, 7)).astype("float32")
    layer = kw.nn.Dense(3, bias_init=kw.init.normal(1.0))
    y = run(layer, x, device=device)
    weight, bias = map(kw.get_value, layer.parameters())
    assert weight.shape == (3, 7)
    np.testing.assert_allclose(y, x @ weight.T + bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pad": 1},
        {"stride": 2, "pad": (1, 0)},
        {"dilation": (2, 1)},
        {"groups": 2},
        {"pad": "same"},
        {"bias": False},
    ],
)
def test_conv_agrees_with_torch(options):
    torch = pytest.importorskip("torch")
    x = RNG.standard_normal((2, 4, 9, 7)).astype("float32")
    layer = kw.nn.Conv(6, (3, 5), **options)
    y = run(layer, x)
    weight, *bias = [torch.tensor(kw.get_value(p)) for p in layer.parameters()]
    given = {"padding": options.get("pad", 0), **{k: v for k, v in options.items() if k not in ("pad", "bias")}}
    expected = torch.nn.functional.conv2d(torch.tensor(x), weight, bias[0] if bias else None, **given)
    np.testing.assert_allclose(y, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_same_padding_with_stride_gives_the_ceiling():
    x = kw.input("x", (None, 1, 7, 8))
    assert kw.nn.Conv(2, 3, stride=2, pad="same")(x).shape[2:] == (4, 4)


def test_pools_flatten_and_norms():
    x = RNG.standard_normal((3, 2, 4, 6)).astype("float32")
    blocks = x.reshape(3, 2, 2, 2, 3, 2)
    np.testing.assert_allclose(run(kw.nn.MaxPool(2), x), blocks.max((3, 5)))
    np.testing.assert_allclose(run(kw.nn.AvgPool(2), x), blocks.mean((3, 5)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run(kw.nn.GlobalAvgPool(), x), x.mean((2, 3)), rtol=1e-5, atol=1e-6)
    assert run(kw.nn.Flatten(), x).shape == (3, 48)
    normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(run(kw.nn.LayerNorm(), x), normal, rtol=1e-4, atol=1e-5)
    squares = np.pad(x * x, [(0, 0), (1, 1), (0, 0), (0, 0)])
    total = sum(squares[:, i : i + 2] for i in range(3))
    expected = x / (2 + 0.1 / 3 * total) ** 0.75
    np.testing.assert_allclose(run(kw.nn.LocalResponseNorm(3, 0.1), x), expected, rtol=1e-5)


def test_batch_norm_normalises_by_the_batch_and_keeps_running_averages(device):
    x = (RNG.standard_normal((4, 3, 5, 2)) * 3 + 1).astype("float32")
    layer = kw.nn.BatchNorm()
    y = run(layer, x, training=True, device=device)
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    wide = (1, 3, 1, 1)
    np.testing.assert_allclose(y, (x - mean.reshape(wide)) / np.sqrt(var.reshape(wide) + 1e-5), rtol=1e-4, atol=1e-4)
    running = [kw.get_value(b) for b in layer.buffers()]
    np.testing.assert_allclose(running[0], 0.1 * mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(running[1], 0.9 + 0.1 * x.var((0, 2, 3), ddof=1), rtol=1e-4)
    shifted = (x - running[0].reshape(wide)) / np.sqrt(running[1].reshape(wide) + 1e-5)
    np.testing.assert_allclose(run(layer, x, device=device), shifted, rtol=1e-4, atol=1e-4)


def test_dropout_keeps_the_mean_moves_its_generator_and_rests_in_inference():
    x = np.ones((100, 200), "float32")
    layer = kw.nn.Dropout(0.3, seed=5)
    inputs = kw.input("x", (None, 200))
    program = kw.compile([inputs], [layer(inputs, training=True)], layer.updates(), device="reference")
    first, second = program(x), program(x)
    assert set(np.unique(first).round(4)) == {0.0, np.float32(1 / 0.7).round(4)}
    assert abs(first.mean() - 1) < 0.02
    assert (first != second).any()
    assert (run(layer, x) == x).all()


def test_names_follow_the_layers_and_are_unique():
    net = kw.nn.Sequential(
        kw.nn.Conv(2, 3, pad=1),
        kw.tanh,
        kw.nn.Conv(2, 3, pad=1),
        kw.nn.Residual(kw.nn.Sequential(kw.nn.Conv(2, 1), kw.nn.BatchNorm()), name="block"),
    )
    net(kw.input("x", (None, 1, 6, 6)))
    names = [p.attrs.name for p in net.parameters()]
    assert names == [
        "conv1.weight",
        "conv1.bias",
        "conv2.weight",
        "conv2.bias",
        "block.body.conv1.weight",
        "block.body.conv1.bias",
        "block.body.batchnorm1.scale",
        "block.body.batchnorm1.shift",
    ]
    assert [b.attrs.name for b in net.buffers()] == ["block.body.batchnorm1.mean", "block.body.batchnorm1.var"]


def test_a_layer_of_the_users_own_finds_its_children():
    class Twice(kw.nn.Layer):
        def __init__(self):
            super().__init__()
            self.first, self.rest = kw.nn.Dense(4), [kw.nn.Dense(3), kw.nn.Dense(2)]

        def forward(self, x, training):
            for layer in (self.first, *self.rest):
                x = layer(x, training)
            return x

    layer = Twice()
    assert layer(kw.input("x", (None, 5))).shape[1] == 2
    assert [p.attrs.name for p in layer.parameters()][::2] == ["first.weight", "rest.0.weight", "rest.1.weight"]


def test_errors_say_what_to_do():
    with pytest.raises(kw.nn.LayerError, match="call it once on a tensor"):
        kw.nn.Dense(3).parameters()
    with pytest.raises(kw.nn.LayerError, match="make one of it first"):
        kw.nn.Sequential(kw.nn.Flatten)
    with pytest.raises(kw.nn.LayerError, match="1x1 Conv"):
        kw.nn.Residual(kw.nn.Conv(3, 1))(kw.input("x", (None, 2, 4, 4)))
    with pytest.raises(kw.nn.LayerError, match="groups must divide"):
        kw.nn.Conv(3, 1, groups=2)(kw.input("x", (None, 2, 4, 4)))
    with pytest.raises(kw.nn.LayerError, match="probability"):
        kw.nn.Dropout(1.0)
    dense = kw.nn.Dense(2)
    dense(kw.input("x", (None, 3)))
    with pytest.raises(kw.nn.LayerError, match="takes 3 features"):
        dense(kw.input("x", (None, 4)))
