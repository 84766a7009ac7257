"""GoogLeNet: parameter counts, the sizes of table 1, its heads, and agreement with a definition in PyTorch."""

from __future__ import annotations

import pytest
from agreement import count, disagreement

import kernelwright as kw


def test_parameters_with_and_without_heads():
    assert count("googlenet", heads=False) == 6_998_552
    assert count("googlenet") == 6_998_552 + 6_379_728


def test_parameters_are_those_of_the_independent_definition():
    networks = pytest.importorskip("torch_networks")
    assert count("googlenet") == sum(p.numel() for p in networks.GoogLeNet(1000).parameters())


def test_the_sizes_are_those_of_table_1():
    with kw.init.undrawn():
        rows = kw.models.googlenet().rows()
    pools = [r.output for r in rows if r.kind == "MaxPool" and "inception" not in r.path]
    assert pools == ["(batch, 64, 56, 56)", "(batch, 192, 28, 28)", "(batch, 480, 14, 14)", "(batch, 832, 7, 7)"]
    assert next(r.output for r in rows if r.kind == "GlobalAvgPool") == "(batch, 1024)"


def test_heads_count_in_training_only():
    with kw.init.undrawn():
        model = kw.models.googlenet(classes=7, input_shape=(3, 80, 80))
    model(model.images())
    assert model.net.heads() == []
    model(model.images(), training=True)
    assert [(weight, head.shape[1]) for weight, head in model.net.heads()] == [(0.3, 7), (0.3, 7)]


def test_images_too_small_for_the_heads_are_refused():
    with pytest.raises(ValueError, match=r"79x79 pixels or more .* 78x224; heads=False takes them from 31x31"):
        kw.models.googlenet(input_shape=(3, 78, 224))
    assert count("googlenet", input_shape=(3, 79, 79), classes=2) > 0
    assert count("googlenet", input_shape=(3, 32, 32), heads=False) == 6_998_552


def build(**options):
    with kw.init.precision("float64"):
        return kw.models.googlenet(classes=5, dropout=0.0, head_dropout=0.0, **options)


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True])
def test_googlenet_agrees(training):
    networks = pytest.importorskip("torch_networks")
    model = build(input_shape=(3, 80, 128), heads=training)
    net = networks.GoogLeNet(5, pixels=2)
    if not training:
        del net.head1, net.head2
    assert disagreement(model, net, training=training) < 1e-10


@pytest.mark.slow
def test_the_first_modules_agree_on_the_cpu_device():
    networks = pytest.importorskip("torch_networks")
    from torch import nn

    from kernelwright.models.networks.googlenet import inception

    net = kw.nn.Sequential(
        inception(64, (96, 128), (16, 32), 32),
        inception(128, (128, 192), (32, 96), 64),
        kw.nn.MaxPool(3, stride=2, pad=((0, 1), (0, 1))),
        kw.nn.Flatten(),
        kw.nn.Dense(5),
    )
    with kw.init.precision("float64"):
        model = kw.models.Model("modules", net, (192, 8, 6), 5)
    theirs = nn.Sequential(
        networks.Inception(192, 64, 96, 128, 16, 32, 32),
        networks.Inception(256, 128, 128, 192, 32, 96, 64),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Flatten(),
        nn.Linear(480 * 4 * 3, 5),
    )
    assert disagreement(model, theirs, "cpu", batch=3) < 1e-10
