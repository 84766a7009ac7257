"""ResNets: published parameter counts, shapes, and agreement with an independent definition in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from agreement import count, disagreement

import kernelwright as kw


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
        ("resnet20", 269_722),
        ("resnet110", 1_727_962),
        ("resnet164_preact", 1_703_258),
    ],
)
def test_parameters(name, parameters):
    assert count(name) == parameters


@pytest.mark.parametrize(("name", "millions"), [("resnet32", 0.46), ("resnet44", 0.66), ("resnet56", 0.85)])
def test_parameters_are_those_of_the_papers_table(name, millions):
    assert round(count(name) / 1e6, 2) == millions


@pytest.mark.slow
def test_parameters_of_a_thousand_layers():
    assert count("resnet1202") == 19_421_274  # 19.4M (He et al. 2016, table 6)
    assert count("resnet1001_preact") == 10_327_706
    with kw.init.undrawn():
        model = kw.models.resnet1001_preact()
    weights = [np.prod(p.shape) for p in model.parameters() if len(p.shape) > 1]
    assert round(sum(weights) / 1e6, 1) == 10.2  # the paper's figure, which leaves out norms


def test_stride_first_has_the_same_parameters_and_shape():
    with kw.init.undrawn():
        model = kw.models.resnet50(stride_first=True)
    assert model.size() == 25_557_032
    convolutions = [r for r in model.rows() if r.kind == "Conv"]
    assert len(convolutions) == 53
    assert convolutions[-1].output == "(batch, 2048, 7, 7)"


def test_the_number_of_layers_with_weights_is_the_name():
    for name, depth in (("resnet20", 20), ("resnet56", 56), ("resnet164_preact", 164)):
        with kw.init.undrawn():
            model = kw.models.build(name)
        weights = [p for p in model.parameters() if len(p.shape) > 1]
        shortcuts = [p for p in weights if ".shortcut." in p.attrs.name]
        assert len(weights) - len(shortcuts) == depth


def test_an_unknown_shortcut_is_refused():
    with pytest.raises(ValueError, match="not 'C'"):
        kw.models.resnet20(shortcut="C")


def test_a_cifar_resnet_runs_on_any_device(device):
    model = kw.models.resnet20(input_shape=(3, 8, 8))
    images = np.random.default_rng(0).random((3, 3, 8, 8), dtype="float32")
    x = model.images()
    y = kw.compile([x], [kw.softmax(model(x))], device=device)(images)
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-5)


def build(name, **options):
    with kw.init.precision("float64"):
        return kw.models.build(name, **options)


@pytest.mark.slow
def test_resnet18_agrees():
    networks = pytest.importorskip("torch_networks")
    model = build("resnet18", classes=7, input_shape=(3, 40, 33))
    assert disagreement(model, networks.ResNet((2, 2, 2, 2), 7)) < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "depths"),
    [
        ("resnet34", (3, 4, 6, 3)),
        ("resnet50", (3, 4, 6, 3)),
        ("resnet101", (3, 4, 23, 3)),
        ("resnet152", (3, 8, 36, 3)),
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_deeper_imagenet_resnets_agree(name, depths, training):
    networks = pytest.importorskip("torch_networks")
    model = build(name, classes=3, input_shape=(3, 40, 40))
    net = networks.ResNet(depths, 3, bottleneck=name != "resnet34")
    assert disagreement(model, net, training=training) < 1e-8


@pytest.mark.slow
def test_resnet50_as_published_agrees():
    networks = pytest.importorskip("torch_networks")
    model = build("resnet50", classes=3, input_shape=(3, 40, 40), stride_first=True)
    net = networks.ResNet((3, 4, 6, 3), 3, bottleneck=True, stride_first=True)
    assert disagreement(model, net) < 1e-8


@pytest.mark.parametrize(("shortcut", "training"), [("A", True), ("B", False)])
def test_resnet20_agrees(shortcut, training):
    networks = pytest.importorskip("torch_networks")
    model = build("resnet20", input_shape=(3, 9, 6), shortcut=shortcut)
    assert disagreement(model, networks.CifarResNet(20, 10, shortcut), training=training) < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("depth", [32, 44, 56, 110])
def test_deeper_cifar_resnets_agree(depth):
    networks = pytest.importorskip("torch_networks")
    model = build(f"resnet{depth}", input_shape=(3, 16, 16))
    assert disagreement(model, networks.CifarResNet(depth, 10)) < 1e-8


@pytest.mark.slow
def test_preactivation_resnet_agrees():
    networks = pytest.importorskip("torch_networks")
    model = build("resnet164_preact", input_shape=(3, 16, 16))
    assert disagreement(model, networks.PreactivatedResNet(164, 10)) < 1e-8


@pytest.mark.slow
def test_resnet20_agrees_on_the_cpu_device():
    networks = pytest.importorskip("torch_networks")
    model = build("resnet20", input_shape=(3, 12, 12))
    assert disagreement(model, networks.CifarResNet(20, 10), "cpu", batch=8) < 1e-9
