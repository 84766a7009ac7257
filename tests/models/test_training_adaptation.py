"""Batch normalisation's statistics measured on other images, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw


def network():
    net = kw.nn.Sequential(
        kw.nn.Flatten(),
        kw.nn.BatchNorm(),
        kw.nn.Dropout(0.5),
        kw.nn.Dense(6),
        kw.nn.BatchNorm(),
        kw.relu,
        kw.nn.Dense(4),
    )
    return kw.models.Model("normed", net, (1, 8, 8), 4)


def buffers(model):
    return {b.attrs.name: kw.get_value(b) for b in model.buffers()}


def test_one_part_gives_the_moments_of_each_layers_input(device, problem):
    model, images = network(), problem[0] * 3 - 1
    assert kw.models.recompute_statistics(model, images, device=device, threads=1) == 2
    got, (_, _, weight, bias, *_) = buffers(model), map(kw.get_value, model.parameters())
    x = images.reshape(70, -1).astype("float64")
    np.testing.assert_allclose(got["batchnorm1.mean"], x.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got["batchnorm1.var"], x.var(0, ddof=1), rtol=1e-4)
    hidden = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) @ weight.T + bias
    np.testing.assert_allclose(got["batchnorm2.mean"], hidden.mean(0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(got["batchnorm2.var"], hidden.var(0, ddof=1), rtol=1e-3)


def test_parts_of_different_sizes_give_the_same_moments_in_the_first_layer(problem):
    model = network()
    kw.models.recompute_statistics(model, problem[0], batch=16, device="reference")
    x = problem[0].reshape(70, -1).astype("float64")
    np.testing.assert_allclose(buffers(model)["batchnorm1.mean"], x.mean(0), rtol=1e-4)
    np.testing.assert_allclose(buffers(model)["batchnorm1.var"], x.var(0, ddof=1), rtol=1e-4)


def test_it_undoes_a_shift_of_brightness_and_contrast(problem):
    images, labels = problem
    t = kw.Trainer(network(), kw.optim.Adam(0.02), device="reference", batch=35)
    t.fit((images, labels), 15, progress=False)
    shifted = (images * 0.2 + 2).astype("float32")
    parameters = [kw.get_value(p) for p in t.model.parameters()]
    before = t.evaluate((shifted, labels))["accuracy"]
    kw.models.recompute_statistics(t.model, shifted, device="reference")
    after = t.evaluate((shifted, labels))["accuracy"]
    assert before < 0.6 < 0.9 < after
    for p, value in zip(t.model.parameters(), parameters, strict=True):
        np.testing.assert_array_equal(kw.get_value(p), value)


def test_what_cannot_be_is_refused(problem):
    plain = kw.models.Model("plain", kw.nn.Sequential(kw.nn.Flatten(), kw.nn.Dense(4)), (1, 8, 8), 4)
    with pytest.raises(ValueError, match="'plain' has no BatchNorm"):
        kw.models.recompute_statistics(plain, problem[0])
    with pytest.raises(ValueError, match="2 images"):
        kw.models.recompute_statistics(network(), problem[0][:1])
    with pytest.raises(kw.InputError, match="images have shape"):
        kw.models.recompute_statistics(network(), problem[0][:, :, :7])
