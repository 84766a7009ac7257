"""The Inception networks after GoogLeNet: parameter counts, sizes of the papers, and agreement with PyTorch."""

from __future__ import annotations

import inspect

import pytest
from agreement import count, disagreement

import kernelwright as kw

IMAGENET = {
    "bn_inception": 11_278_528,
    "inception_v3": 27_161_264,
    "inception_v4": 42_679_816,
    "inception_resnet_v1": 22_756_328,
    "inception_resnet_v2": 32_433_928,
}


@pytest.mark.parametrize("name", IMAGENET)
def test_parameters_are_those_of_the_independent_definition(name):
    networks = pytest.importorskip("torch_inception")
    import torch

    with torch.device("meta"):
        theirs = getattr(networks, name)(1000)
    assert count(name) == IMAGENET[name] == sum(p.numel() for p in theirs.parameters())


def test_parameters_of_reference_implementations():
    norms = 10_016  # channels with a norm; the Caffe port of BN-Inception has a bias before each
    assert count("bn_inception", separable_stem=False) == 11_295_240 - norms
    assert count("inception_v3", heads=False) == 23_834_568  # torchvision
    assert count("inception_resnet_v2", released=True) == 55_843_464  # timm, of the authors' code


def test_the_images_shrink_as_in_the_papers():
    images = {
        "bn_inception": {"192, 28, 28", "160, 14, 14", "256, 7, 7", "1024"},
        "inception_v3": {"64, 147, 147", "64, 73, 73", "192, 35, 35", "384, 17, 17", "320, 8, 8", "2048"},
        "inception_v4": {"96, 73, 73", "192, 35, 35", "1024, 8, 8", "1536"},
        "inception_resnet_v1": {"256, 35, 35", "896, 17, 17", "1792, 8, 8", "1792"},
        "inception_resnet_v2": {"384, 35, 35", "1152, 17, 17", "2144, 8, 8", "2144"},
    }
    for name, expected in images.items():
        with kw.init.undrawn():
            rows = kw.models.build(name).rows()
        assert expected <= {row.output.removeprefix("(batch, ").rstrip(")") for row in rows}


def test_the_head_counts_in_training_only():
    with kw.init.undrawn():
        model = kw.models.inception_v3(classes=7)
    assert model.net.heads() == []
    model(model.images(), training=True)
    assert [(weight, head.shape[1]) for weight, head in model.net.heads()] == [(0.4, 7)]


def test_inception_v3_takes_smaller_images_without_its_head():
    said = "inception_v3: images of 299x299 pixels or more are needed, not 74x299; heads=False takes them from 75x75"
    with kw.init.undrawn(), pytest.raises(ValueError, match=said):
        kw.models.build("inception_v3", input_shape=(3, 74, 299))
    assert count("inception_v3", input_shape=(3, 75, 75), classes=2, heads=False) > 0


def test_recipes_are_the_papers():
    recipe = inspect.unwrap(kw.models.inception_v3).__globals__["RECIPE"]
    optimizer = recipe.build(steps_per_epoch=100)
    rate = optimizer.learning_rate
    assert [round(rate.at(step), 6) for step in (0, 199, 200, 400)] == [0.045, 0.045, 0.0423, 0.039762]
    assert (optimizer.alpha, optimizer.eps) == (0.9, 1.0)
    assert recipe.criterion().keywords == {"label_smoothing": 0.1}


def build(name, **options):
    with kw.init.precision("float64"):
        return kw.models.build(name, classes=5, **options)


CASES = {
    "bn_inception": ((3, 48, 37), {}, {}),
    "bn_inception, plain stem": ((3, 33, 40), {"separable_stem": False}, {"separable": False}),
    "inception_v3": ((3, 107, 107), {"heads": False, "dropout": 0.0}, {"heads": False}),
    "inception_v4": ((3, 107, 107), {"dropout": 0.0}, {}),
    "inception_resnet_v1": ((3, 107, 107), {"dropout": 0.0}, {}),
    "inception_resnet_v2": ((3, 107, 107), {"dropout": 0.0}, {}),
    "inception_resnet_v2, released": ((3, 107, 107), {"dropout": 0.0, "released": True}, {"released": True}),
}


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_they_agree(case, training):
    networks = pytest.importorskip("torch_inception")
    shape, ours, theirs = CASES[case]
    name = case.partition(",")[0]
    net = getattr(networks, name)(5, **theirs)
    model = build(name, input_shape=shape, **ours)
    vanishing = ("block_c10.body.conv1.bias",) if training and "released" in case else ()
    assert disagreement(model, net, batch=3, training=training, vanishing=vanishing) < 1e-8


@pytest.mark.slow
def test_inception_v3_agrees_with_its_head():
    networks = pytest.importorskip("torch_inception")
    model = build("inception_v3", input_shape=(3, 299, 299), dropout=0.0)
    assert disagreement(model, networks.inception_v3(5)) < 1e-8


def test_the_head_agrees():
    networks = pytest.importorskip("torch_inception")
    from kernelwright.models.networks.inception_v3 import auxiliary

    with kw.init.precision("float64"):
        model = kw.models.Model("head", auxiliary(5), (768, 17, 20), 5)
    assert disagreement(model, networks.v3_head(5), batch=3) < 1e-10


@pytest.mark.slow
def test_scaled_residuals_agree_on_the_cpu_device():
    networks = pytest.importorskip("torch_inception")
    from torch import nn

    from kernelwright.models.networks.inception_resnet import _block_a, _block_c

    net = kw.nn.Sequential(
        *_block_a(24, (8, 16), 0.17, "a"),
        *_block_c(24, (8, 16), 0.2, "c", last=True),
        kw.nn.GlobalAvgPool(),
        kw.nn.Dense(5),
    )
    with kw.init.precision("float64"):
        model = kw.models.Model("blocks", net, (24, 6, 5), 5)
    theirs = nn.Sequential(
        networks.block_a(24, (8, 16), 0.17),
        networks.block_c(24, (8, 16), 0.2, last=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, 5),
    )
    assert disagreement(model, theirs, "cpu", batch=3) < 1e-10
