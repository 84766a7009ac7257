"""MobileNet and DenseNets: published parameter counts, shapes, and agreement with their definitions in PyTorch."""

from __future__ import annotations

from importlib import import_module

import pytest
from agreement import count, disagreement

import kernelwright as kw
from kernelwright.models.checks import SettingError


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("mobilenet", 4_231_976),  # timm's mobilenetv1_100 has 4.23M; 4.2M in table 8 of the paper
        ("densenet121", 7_978_856),  # torchvision, as are the next two
        ("densenet169", 14_149_480),
        ("densenet201", 20_013_928),
    ],
)
def test_parameters(name, parameters):
    assert count(name) == parameters


@pytest.mark.parametrize(("width", "millions"), [(0.75, 2.6), (0.5, 1.3), (0.25, 0.5)])
def test_narrower_mobilenets_have_the_papers_parameters(width, millions):
    assert round(count("mobilenet", width=width) / 1e6, 1) == millions  # table 6


@pytest.mark.parametrize("width", [0, -1, 5])
def test_a_width_that_is_none_is_refused(width):
    with pytest.raises(SettingError, match="width="):
        kw.models.mobilenet(width=width)


def test_mobilenet_does_the_papers_multiply_adds():
    from kernelwright.bench.ours import flops

    with kw.init.undrawn():
        model = kw.models.mobilenet()
    assert round(flops(model, 1, training=False) / 2e6) == 569  # table 4


def test_densenet_has_121_layers_of_weights_and_the_papers_sizes():
    with kw.init.undrawn():
        model = kw.models.densenet121()
    assert sum(len(p.shape) > 1 for p in model.parameters()) == 121
    outputs = {row.output for row in model.rows()}
    for size in ("256, 56, 56", "128, 28, 28", "512, 28, 28", "256, 14, 14", "1024, 14, 14", "512, 7, 7", "1024, 7, 7"):
        assert f"(batch, {size})" in outputs, size


@pytest.mark.slow
@pytest.mark.parametrize(("name", "file"), [("mobilenet", "mobilenet"), ("densenet121", "densenet")])
@pytest.mark.parametrize("training", [False, True])
def test_agrees_with_pytorch(name, file, training):
    pytest.importorskip("torch")
    theirs = getattr(import_module(f"kernelwright.bench.networks.{file}"), name)(5)
    with kw.init.precision("float64"):
        model = kw.models.build(name, classes=5, input_shape=(3, 64, 40))
    assert disagreement(model, theirs, training=training, batch=3) < 1e-8
