"""Images scaled on their way into a network: the numbers, and that files of models and runs keep them."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models import Scaling
from kernelwright.models.checks import SettingError
from kernelwright.models.evaluation import trained
from kernelwright.models.networks.torchvision_names import scaling_of
from kernelwright.models.vision.features import several
from kernelwright.runtime.checkpoint import CheckpointError

MEANS, DEVIATIONS = (0.5, 0.25, 0.125), (0.5, 0.25, 2.0)
IMAGES = np.random.default_rng(0).random((4, 3, 8, 8), "float32")
BY_HAND = (IMAGES - np.reshape(MEANS, (3, 1, 1))) / np.reshape(DEVIATIONS, (3, 1, 1))


def scaled():
    model = kw.models.build("mlp", input_shape=(3, 8, 8), classes=10)
    model.scaling = Scaling(MEANS, DEVIATIONS)
    return model


def logits(model, images):
    x = model.images()
    return kw.compile([x], model(x))(np.asarray(images, "float32"))


def test_the_network_is_given_what_numpy_gives():
    model, plain = scaled(), kw.models.build("mlp", input_shape=(3, 8, 8), classes=10)
    np.testing.assert_allclose(logits(model, IMAGES), logits(plain, BY_HAND), rtol=1e-5, atol=1e-5)


def test_layers_see_scaled_images():
    net = kw.nn.Sequential(kw.nn.Conv(2, 3), kw.relu, kw.nn.Flatten(), kw.nn.Dense(3))
    model = kw.models.Model("small", net, (3, 8, 8), 3)
    model.scaling = Scaling(MEANS, DEVIATIONS)
    x = model.images()
    whole, part = kw.vision.features(model, x, "relu1"), several(model, x, ["relu1"])[0]
    assert np.array_equal(kw.compile([x], whole)(IMAGES), kw.compile([x], part)(IMAGES))
    filters, bias = (kw.get_value(p) for p in model.parameters()[:2])
    windows = np.lib.stride_tricks.sliding_window_view(BY_HAND, (3, 3), (2, 3))
    by_hand = np.einsum("nchwij,kcij->nkhw", windows, filters) + bias.reshape(-1, 1, 1)
    np.testing.assert_allclose(kw.compile([x], part)(IMAGES), np.maximum(by_hand, 0), rtol=1e-4, atol=1e-4)


def test_files_keep_it(tmp_path):
    model = scaled()
    model.save(tmp_path / "model")
    trainer = kw.Trainer(model)
    trainer.save(tmp_path / "run")
    for found in (
        kw.load_model(tmp_path / "model"),
        trained("mlp", tmp_path / "model"),
        trained("mlp", tmp_path / "run"),
    ):
        assert found.scaling == Scaling(MEANS, DEVIATIONS)
        assert np.array_equal(logits(found, IMAGES), logits(model, IMAGES))
    plain = kw.Trainer(kw.models.build("mlp", input_shape=(3, 8, 8), classes=10))
    with pytest.raises(CheckpointError, match=r"written with scaling=Scaling\(mean=\(0\.5, 0\.25, 0\.125\).*not None"):
        plain.load(tmp_path / "run")


def test_what_torchvisions_networks_take():
    black, white = np.zeros(3), np.ones(3)
    usual, other = scaling_of("resnet50"), scaling_of("inception_v3")
    np.testing.assert_allclose((white - usual.mean) / usual.deviation, [2.2489083, 2.4285714, 2.64])
    np.testing.assert_allclose((black - other.mean) / other.deviation, [-1, -1, -1])


@pytest.mark.parametrize("means, deviations", [((0.5,), (1.0, 1.0)), ((0.5,), (0.0,)), ((float("nan"),), (1.0,))])
def test_other_numbers_are_refused(means, deviations):
    with pytest.raises(SettingError, match="Scaling: "):
        Scaling(means, deviations)
