"""RNN, LSTM and GRU against PyTorch's: outputs, last states and all gradients; what is refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import kernelwright as kw

FEATURES, HIDDEN = 3, 5


def flat(y: Any, state: Any) -> list[Any]:
    return [y, *(state if isinstance(state, tuple) else [state])]


def compared(kind: str, sizes: list[tuple[int, int]], given_state: bool, device: str = "cpu", **options: Any) -> None:
    """One program for all (time, batch) against PyTorch's module, in float64."""
    torch = pytest.importorskip("torch")
    module = getattr(torch.nn, kind)(FEATURES, HIDDEN, **options).double()
    layers = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    first = (None, "time") if options.get("batch_first") else ("time", None)
    x = kw.input("x", (*first, FEATURES), "float64")
    count = (2 if kind == "LSTM" else 1) if given_state else 0
    states = [kw.input(f"s{i}", (layers, None, HIDDEN), "float64") for i in range(count)]
    with kw.init.precision("float64"):
        layer = getattr(kw.nn, kind)(HIDDEN, **options)
        found = flat(*(layer(x, states[0] if count == 1 else tuple(states)) if states else layer(x)))
    assert list(layer.state_dict()) == list(module.state_dict())
    layer.load_state_dict(module.state_dict())
    loss = sum((y * y * (i + 1)).sum() for i, y in enumerate(found))
    wanted_of = [x, *states, *layer.parameters()]
    program = kw.compile([x, *states], [*found, *kw.grad(loss, wanted_of)], device=device, threads=2)
    rng = np.random.default_rng(0)
    for time, batch in sizes:
        shape = (batch, time, FEATURES) if options.get("batch_first") else (time, batch, FEATURES)
        arrays = [rng.standard_normal(shape), *(rng.standard_normal((layers, batch, HIDDEN)) for _ in states)]
        leaves = [torch.tensor(a, requires_grad=True) for a in arrays]
        hx = None if not states else leaves[1] if count == 1 else tuple(leaves[1:])
        values = flat(*module(leaves[0], hx))
        total = sum((y * y * (i + 1)).sum() for i, y in enumerate(values))
        grads = torch.autograd.grad(total, [*leaves, *module.parameters()])
        for got, wanted in zip(program(*arrays), [*values, *grads], strict=True):
            np.testing.assert_allclose(got, wanted.detach().numpy(), 1e-9, 1e-9)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_any_length_and_batch_from_a_given_state(kind: str) -> None:
    compared(kind, [(1, 2), (7, 3), (4, 1)], True)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_two_layers_in_both_directions(kind: str) -> None:
    compared(kind, [(1, 2), (5, 3)], False, num_layers=2, bidirectional=True, batch_first=True)


def test_states_of_several_layers_and_directions_have_torchs_order() -> None:
    compared("LSTM", [(3, 2)], True, "reference", num_layers=2, bidirectional=True)


def test_without_biases_and_with_relu() -> None:
    compared("GRU", [(3, 2)], False, "reference", bias=False)
    compared("RNN", [(3, 2)], True, "reference", bias=False, nonlinearity="relu")


def test_first_weights_are_uniform_in_torchs_range() -> None:
    with kw.init.seeded(0):
        layer = kw.nn.LSTM(64)
        layer(kw.input("x", ("time", None, 4)))
    for name, value in layer.state_dict().items():
        assert 0.11 < np.abs(value).max() <= 1 / 8, name
        assert abs(value.mean()) < 0.02, name


def test_dropout_stands_between_layers_and_in_training_only() -> None:
    x = kw.input("x", ("time", None, 2))
    layer = kw.nn.GRU(4, num_layers=2, dropout=0.5)
    outputs = [layer(x)[0], layer(x, training=True)[0], layer(x, training=True)[0]]
    quiet, first, second = kw.compile([x], outputs)(np.ones((3, 2, 2), "float32"))
    layer.dropped = []
    np.testing.assert_array_equal(kw.compile([x], [layer(x)[0]])(np.ones((3, 2, 2), "float32")), quiet)
    assert (first != quiet).any() and (second != quiet).any() and (first != second).any()
    one = kw.nn.GRU(4, dropout=0.5)
    inference, training = kw.compile([x], [one(x)[0], one(x, training=True)[0]])(np.ones((3, 2, 2), "float32"))
    np.testing.assert_array_equal(inference, training)


def test_as_a_part_of_a_model_that_trains() -> None:
    """Whether a sequence holds more ones than zeros, of what the last state says."""

    class Majority(kw.nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = kw.nn.LSTM(8, batch_first=True), kw.nn.Dense(2)

        def forward(self, x: kw.Tensor) -> kw.Tensor:
            _, (h, _) = self.lstm(x)
            return self.head(h[-1])

    bits = np.random.default_rng(0).integers(0, 2, (640, 7, 1)).astype("float32")
    labels = (bits.sum((1, 2)) > 3).astype("int32")
    with kw.init.seeded(0):
        trainer = kw.Trainer(Majority(), kw.optim.Adam(0.02), "cross_entropy", batch=32)
        trainer.fit((bits, labels), 12)
    assert (trainer.predict(bits).argmax(-1) == labels).mean() > 0.95


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: kw.nn.LSTM(64, 256), "PyTorch's LSTM(64, 256) is LSTM(256)"),
        (lambda: kw.nn.GRU(8, input_size=4), "learnt from the first call"),
        (lambda: kw.nn.LSTM(8, return_sequences=True), "(output, state)"),
        (lambda: kw.nn.LSTM(8, proj_size=4), "no projection"),
        (lambda: kw.nn.RNN(8, nonlinearity="sine"), "one of tanh, relu"),
        (lambda: kw.nn.GRU(0), "of at least 1"),
        (lambda: kw.nn.GRU(8)(kw.input("x", (None, 4))), "(time, batch, features) with a known"),
        (lambda: kw.nn.GRU(8)(kw.input("x", (None, 20, 4))), "batch_first=True takes it so"),
        (lambda: kw.nn.GRU(8, batch_first=True)(kw.input("x", (20, None, 4))), "batch_first=False takes it so"),
        (lambda: kw.nn.LSTM(8)(kw.input("x", (20, 2, 4)), kw.input("h", (1, 2, 8))), "a pair of tensors"),
        (lambda: kw.nn.GRU(8)(kw.input("x", (20, 2, 4)), kw.input("h", (2, 8))), "a state is (1, 2, 8)"),
        (lambda: kw.nn.Sequential(kw.nn.GRU(8), kw.nn.Dense(2))(kw.input("x", (20, 2, 4))), "take the tensor"),
    ],
)
def test_what_is_refused(call: Any, words: str) -> None:
    with pytest.raises(kw.KernelwrightError, match=re.escape(words)):
        call()
