"""Feature space: neighbours by brute force, PCA by the covariance's eigenvectors, separability where it is known."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.errors import InputError
from kernelwright.models.checks import SettingError
from kernelwright.models.vision.untangling import coordinates, linear_svm

RNG = np.random.default_rng(21)


def dense(weights):
    with kw.init.precision("float64"):
        net = kw.nn.Sequential(kw.nn.Flatten(), kw.nn.Dense(len(weights), bias=False), kw.relu, kw.nn.Dense(2))
        net(kw.input("images", (None, 1, 1, len(weights[0])), "float64"))
    kw.set_value(net.parameters()[0], np.asarray(weights, "float64"))
    return net


def test_neighbours_are_those_of_all_pairs():
    w = RNG.normal(size=(3, 5))
    net, images, queries = dense(w), RNG.normal(size=(30, 1, 1, 5)), RNG.normal(size=(4, 1, 1, 5))
    found = kw.vision.neighbours(net, images, queries, "relu1", count=6, batch=7)
    for q in range(4):
        pixels = [np.linalg.norm(images[i] - queries[q]) for i in range(30)]
        values = [
            np.linalg.norm(np.maximum(w @ images[i].ravel(), 0) - np.maximum(w @ queries[q].ravel(), 0))
            for i in range(30)
        ]
        np.testing.assert_allclose(found.pixel_distances[q], pixels, rtol=1e-12)
        np.testing.assert_allclose(found.feature_distances[q], values, rtol=1e-9, atol=1e-12)
        assert found.by_pixels[q].tolist() == sorted(range(30), key=lambda i: pixels[i])[:6]
        assert found.by_features[q].tolist() == sorted(range(30), key=lambda i: values[i])[:6]
    assert (found.by_pixels != found.by_features).any()
    again = kw.vision.neighbours(net, images, images[8:9], "relu1", count=1)
    assert again.by_pixels[0, 0] == 8 and again.pixel_distances[0, 8] == 0
    with pytest.raises(InputError, match=r"\(30, 1, 1, 5\) and queries float64 \(4, 1, 5, 1\)"):
        kw.vision.neighbours(net, images, queries.reshape(4, 1, 5, 1), "relu1")


@pytest.mark.parametrize("shape", [(40, 2, 3), (5, 12)])
def test_pca_is_the_covariances_eigenvectors(shape):
    values = RNG.normal(size=shape) * np.arange(1, shape[-1] + 1)
    flat = values.reshape(len(values), -1)
    places, shares = kw.vision.pca(values, 3)
    variances, vectors = np.linalg.eigh(np.cov(flat.T))
    np.testing.assert_allclose(shares, variances[::-1][:3] / variances.sum(), rtol=1e-9)
    np.testing.assert_allclose(places.mean(0), 0, atol=1e-12)
    for k in range(3):
        direction = vectors[:, -1 - k]
        direction = direction * np.sign(direction[np.abs(direction).argmax()])
        np.testing.assert_allclose(places[:, k], (flat - flat.mean(0)) @ direction, rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(kw.vision.spread_out(values), kw.vision.pca(values)[0])


def test_pca_refuses_what_has_no_directions():
    with pytest.raises(InputError, match="at least two rows of finite numbers"):
        kw.vision.pca(np.ones((1, 4)))
    with pytest.raises(SettingError, match="from 1 to 2, not 3"):
        kw.vision.pca(np.ones((2, 4)), 3)
    places, shares = kw.vision.pca(np.ones((3, 4)))
    assert not places.any() and not shares.any()


@pytest.mark.slow
def test_tsne_keeps_far_groups_apart():
    pytest.importorskip("sklearn")
    groups = np.repeat([0, 1, 2], 12)
    values = RNG.normal(size=(36, 6)) + 40 * np.eye(6)[groups]
    places = kw.vision.spread_out(values, "tsne", perplexity=5)
    apart = np.linalg.norm(places[:, None] - places, axis=2)
    same = groups[:, None] == groups
    assert places.shape == (36, 2) and apart[same].max() < apart[~same].min()


def test_exclusive_or_is_untangled_by_the_layer_that_folds_it():
    """Opposite corners of a square are a class: no line has more than three corners right; relu(+-a +-b) has all."""
    corners = RNG.choice([-1.0, 1.0], size=(240, 2))
    images = (corners + RNG.uniform(-0.2, 0.2, corners.shape)).reshape(-1, 1, 1, 2)
    labels = (corners.prod(1) > 0).astype(int)
    net = dense([[1, 1], [-1, -1], [1, -1], [-1, 1]])
    found = kw.vision.untangling(net, images, labels)
    assert found.layers == ("pixels", "flatten1", "dense1", "relu1", "dense2") and found.sizes == (2, 2, 4, 4, 2)
    assert (found.held_out[:3] < 0.8).all() and found.held_out[3] == found.training[3] == 1
    only = kw.vision.untangling(net, images, labels * 5 + 2, layers=["relu1"], seed=1)  # labels with gaps between
    assert only.layers == ("pixels", "relu1") and only.held_out[1] == 1


def test_labels_that_have_nothing_to_do_with_images_are_found_by_chance():
    images = RNG.normal(size=(400, 1, 1, 4))
    labels = RNG.integers(0, 4, 400)
    found = kw.vision.untangling(dense(np.eye(4)), images, labels, layers=[], held_out=0.5)
    assert found.held_out[0] < 0.4 and 0.25 <= found.chance < 0.4


def test_the_classifier_is_where_its_loss_has_no_slope():
    rows, targets = RNG.normal(size=(50, 6)), RNG.integers(0, 3, 50)
    weights, bias = linear_svm(rows, targets, 3, 0.05, 400)
    y = np.where(np.eye(3)[targets] > 0, 1, -1)
    slack = np.maximum(0, 1 - y * (rows @ weights + bias))
    by_score = -2 * y * slack / 50
    np.testing.assert_allclose(rows.T @ by_score + 0.05 * weights, 0, atol=1e-4)
    np.testing.assert_allclose(by_score.sum(0), 0, atol=1e-4)


@pytest.mark.parametrize("features", [4, 300])
def test_coordinates_keep_inner_products(features):
    train, test = RNG.normal(size=(20, features)), RNG.normal(size=(9, features))
    a, b = coordinates(train, test)
    assert a.shape == (20, 20) and b.shape == (9, 20)
    centred, others = train - train.mean(0), test - train.mean(0)
    length = np.linalg.norm(centred, axis=1).mean()
    np.testing.assert_allclose(a @ a.T * length**2, centred @ centred.T, atol=1e-9)
    np.testing.assert_allclose(b @ a.T * length**2, others @ centred.T, atol=1e-9)


def test_too_few_images_are_refused():
    images, net = RNG.normal(size=(4, 1, 1, 2)), dense(np.eye(2))
    with pytest.raises(InputError, match="4 images of 1 classes are too few"):
        kw.vision.untangling(net, images, np.zeros(4, int))
    with pytest.raises(SettingError, match="held_out is a number that lies between 0 and 1, not 1"):
        kw.vision.untangling(net, images, np.array([0, 1, 0, 1]), held_out=1)
