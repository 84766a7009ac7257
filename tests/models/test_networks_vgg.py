"""VGG: published parameter counts, shapes, and agreement with an independent definition in PyTorch."""

from __future__ import annotations

import pytest
from agreement import count, disagreement

import kernelwright as kw

PLANS = {
    "vgg11": [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "vgg13": [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "vgg16": [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"],
    "vgg19": [64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M"],
}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("vgg11", 132_863_336), ("vgg13", 133_047_848), ("vgg16", 138_357_544), ("vgg19", 143_667_240)],
)
def test_parameters(name, parameters):
    assert count(name) == parameters


def test_the_last_pooling_leaves_seven_by_seven_and_the_name_counts_the_weights():
    with kw.init.undrawn():
        model = kw.models.vgg16()
    assert [r.output for r in model.rows() if r.kind == "MaxPool"][-1] == "(batch, 512, 7, 7)"
    assert sum(len(p.shape) > 1 for p in model.parameters()) == 16


def test_dropout_is_an_option():
    with kw.init.undrawn():
        layers = kw.models.vgg11(input_shape=(3, 32, 32), dropout=0.25).net.layers
    assert [layer.p for layer in layers if isinstance(layer, kw.nn.Dropout)] == [0.25, 0.25]


@pytest.mark.slow
@pytest.mark.parametrize("name", list(PLANS))
def test_vgg_agrees(name):
    networks = pytest.importorskip("torch_networks")
    with kw.init.precision("float64"):
        model = kw.models.build(name, classes=5, input_shape=(3, 32, 32), dropout=0.0)
    assert disagreement(model, networks.VGG(PLANS[name], 5, 1)) < 1e-10


@pytest.mark.slow
def test_vgg_agrees_on_the_cpu_device():
    networks = pytest.importorskip("torch_networks")
    with kw.init.precision("float64"):
        model = kw.models.vgg11(classes=5, input_shape=(3, 32, 64), dropout=0.0)
    assert disagreement(model, networks.VGG(PLANS["vgg11"], 5, 2), device="cpu") < 1e-10
