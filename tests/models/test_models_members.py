"""Layers of a user's own: what belongs to them, how they are called, and in which mode."""

import numpy as np
import pytest

import kernelwright as kw

nn = kw.nn


def names(variables):
    return [v.attrs.name for v in variables]


def test_variables_and_layers_in_lists_tuples_and_dicts():
    class Net(nn.Layer):
        def __init__(self):
            super().__init__()
            self.gain = kw.variable("gain", np.ones(3, "float32"))
            self.calls = kw.variable("calls", np.array(0, "int32"))
            self.blocks = [nn.Dense(3), (nn.Dense(3, bias=False), [kw.variable("deep", np.ones(3, "float32"))])]
            self.heads = {"main": nn.Dense(2), "extra": {"gate": kw.variable("gate", np.ones(2, "float32"))}}

        def forward(self, x, training):
            x = self.blocks[1][0](self.blocks[0](x * self.gain)) * self.blocks[1][1][0]
            return self.heads["main"](x) * self.heads["extra"]["gate"]

    net = Net()
    x = kw.input("x", (None, 3))
    y = net(x)
    assert names(net.parameters()) == [
        "gain", "deep", "gate", "blocks.0.weight", "blocks.0.bias", "blocks.1.0.weight", "heads.main.weight",
        "heads.main.bias",
    ]  # fmt: skip
    assert names(net.buffers()) == ["calls"]
    # d mean(y) / d gate of a program that trains all of them
    loss = kw.mean(y)
    step = kw.compile([x], [loss], kw.optim.SGD(0.1).updates(net.parameters(), kw.grad(loss, net.parameters())))
    before = [kw.get_value(p) for p in net.parameters()]
    step(np.ones((4, 3), "float32"))
    assert all((kw.get_value(p) != b).any() for p, b in zip(net.parameters(), before) if p.attrs.name != "x")


def test_what_is_kept_is_not_counted_twice_nor_buffers_trained():
    class Net(nn.Layer):
        def build(self, x):
            self.weight = self.parameter("weight", np.ones(2))
            self.seen = self.buffer("seen", np.zeros(2, "float32"))
            self.norm = nn.BatchNorm()
            self.all = [self.weight, self.seen, self.norm]
            self.self_again, self.loop = self, []
            self.loop.append(self.loop)

        def forward(self, x, training):
            return self.norm(x * self.weight)

    net = Net()
    net(kw.variable("data", np.ones((3, 2), "float32")))
    assert names(net.parameters()) == ["weight", "batchnorm.scale", "batchnorm.shift"]
    assert names(net.buffers()) == ["seen", "batchnorm.mean", "batchnorm.var"]


def test_a_layer_without_the_base_constructor():
    class Net(nn.Layer):
        def __init__(self, units):
            self.inner = nn.Dense(units)

        def forward(self, x):
            return self.inner(x)

    net = Net(4)
    assert net(kw.input("x", (None, 3))).shape[1:] == (4,)
    assert names(net.parameters()) == ["inner.weight", "inner.bias"] and net.name is None


def test_layers_inside_a_forward_with_one_argument_have_the_mode():
    class Net(nn.Layer):
        def __init__(self):
            self.drop = nn.Dropout(0.999, seed=1)

        def forward(self, x):
            return self.drop(x)

    x = kw.input("x", (None, 8))
    net = Net()
    assert net(x) is x and net(x, training=False) is x
    y = kw.compile([x], [net(x, training=True)], net.updates(), device="reference")(np.ones((4, 8), "float32"))
    assert (y == 0).any()
    inner = nn.Sequential(net)
    assert inner(x, training=True) is not x and inner(x) is x

    class Frozen(Net):
        def forward(self, x, training):
            return self.drop(x, training=False)

    assert Frozen()(x, training=True) is x


@pytest.mark.parametrize("forward, words", [
    (lambda self: None, r"forward\(self, x\) or forward\(self, x, training\)"),
    (lambda self, x, y: x, r"forward\(self, x\) or forward\(self, x, training\)"),
    (lambda self, x: None, "gives NoneType, not a tensor"),
    (None, "has no forward"),
])  # fmt: skip
def test_a_forward_that_cannot_be(forward, words):
    kind = type("Net", (nn.Layer,), {"forward": forward} if forward else {})
    with pytest.raises(nn.LayerError, match=words):
        kind()(kw.input("x", (None, 3)))


def test_a_mode_that_is_none():
    with pytest.raises(nn.LayerError, match="training, is True or False, not 1"):
        nn.Dense(3)(kw.input("x", (None, 3)), 1)
