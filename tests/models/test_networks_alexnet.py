"""AlexNet and ZFNet: parameter counts, sizes of the papers, and agreement with an independent PyTorch definition."""

from __future__ import annotations

import pytest
from agreement import count, disagreement

import kernelwright as kw


def outputs(name, kind):
    with kw.init.undrawn():
        return [r.output for r in kw.models.build(name).rows() if r.kind == kind]


def test_parameters():
    assert count("alexnet") == 60_965_224
    assert count("zfnet") == 62_357_608


def test_alexnet_without_groups_connects_all_channels():
    extra = sum(o * i * k * k // 2 for o, i, k in ((256, 96, 5), (384, 384, 3), (256, 384, 3)))
    assert count("alexnet", groups=1) == 60_965_224 + extra


def test_the_sizes_are_those_of_the_papers():
    assert outputs("alexnet", "Conv")[0] == "(batch, 96, 55, 55)"
    assert outputs("alexnet", "MaxPool") == ["(batch, 96, 27, 27)", "(batch, 256, 13, 13)", "(batch, 256, 6, 6)"]
    assert outputs("zfnet", "Conv")[:2] == ["(batch, 96, 110, 110)", "(batch, 256, 26, 26)"]
    assert outputs("zfnet", "MaxPool") == ["(batch, 96, 55, 55)", "(batch, 256, 13, 13)", "(batch, 256, 6, 6)"]


def build(name, **options):
    with kw.init.precision("float64"):
        return kw.models.build(name, classes=5, dropout=0.0, **options)


@pytest.mark.slow
@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("groups", [1, 2])
def test_alexnet_agrees(groups, device):
    networks = pytest.importorskip("torch_networks")
    model = build("alexnet", input_shape=(3, 99, 67), groups=groups)
    assert disagreement(model, networks.AlexNet(5, 2, groups), device) < 1e-10


@pytest.mark.slow
def test_zfnet_agrees():
    networks = pytest.importorskip("torch_networks")
    model = build("zfnet", input_shape=(3, 64, 100))
    assert disagreement(model, networks.ZFNet(5, 2)) < 1e-10
