"""Images that show several classes: targets, losses and measures; label smoothing for every kind of target."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models import labels, losses

RNG = np.random.default_rng(8)


@pytest.fixture
def shown():
    """60 noisy 6x6 images with one to three bright rows out of the first three, and which."""
    truth = RNG.integers(0, 2, (60, 3))
    truth[truth.sum(1) == 0, 1] = 1
    images = RNG.random((60, 1, 6, 6), dtype="float32") * 0.3
    images[:, 0, :3] += truth[:, :, None].astype("float32")
    return images, truth


def network(seed=0):
    net = kw.nn.Sequential(kw.nn.Flatten(), kw.nn.Dense(3))
    return kw.models.Model("rows", net, (1, 6, 6), 3, recipe=kw.models.Recipe(loss="binary_cross_entropy"), seed=seed)


def value_and_gradient(loss, logits, targets):
    s, t = kw.input("s", logits.shape, str(logits.dtype)), kw.input("t", targets.shape, str(targets.dtype))
    value = loss(s, t)
    return kw.compile([s, t], [value, *kw.grad(value, [s])], device="reference")(logits, targets)


# ------------------------------------------------------------------ losses
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("kind", ["integers", "one-hot", "weights"])
def test_cross_entropy_with_label_smoothing_agrees_with_torch(smoothing, kind):
    torch = pytest.importorskip("torch")
    logits, classes = RNG.standard_normal((6, 4)) * 3, RNG.integers(0, 4, 6)
    targets = {
        "integers": classes.astype("int32"),
        "one-hot": np.eye(4)[classes],
        "weights": RNG.dirichlet(np.ones(4), 6),
    }[kind]
    theirs = torch.tensor(logits, requires_grad=True)
    as_torch = torch.tensor(classes) if kind == "integers" else torch.tensor(targets)
    loss = torch.nn.functional.cross_entropy(theirs, as_torch, label_smoothing=smoothing)
    loss.backward()
    value, gradient = value_and_gradient(kw.losses.CrossEntropy(smoothing), logits, targets)
    assert value == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_binary_cross_entropy_agrees_with_torch(smoothing):
    torch = pytest.importorskip("torch")
    logits, targets = RNG.standard_normal((5, 3)) * 4, RNG.integers(0, 2, (5, 3)).astype("float64")
    logits[0] = [800.0, -800.0, 0.0]
    theirs = torch.tensor(logits, requires_grad=True)
    smooth = torch.tensor(targets) * (1 - smoothing) + smoothing / 2
    loss = torch.nn.functional.binary_cross_entropy_with_logits(theirs, smooth)
    loss.backward()
    value, gradient = value_and_gradient(kw.losses.BinaryCrossEntropy(smoothing), logits, targets)
    assert value == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=1e-10, atol=1e-14)


def test_smoothing_out_of_range_is_refused():
    for kind in (kw.losses.CrossEntropy, kw.losses.BinaryCrossEntropy):
        with pytest.raises(ValueError, match=r"lies in \[0, 1\), not 1"):
            kind(1.0)


# ------------------------------------------------------------------ measures
def test_measures_are_those_of_numpy():
    logits = RNG.standard_normal((40, 5)).astype("float32")
    truth = (logits + RNG.standard_normal((40, 5)) > 0.3).astype("float32")
    truth[:6] = logits[:6] > 0
    x, t = kw.input("x", (None, 5)), kw.input("t", (None, 5))
    counts = kw.compile([x, t], [labels.SEVERAL.counts(x, t)], device="reference")(logits, truth)
    found = labels.SEVERAL.means(counts.tolist(), 40, 5)
    said = logits > 0
    both = (said & (truth > 0)).sum()
    precision, recall = both / said.sum(), both / truth.sum()
    assert found["accuracy"] == pytest.approx((said == truth).mean())
    assert found["exact"] == pytest.approx((said == truth).all(1).mean()) and found["exact"] > 0
    assert found["f1"] == pytest.approx(2 * precision * recall / (precision + recall))


def test_no_positives_have_an_f1_of_zero():
    assert labels.SEVERAL.means([6, 2, 0, 0, 0], 2, 3) == {"accuracy": 1.0, "exact": 1.0, "f1": 0.0}


# ------------------------------------------------------------------ training
def test_training_with_several_classes_per_image(shown, device, tmp_path):
    images, truth = shown
    trainer = kw.Trainer(network(), kw.optim.Adam(0.05), device=device, batch=16)
    history = trainer.fit((images, truth), epochs=12, validation=(images, truth), progress=False)
    assert history[-1]["f1"] > history[0]["f1"]
    assert history[-1]["validation_accuracy"] > 0.95 and history[-1]["validation_exact"] > 0.9
    found = trainer.evaluate((images, truth.astype(bool)))
    said = trainer.predict(images) > 0.5
    assert found["accuracy"] == pytest.approx((said == truth).mean())
    assert found["exact"] == pytest.approx((said == truth).all(1).mean())
    best = tmp_path / "best.safetensors"
    watch = [kw.callbacks.EarlyStopping("validation_f1", patience=2), kw.callbacks.BestCheckpoint(best, "f1")]
    once_more = kw.Trainer(network(), kw.optim.Adam(0.05), device=device, batch=16)
    once_more.fit((images, truth), epochs=8, validation=(images, truth), callbacks=watch, progress=False)
    again = kw.Trainer.resume(best, network(1), device=device)
    np.testing.assert_allclose(again.evaluate((images, truth))["f1"], 1.0, atol=0.1)


def test_probabilities_are_sigmoids_and_agree_with_torch(shown):
    torch = pytest.importorskip("torch")
    trainer = kw.Trainer(network(), device="reference")
    weight, bias = (torch.tensor(kw.get_value(p)) for p in trainer.model.parameters())
    images = shown[0][:7]
    wanted = torch.sigmoid(torch.tensor(images).flatten(1) @ weight.T + bias).numpy()
    np.testing.assert_allclose(trainer.predict(images), wanted, rtol=1e-5)


def test_a_loader_gives_the_same_as_arrays(shown):
    images, truth = shown
    one, other = (kw.Trainer(network(), kw.optim.SGD(0.1), device="reference", batch=16) for _ in range(2))
    one.fit((images, truth), epochs=2, progress=False)
    other.fit(kw.data.Loader((images, truth), batch=16, workers=1), epochs=2, progress=False)
    for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True):
        np.testing.assert_array_equal(kw.get_value(a), kw.get_value(b))


def test_the_kind_of_labels_follows_the_loss_or_is_chosen():
    model = network()
    assert kw.Trainer(model).task.labels is labels.SEVERAL
    assert kw.Trainer(model, loss=losses.cross_entropy).task.labels is labels.ONE
    assert kw.Trainer(model, loss=kw.losses.BinaryCrossEntropy(0.1)).task.labels is labels.SEVERAL
    assert kw.Trainer(model, loss=lambda y, t: ((y - t) ** 2).mean(), several=True).task.labels is labels.SEVERAL


def test_labels_that_do_not_fit_are_named(shown):
    images, truth = shown
    several, one = kw.Trainer(network()), kw.Trainer(network(), loss=losses.cross_entropy)
    with pytest.raises(kw.InputError, match=r"shape \(60, 3\), zeros and ones, not int64 \(60,\)"):
        several.fit((images, truth[:, 0]), progress=False)
    with pytest.raises(kw.InputError, match="labels of image 4 are not between 0 and 1"):
        several.fit((images, np.where(np.arange(60)[:, None] == 4, 7, truth)), progress=False)
    with pytest.raises(kw.InputError, match=r"not \(60, 3\); for several classes per image, kw\.losses\.binary"):
        one.fit((images, truth), progress=False)
