"""Attention with several heads against PyTorch's MultiheadAttention: values and gradients with the same weights."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(11)
BATCH, TIME, OTHER, FEATURES = 3, 5, 7, 12
QUERY, KEY, VALUE = (RNG.standard_normal((BATCH, time, FEATURES)) for time in (TIME, OTHER, OTHER))
PADDED = np.arange(OTHER) >= np.array([[7], [4], [1]])
PAIRS = RNG.random((TIME, OTHER)) < 0.3
PAIRS[:, 0] = False  # each query sees a key


def compared(tensors, masks=None, dtype="float64", device="reference", **options):
    masks = masks or {}
    causal = options.get("causal", False)
    arrays = [a.astype(dtype) for a in tensors] + list(masks.values())
    inputs = [kw.input(f"x{i}", (None, *a.shape[1:]), dtype) for i, a in enumerate(tensors)]
    masked = {
        name: kw.input(name, (None, OTHER) if name == "key_padding_mask" else a.shape, "bool")
        for name, a in masks.items()
    }
    module = torch.nn.MultiheadAttention(FEATURES, 3, bias=options.get("bias", True), batch_first=True).double()
    with kw.init.precision(dtype):
        layer = kw.nn.MultiHeadAttention(3, **options)
        y = layer(*inputs, **masked)
    for p in module.parameters():
        torch.nn.init.normal_(p)
    layer.load_state_dict(module.state_dict())
    grads = kw.grad((y * y).sum(), [*inputs, *layer.parameters()])
    out = kw.compile([*inputs, *masked.values()], [y, *grads], device=device)(*arrays)
    exact = [torch.tensor(a.astype(dtype).astype("float64"), requires_grad=True) for a in tensors]
    q, k, v = (*exact, exact[-1], exact[-1])[:3] if len(exact) < 3 else exact
    triangle = torch.ones(TIME, k.shape[1]).triu(1).bool()
    wanted, _ = module(
        q,
        k,
        v,
        key_padding_mask=torch.tensor(masks["key_padding_mask"]) if "key_padding_mask" in masks else None,
        attn_mask=triangle if causal else torch.tensor(masks["attn_mask"]) if "attn_mask" in masks else None,
    )
    (wanted**2).sum().backward()
    known = dict(module.named_parameters())
    names = [
        n for n in ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias") if known.get(n) is not None
    ]
    expected = [wanted.detach(), *(x.grad for x in exact), *(known[n].grad for n in names)]
    for value, want in zip(out, expected, strict=True):
        scale = float(want.abs().max())
        relative = 1e-5 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(value, want.numpy(), rtol=0, atol=relative * scale)


def test_self_attention_is_that_of_torch():
    compared([QUERY])


def test_without_biases_and_causal():
    compared([QUERY], bias=False, causal=True)


def test_attention_to_others_with_masks():
    compared([QUERY, KEY, VALUE], {"key_padding_mask": PADDED, "attn_mask": PAIRS})


@pytest.mark.parametrize("options", [{}, {"causal": True}])
def test_compiled_attention_is_that_of_torch(options):
    masks = {} if options else {"key_padding_mask": PADDED}
    compared([QUERY, KEY] if masks else [QUERY], masks, "float32", "cpu", **options)


def test_dropout_of_weights_is_for_training():
    layer = kw.nn.MultiHeadAttention(3, dropout=0.5)
    x = kw.input("x", (None, TIME, FEATURES))
    program = kw.compile([x], [layer(x), layer(x, training=True), layer(x, training=True)], device="reference")
    values = QUERY.astype("float32")
    still, first, _ = program(values)
    again, second, _ = program(values)
    assert (still == again).all() and (first != second).any()


def test_no_decay_is_for_its_biases_too():
    layer = kw.nn.MultiHeadAttention(3, bias=True)
    layer(kw.input("x", (None, TIME, FEATURES)))
    optimizer = kw.optim.AdamW(groups=kw.optim.NO_DECAY)
    zeros = [kw.zeros(p.shape) for p in layer.parameters()]
    optimizer.updates(layer.parameters(), zeros)
    assert [optimizer.decay(p) for p in layer.parameters()] == [0.01, 0.0, 0.01, 0.0]


def test_what_does_not_fit_is_refused_with_a_way_out():
    x, wide = kw.input("x", (None, TIME, FEATURES)), kw.input("y", (None, OTHER, FEATURES + 1))
    mask = kw.input("m", (None, TIME + 1), "bool")
    with pytest.raises(kw.nn.LayerError, match="5 heads divide"):
        kw.nn.MultiHeadAttention(5)(x)
    with pytest.raises(kw.nn.LayerError, match=r"kw.nn.Dense\(12\)"):
        kw.nn.MultiHeadAttention(3)(x, wide)
    with pytest.raises(kw.nn.LayerError, match="key_padding_mask is bool"):
        kw.nn.MultiHeadAttention(3)(x, key_padding_mask=mask)
    with pytest.raises(kw.nn.LayerError, match="features are learnt"):
        kw.nn.MultiHeadAttention(12, 3)
