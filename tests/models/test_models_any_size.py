"""Models of images of any size: one program, refusals that name the way out, files."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models import nn
from kernelwright.models.checks import SettingError


def small(input_shape=(3, None, None)):
    down = nn.Conv(8, 3, stride=2, pad=1)
    net = nn.Sequential(nn.Conv(8, 3, pad="same"), nn.BatchNorm(), kw.relu, down, nn.GlobalAvgPool(), nn.Dense(5))
    return kw.models.Model("small", net, input_shape, classes=5)


def step(model):
    """Loss and gradients of a training step, whose batch norms take the statistics of the batch."""
    x, labels = model.images(), kw.input("labels", (None,), "int32")
    loss = kw.losses.cross_entropy(model(x, training=True), labels)
    return kw.compile([x, labels], [loss, *kw.grad(loss, model.parameters())])


def test_one_program_does_what_the_program_of_each_size_does():
    any_size, labels = small(), np.array([1, 4], "int32")
    program = step(any_size)
    for size in [(8, 8), (9, 12), (1, 5)]:
        fixed = small((3, *size))
        fixed.load_state_dict(any_size.state_dict())
        images = np.random.default_rng(0).normal(0, 1, (2, 3, *size)).astype("float32")
        for a, b in zip(program(images, labels), step(fixed)(images, labels), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet164_preact", "inception_v3", "googlenet_torchvision"])
def test_networks_that_end_in_a_mean_take_any_size(name):
    model = kw.models.build(name, input_shape=(3, None, None), classes=7)
    assert model.sides == (3, None, None) and "(3, any, any)" in repr(model)
    assert str(model(model.images()).shape) == "(batch, 7)"


@pytest.mark.parametrize("name", ["vgg11", "alexnet", "lenet5", "mlp"])
def test_dense_layers_over_pixels_are_refused_with_the_way_out(name):
    with pytest.raises(kw.KernelwrightError, match=r"AdaptiveAvgPool\(7\) before Flatten\(\)"):
        kw.models.build(name, input_shape=(1, None, None))


@pytest.mark.parametrize("name", ["maxout_conv", "maxout_cifar", "lecun1989", "lenet5_1998"])
def test_networks_that_count_with_their_sides_say_so(name):
    with pytest.raises(SettingError, match=rf"{name} counts with the sides of its images.*\(1, None, None\).*resnet18"):
        kw.models.build(name, input_shape=(1, None, None))


def test_same_padding_with_a_stride_needs_a_number():
    with pytest.raises(kw.KernelwrightError, match='pad="same" with stride 2 depends on the size height'):
        nn.Conv(4, 3, stride=2, pad="same")(kw.input("x", (None, 3, "height", "width")))


def test_what_needs_one_size_says_so():
    for use in (lambda m: m.input_shape, lambda m: m.summary(), lambda m: m.rows()):
        with pytest.raises(SettingError, match=r"small is for images of any size, \(3, any, any\)"):
            use(small())


def test_files_keep_that_any_size_is_taken(tmp_path):
    model = small()
    model.save(tmp_path / "small.safetensors")
    again = kw.load_model(tmp_path / "small.safetensors", small().net)
    assert again.sides == (3, None, None)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name], value)
