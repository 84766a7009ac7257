"""Compares one of our networks with the same one in PyTorch: outputs, input gradients, parameter gradients.

Leans on nothing of the networks but the order of their parameters.
"""

from __future__ import annotations

import numpy as np

import kernelwright as kw


def count(name, **options):
    """How many parameters a network has, without drawing them."""
    with kw.init.undrawn():
        return kw.models.build(name, **options).size()


def disagreement(model, torch_net, device="reference", batch=2, training=True):
    """The greatest difference of any value or gradient, each array's relative to its own greatest element.

    The scalar that is differentiated is a fixed random combination of the logits, and of those of the auxiliary
    heads with their weights. In training mode the running statistics are compared too. `torch_net` gives logits, or
    in training logits and a list of the heads' logits. The model is one of float64: in float32 a rounding can move a
    maximum to its neighbour, and a gradient with it.
    """
    import torch

    rng, dtype = np.random.default_rng(0), "float64"
    theirs = torch_net.double().train(training)
    ours = model.parameters()
    _copy(ours, list(theirs.parameters()), rng)
    image = rng.standard_normal((batch, *model.input_shape))
    weight = rng.standard_normal((batch, model.classes))

    x = kw.input("x", (None, *model.input_shape), dtype)
    logits = model(x, training)
    outputs = [logits, *(head for _, head in (model.net.heads() if training else []))]
    weights = [1.0, *(w for w, _ in (model.net.heads() if training else []))]
    w = kw.input("w", (None, model.classes), dtype)
    loss = sum((y * w).sum() * share for y, share in zip(outputs, weights, strict=True))
    gradients = kw.grad(loss, [x, *ours])
    updates = model.net.updates() if training else {}
    found = kw.compile([x, w], [*outputs, *gradients], updates, device=device)(image, weight)

    torch_x = torch.tensor(image, requires_grad=True)
    result = theirs(torch_x)
    expected = [result[0], *result[1]] if isinstance(result, tuple) else [result]
    total = sum((y * torch.tensor(weight)).sum() * share for y, share in zip(expected, weights, strict=True))
    total.backward()
    wanted = [*expected, torch_x.grad, *(p.grad for p in theirs.parameters())]
    if training:
        found = [*found, *(kw.get_value(b) for b in model.buffers() if b.dtype == dtype)]
        wanted += [b for b in theirs.buffers() if b.is_floating_point()]
    assert len(found) == len(wanted)
    return max(_relative(a, b.detach().numpy()) for a, b in zip(found, wanted, strict=True))


def _copy(ours, theirs, rng):
    """Our parameters into PyTorch's, after moving the vectors (biases, scales, shifts) off their zeros and ones."""
    import torch

    assert [p.shape for p in ours] == [tuple(q.shape) for q in theirs]
    for p, q in zip(ours, theirs, strict=True):
        if len(p.shape) == 1:
            kw.set_value(p, kw.get_value(p) + 0.1 * rng.standard_normal(p.shape))
        with torch.no_grad():
            q.copy_(torch.tensor(kw.get_value(p)))


def _relative(a, b):
    assert a.shape == b.shape
    assert np.abs(b).max() > 0
    return float(np.abs(a - b).max() / np.abs(b).max())
