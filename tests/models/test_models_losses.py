"""Losses against PyTorch: values and gradients, in both precisions."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import kernelwright as kw

torch = pytest.importorskip("torch")
F = torch.nn.functional
RNG = np.random.default_rng(3)
ROWS, WIDTH = 7, 5
A, B, C = RNG.standard_normal((3, ROWS, WIDTH)) * 2
B[0] = A[0]  # equal rows
B[1, :2] = A[1, :2] + [1.0, -1.5]  # where the two pieces of huber and smooth l1 meet
LABELS = RNG.integers(0, WIDTH, ROWS).astype("int32")
SIGNS = np.array([1, -1, 1, -1, -1, 1, -1], "int32")
BITS = RNG.integers(0, 2, (ROWS, WIDTH)).astype("float64")


def theirs_focal(logits, labels, gamma):
    """Lin et al. 2017, equation 4, with p from a softmax."""
    p = torch.softmax(logits, -1)[torch.arange(len(labels)), labels.long()]
    return -((1 - p) ** gamma * torch.log(p)).mean()


def theirs_binary_focal(logits, targets, gamma, alpha=None):
    """Lin et al. 2017, equations 4 and 5."""
    p = torch.sigmoid(logits)
    hit = p * targets + (1 - p) * (1 - targets)
    weight = 1.0 if alpha is None else alpha * targets + (1 - alpha) * (1 - targets)
    return -(weight * (1 - hit) ** gamma * torch.log(hit)).mean()


LOSSES = {
    "l1": (kw.losses.mean_absolute_error, F.l1_loss, (A, B)),
    "huber": (partial(kw.losses.huber, delta=1.5), partial(F.huber_loss, delta=1.5), (A, B)),
    "smooth l1": (kw.losses.smooth_l1, F.smooth_l1_loss, (A, B)),
    "smooth l1 of 0": (partial(kw.losses.smooth_l1, beta=0), partial(F.smooth_l1_loss, beta=0), (A, B)),
    "nll": (kw.losses.nll, lambda x, t: F.nll_loss(x, t.long()), (A, LABELS)),
    "bce": (kw.losses.binary_cross_entropy, F.binary_cross_entropy_with_logits, (A, BITS)),
    "focal": (partial(kw.losses.focal, gamma=1.5), partial(theirs_focal, gamma=1.5), (A, LABELS)),
    "binary focal": (kw.losses.binary_focal, partial(theirs_binary_focal, gamma=2.0), (A, BITS)),
    "binary focal, balanced": (
        partial(kw.losses.binary_focal, gamma=0.5, alpha=0.25),
        partial(theirs_binary_focal, gamma=0.5, alpha=0.25),
        (A, BITS),
    ),
    "cosine": (partial(kw.losses.cosine_embedding, margin=-0.2), partial(F.cosine_embedding_loss, margin=-0.2), None),
    "triplet": (kw.losses.triplet_margin, F.triplet_margin_loss, (A, B, C)),
    "triplet, swapped": (
        partial(kw.losses.triplet_margin, margin=0.5, swap=True),
        partial(F.triplet_margin_loss, margin=0.5, swap=True),
        (A, B, C),
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LOSSES)
def test_values_and_gradients_are_those_of_torch(name, dtype):
    ours, theirs, arrays = LOSSES[name]
    arrays = (A, B, SIGNS) if arrays is None else arrays
    given = [a if a.dtype.kind == "i" else a.astype(dtype) for a in arrays]
    inputs = [kw.input(f"x{i}", (None, *a.shape[1:]), str(a.dtype)) for i, a in enumerate(given)]
    learnt = [x for x, a in zip(inputs, arrays, strict=True) if a.dtype.kind == "f" and a is not BITS]
    loss = ours(*inputs)
    value, *slopes = kw.compile(inputs, [loss, *kw.grad(loss, learnt)], device="reference")(*given)
    tensors = [torch.tensor(a.astype("float64") if a.dtype.kind == "f" else a) for a in given]
    wanted = [t.requires_grad_() for t, a in zip(tensors, arrays, strict=True) if a.dtype.kind == "f" and a is not BITS]
    expected = theirs(*tensors)
    expected.backward()
    close = {"rtol": 2e-6, "atol": 1e-7} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-15}
    assert value.dtype == dtype
    np.testing.assert_allclose(value, expected.item(), **close)
    for slope, tensor in zip(slopes, wanted, strict=True):
        np.testing.assert_allclose(slope, tensor.grad.numpy(), **close)


def test_compiled_losses_are_those_of_the_reference():
    x, y, t = kw.input("x", (None, WIDTH)), kw.input("y", (None, WIDTH)), kw.input("t", (None,), "int32")
    values = [
        kw.losses.huber(x, y),
        kw.losses.focal(x, t),
        kw.losses.binary_focal(x, kw.sigmoid(y), alpha=0.3),
        kw.losses.triplet_margin(x, y, x * 0.5),
        kw.losses.cosine_embedding(x, y, t - 1),
    ]
    graphs = [*values, *(kw.grad(v, x) for v in values)]
    arrays = (A.astype("float32"), B.astype("float32"), LABELS)
    for one, other in zip(
        kw.compile([x, y, t], graphs)(*arrays), kw.compile([x, y, t], graphs, device="reference")(*arrays), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_focal_losses_of_sure_predictions_stay_finite():
    logits = np.array([[200.0, -200.0], [-200.0, 200.0]], "float32")
    x, t = kw.input("x", (None, 2)), kw.input("t", (None,), "int32")
    for gamma in (0.0, 0.5, 2.0):
        losses = [kw.losses.focal(x, t, gamma), kw.losses.binary_focal(x, x * 0.0, gamma)]
        right = kw.compile([x, t], [*losses, *(kw.grad(v, x) for v in losses)], device="reference")(
            logits, np.array([0, 0], "int32")
        )
        assert all(np.isfinite(value).all() for value in right)
        np.testing.assert_allclose(right[0], 200.0)  # 0 for the first row, -log p = 400 for the second
        np.testing.assert_allclose(right[1], 100.0)


def test_losses_by_name_and_what_is_refused():
    x, y = kw.input("x", (None, 3)), kw.input("y", (None, 1))
    assert kw.losses.named("smooth_l1_loss") is kw.losses.smooth_l1
    assert kw.losses.named("mae") is kw.losses.mean_absolute_error
    with pytest.raises(kw.ShapeError, match="element by element"):
        kw.losses.huber(x, y)
    with pytest.raises(kw.ShapeError, match="triplet_margin"):
        kw.losses.triplet_margin(x, x, y)
    with pytest.raises(ValueError, match="above 0"):
        kw.losses.huber(x, x, delta=0)
    with pytest.raises(ValueError, match="alignments"):
        kw.losses.named("ctc")
    with pytest.raises(ValueError, match="takes three tensors"):
        kw.losses.named("triplet_margin")
    with pytest.raises(kw.ShapeError, match="log_softmax"):
        kw.losses.nll(x, y)


def test_a_model_of_one_number_learns_with_a_huber_loss():
    rng = np.random.default_rng(0)
    points = rng.random((64, 1, 1, 2), dtype="float32")
    heights = (points[:, 0, 0] @ [1.0, -2.0])[:, None].astype("float32")
    model = kw.models.Model("plane", kw.nn.Sequential(kw.nn.Flatten(), kw.nn.Dense(1)), (1, 1, 2), 1)
    trainer = kw.Trainer(model, kw.optim.Adam(0.1), "huber", batch=32, device="reference")
    history = trainer.fit((points, heights), epochs=40, progress=False)
    assert history[-1]["mae"] < 0.02 < history[0]["mae"]
