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


def disagreement(model, torch_net, device="reference", batch=2, training=True, vanishing=()):
    """The greatest difference of any value or gradient, each array's relative to its own greatest element.

    In training mode the running statistics are compared too. The model is one of float64: in float32 a rounding can
    move a maximum to its neighbour, and a gradient with it. vanishing: parameters, by name, whose gradient is zero
    (a bias straight before a batch norm, in training); both must then be rounding errors of the greatest gradient.
    """
    image, weight = problem(model, batch)
    found = ours(model, image, weight, device, training)
    if training:
        found = [*found, *map(kw.get_value, _statistics(model))]
    wanted = theirs(model, torch_net, image, weight, training)
    if training:
        wanted += [b.numpy() for b in torch_net.buffers() if b.is_floating_point()]
    assert len(found) == len(wanted)
    first = len(found) - len(model.parameters()) - (len(_statistics(model)) if training else 0)
    zero = {first + i for i, p in enumerate(model.parameters()) if p.attrs.name in vanishing}
    assert len(zero) == len(vanishing)
    greatest = max(np.abs(b).max() for b in wanted[first:])
    for i in zero:
        assert max(np.abs(found[i]).max(), np.abs(wanted[i]).max()) < 1e-14 * greatest
    return max(_relative(a, b) for i, (a, b) in enumerate(zip(found, wanted, strict=True)) if i not in zero)


def problem(model, batch):
    """Images and the weights of the logits in the scalar that is differentiated, both random.

    Also moves the model's vectors (biases, scales, shifts), and what else starts at zero, off their zeros and ones.
    """
    rng = np.random.default_rng(0)
    for p in model.parameters():
        if len(p.shape) == 1 or not kw.get_value(p).any():
            kw.set_value(p, kw.get_value(p) + 0.1 * rng.standard_normal(p.shape))
    return rng.standard_normal((batch, *model.input_shape)), rng.standard_normal((batch, model.classes))


def ours(model, image, weight, device, training):
    """Logits, in training those of the heads too, then the gradients by the image and by every parameter.

    What is differentiated is the sum of weight * logits, and of those of the heads with their own weights.
    """
    x = kw.input("x", (None, *model.input_shape), "float64")
    w = kw.input("w", (None, model.classes), "float64")
    logits = model(x, training)
    heads = model.net.heads() if training else []
    loss = (logits * w).sum()
    for share, head in heads:
        loss = loss + (head * w).sum() * share
    gradients = kw.grad(loss, [x, *model.parameters()])
    outputs = [logits, *(head for _, head in heads), *gradients]
    return kw.compile([x, w], outputs, model.net.updates() if training else {}, device=device)(image, weight)


def theirs(model, torch_net, image, weight, training):
    """The same of `torch_net`, given the model's parameters; it gives logits, or logits and a list of the heads'."""
    import torch

    net = torch_net.double().train(training)
    parameters = list(net.parameters())
    assert [p.shape for p in model.parameters()] == [tuple(q.shape) for q in parameters]
    with torch.no_grad():
        for p, q in zip(model.parameters(), parameters, strict=True):
            q.copy_(torch.tensor(kw.get_value(p)))
    x = torch.tensor(image, requires_grad=True)
    result = net(x)
    outputs = [result[0], *result[1]] if isinstance(result, tuple) else [result]
    shares = [1.0, *(share for share, _ in (model.net.heads() if training else []))]
    total = sum((y * torch.tensor(weight)).sum() * share for y, share in zip(outputs, shares, strict=True))
    total.backward()
    return [y.detach().numpy() for y in (*outputs, x.grad, *(p.grad for p in parameters))]


def _statistics(model):
    """The running means and variances; a generator's state is of another dtype."""
    return [b for b in model.buffers() if b.dtype == "float64"]


def _relative(a, b):
    assert a.shape == b.shape
    assert np.abs(b).max() > 0
    return float(np.abs(a - b).max() / np.abs(b).max())
