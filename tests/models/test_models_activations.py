"""Activations: values and gradients of functions and layers against PyTorch, also at corners and far out."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw

torch = pytest.importorskip("torch")
F = torch.nn.functional

POINTS = [-1e4, -90.0, -20.5, -6.0, -3.0, -2.5, -1.0, -0.3, -1e-6, 0.0, 1e-6, 0.7, 1.0, 2.0, 3.0, 5.9, 6.0, 21.0, 1e4]

# PyTorch 2.13 has the 1/6 of hardsigmoid's gradient, and the 1 / alpha of celu's, in float32: hence hardtanh and 2.0.
FUNCTIONS = {
    "gelu": (kw.gelu, F.gelu),
    "gelu_tanh": (lambda x: kw.gelu(x, approximate="tanh"), lambda x: F.gelu(x, approximate="tanh")),
    "silu": (kw.silu, F.silu),
    "mish": (kw.mish, F.mish),
    "leaky_relu": (lambda x: kw.leaky_relu(x, 0.2), lambda x: F.leaky_relu(x, 0.2)),
    "elu": (lambda x: kw.elu(x, 0.7), lambda x: F.elu(x, 0.7)),
    "celu": (lambda x: kw.celu(x, 2.0), lambda x: F.celu(x, 2.0)),
    "selu": (kw.selu, F.selu),
    "hardtanh": (lambda x: kw.hardtanh(x, -0.3, 2.0), lambda x: F.hardtanh(x, -0.3, 2.0)),
    "relu6": (kw.relu6, F.relu6),
    "hardsigmoid": (kw.hardsigmoid, lambda x: F.hardtanh(x, -3, 3) / 6 + 0.5),
    "hardsigmoid as a layer": (kw.nn.Hardsigmoid(), lambda x: F.hardtanh(x, -3, 3) / 6 + 0.5),
    "hardswish": (kw.hardswish, F.hardswish),
    "softsign": (kw.softsign, F.softsign),
    "log_sigmoid": (kw.log_sigmoid, F.logsigmoid),
    "softplus": (kw.nn.Softplus(beta=2.0), lambda x: F.softplus(x, 2.0)),
}
LAYERS = [
    (kw.nn.ReLU(), torch.nn.ReLU()),
    (kw.nn.ReLU6(), torch.nn.ReLU6()),
    (kw.nn.Sigmoid(), torch.nn.Sigmoid()),
    (kw.nn.Tanh(), torch.nn.Tanh()),
    (kw.nn.SiLU(), torch.nn.SiLU()),
    (kw.nn.Mish(), torch.nn.Mish()),
    (kw.nn.SELU(), torch.nn.SELU()),
    (kw.nn.ELU(0.5), torch.nn.ELU(0.5)),
    (kw.nn.CELU(2.0), torch.nn.CELU(2.0)),
    (kw.nn.GELU("tanh"), torch.nn.GELU("tanh")),
    (kw.nn.LeakyReLU(), torch.nn.LeakyReLU()),
    (kw.nn.PReLU(), torch.nn.PReLU()),
    (kw.nn.PReLU(shared=False), torch.nn.PReLU(4)),
    (kw.nn.Hardtanh(), torch.nn.Hardtanh()),
    (kw.nn.Hardswish(), torch.nn.Hardswish()),
    (kw.nn.Softsign(), torch.nn.Softsign()),
    (kw.nn.LogSigmoid(), torch.nn.LogSigmoid()),
    (kw.nn.Softplus(), torch.nn.Softplus()),
    (kw.nn.Softmax(1), torch.nn.Softmax(1)),
    (kw.nn.LogSoftmax(), torch.nn.LogSoftmax(-1)),
    (kw.nn.GLU(1), torch.nn.GLU(1)),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_and_their_gradients_are_those_of_torch(dtype, device):
    values = np.array(POINTS, dtype)
    x = kw.input("x", (None,), dtype)
    ours = {name: function(x) for name, (function, _) in FUNCTIONS.items()}
    slopes = [kw.grad(y.sum(), x) for y in ours.values()]
    out = kw.compile([x], [*ours.values(), *slopes], device=device)(values)
    close = {"rtol": 1e-6, "atol": 3e-7} if dtype == "float32" else {"rtol": 1e-13, "atol": 1e-15}
    for (name, (_, theirs)), y, slope in zip(FUNCTIONS.items(), out, out[len(ours) :], strict=False):
        exact = torch.tensor(values.astype("float64"), requires_grad=True)
        expected = theirs(exact)
        expected.sum().backward()
        assert y.dtype == slope.dtype == dtype
        np.testing.assert_allclose(y, expected.detach().numpy(), **close, err_msg=name)
        np.testing.assert_allclose(slope, exact.grad.numpy(), **close, err_msg=f"slope of {name}")


def test_layers_are_those_of_torch_also_where_they_learn():
    values = np.random.default_rng(0).standard_normal((3, 4, 5))
    x = kw.input("x", (None, 4, 5), "float64")
    with kw.init.precision("float64"):
        ours = [layer(x) for layer, _ in LAYERS]
    learnt = [p for layer, _ in LAYERS for p in layer.parameters()]
    total = sum((y * y).sum() for y in ours)
    out = kw.compile([x], [*ours, *kw.grad(total, [x, *learnt])])(values)
    exact = torch.tensor(values, requires_grad=True)
    expected = [theirs.double()(exact) for _, theirs in LAYERS]
    sum((y * y).sum() for y in expected).backward()
    wanted = [y.detach() for y in expected] + [exact.grad] + [p.grad for _, m in LAYERS for p in m.parameters()]
    assert len(learnt) == 2
    for value, want in zip(out, wanted, strict=True):
        np.testing.assert_allclose(value, want.numpy(), rtol=1e-12, atol=1e-14)


def test_nan_stays_nan():
    x = kw.input("x", (None,))
    values = kw.compile([x], [function(x) for function, _ in FUNCTIONS.values()], device="reference")(
        np.array([np.nan], "float32")
    )
    assert all(np.isnan(value).all() for value in values)


def test_a_state_dict_of_torch_fits_a_sequence_with_activations():
    theirs = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.PReLU(), torch.nn.Linear(3, 2), torch.nn.Softmax(1))
    net = kw.nn.Sequential(kw.nn.Dense(3), kw.nn.PReLU(), kw.nn.Dense(2), kw.nn.Softmax(1))
    x = kw.input("x", (None, 5))
    y = net(x)
    net.load_state_dict(theirs.state_dict())
    values = np.random.default_rng(0).standard_normal((4, 5)).astype("float32")
    expected = theirs(torch.tensor(values)).detach().numpy()
    np.testing.assert_allclose(kw.compile([x], [y], device="reference")(values), expected, rtol=1e-5)


def test_what_cannot_be_is_refused_with_advice():
    with pytest.raises(kw.nn.LayerError, match=r"inplace.*left out"):
        kw.nn.ReLU(inplace=True)
    with pytest.raises(kw.nn.LayerError, match=r"shared=False"):
        kw.nn.PReLU(64)
    with pytest.raises(kw.nn.LayerError, match="axis=0 and dim=1 are one argument"):
        kw.nn.Softmax(0, dim=1)
    with pytest.raises(ValueError, match="none, tanh"):
        kw.gelu(kw.input("x", (2,)), approximate="erf")
    with pytest.raises(ValueError, match="below"):
        kw.hardtanh(kw.input("x", (2,)), 1.0, 1.0)
    with pytest.raises(kw.ShapeError, match="no even size"):
        kw.glu(kw.input("x", (2, 3)))
