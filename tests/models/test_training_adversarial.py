"""Adversarial training: the loss that is written out, statistics of the images alone, and what it is good for."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models import recipe_files
from kernelwright.models.checks import SettingError

EPSILON = 0.2


def linear(seed=0):
    return kw.models.Model(
        "linear", kw.nn.Sequential(kw.nn.Flatten(), kw.nn.Dense(3)), input_shape=(1, 2, 2), classes=3, seed=seed
    )


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_the_loss_and_the_step_of_a_linear_model_written_out():
    rng = np.random.default_rng(0)
    x, y = rng.random((8, 1, 2, 2)).astype("float32"), rng.integers(0, 3, 8).astype("int32")
    model = linear()
    trainer = kw.Trainer(model, kw.optim.SGD(0.5), batch=8, adversarial=EPSILON)
    weight, bias = (each.astype("float64").T for each in model.state_dict().values())  # PyTorch's (outputs, inputs)
    flat, one = x.reshape(8, 4).astype("float64"), np.eye(3)[y]

    def loss(points):
        return -np.log((softmax(points @ weight + bias) * one).sum(1)).mean()

    slope = (softmax(flat @ weight + bias) - one) @ weight.T
    moved = flat + EPSILON * np.sign(slope)
    want = (loss(flat) + loss(moved)) / 2
    step = sum(p.T @ (softmax(p @ weight + bias) - one) / 8 for p in (flat, moved)) / 2
    assert trainer.step(x, y) == pytest.approx(want, rel=1e-5)
    np.testing.assert_allclose(next(iter(model.state_dict().values())).T, weight - 0.5 * step, atol=1e-6)


def test_running_statistics_are_those_of_the_images():
    rng = np.random.default_rng(1)
    x, y = rng.random((16, 1, 2, 2)).astype("float32"), rng.integers(0, 3, 16).astype("int32")
    means = []
    for adversarial in (None, 0.5):
        net = kw.nn.Sequential(kw.nn.Flatten(), kw.nn.BatchNorm(), kw.nn.Dense(3))
        model = kw.models.Model("normal", net, input_shape=(1, 2, 2), classes=3)
        kw.Trainer(model, kw.optim.SGD(0.1), batch=16, adversarial=adversarial).step(x, y)
        means.append(np.concatenate([kw.get_value(b) for b in model.buffers()]))
    np.testing.assert_array_equal(*means)


def test_it_makes_a_network_hold_out_longer():
    data = kw.data.digits()
    right = {}
    for adversarial in (None, 0.1):
        model = kw.models.build("mlp")
        kw.Trainer(model, adversarial=adversarial).fit(data, 3, progress=False)
        test = data.test.images[:300], data.test.labels[:300]
        right[adversarial] = kw.vision.robust_accuracy(model, test, kw.vision.fgsm, 0.1)
    assert right[0.1] > right[None] + 0.2


@pytest.mark.parametrize("size", [0, -1.0, float("nan"), "far"])
def test_sizes_that_are_none_are_refused(size):
    with pytest.raises((SettingError, TypeError), match="adversarial"):
        kw.Trainer(linear(), adversarial=size)


def test_networks_of_other_outputs_are_refused():
    trainer = kw.Trainer(kw.nn.Dense(2), loss="mse", adversarial=0.1)
    with pytest.raises(SettingError, match="adversarial_loss"):
        trainer.fit((np.zeros((4, 3), "float32"), np.zeros((4, 2), "float32")), 1, progress=False)


def test_a_recipe_and_its_checkpoint_have_it(tmp_path):
    assert recipe_files.read("mlp-mnist-adversarial").adversarial == 0.25
    trainer = kw.Trainer(linear(), adversarial=EPSILON)
    trainer.save(tmp_path / "run.safetensors")
    other = kw.Trainer(linear(1))
    other.load(tmp_path / "run.safetensors")
    assert other.updating.adversarial == EPSILON
