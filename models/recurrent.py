"""Recurrent layers: Elman's network, LSTM and GRU, with PyTorch's equations, names and order of gates.

The products with the inputs of all times are one contraction before the loop, and a turn of `scan` adds those with the
state. Leans on `layer`, and on the DSL for the equations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..compiler.graph.node import user_location
from ..compiler.graph.ops.elementwise import relu, sigmoid, tanh, zeros
from ..compiler.graph.ops.movement import transpose
from ..compiler.graph.ops.slicing import concat, stack
from ..compiler.graph.recurrences import scan
from ..compiler.graph.tensor import Tensor, cast
from ..compiler.shapes import BATCH, show
from . import initializers as init
from .arguments import explained
from .checks import FRACTION, choice, flag, number, whole
from .layer import Layer, LayerError
from .layers import PARAMETERS
from .normalization import Dropout

SEQUENCES = "the layer gives (output, state): output has every time, and the state the last one"
NAMES = {
    **{name: PARAMETERS[name] for name in ("use_bias", "dtype", "device", "input_shape")},
    "input_size": "here it is left out: the features are learnt from the first call",
    "units": "here it is hidden_size",
    "proj_size": "it has no projection: a kw.nn.Dense after it gives outputs another size",
    "return_sequences": SEQUENCES,
    "return_state": SEQUENCES,
    "time_major": "here it is batch_first, the other way round",
    "go_backwards": "bidirectional=True goes both ways; x[::-1] turns the times around",
}
LEARNT = "the features are learnt from the first call, so that PyTorch's LSTM(64, 256) is LSTM(256)"


class Recurrent(Layer):
    """What RNN, LSTM and GRU share: how often their equations are applied, along which axis, and with which weights.

    Raises LayerError for an input that is not of three axes with a known number of features, for one whose batch stands
    where the times are to be, and for a state of another shape.
    """

    gates = 1
    """How many rows of weights there are for each hidden unit."""
    held = 1
    """How many tensors the state has."""

    @explained(NAMES, LEARNT, LayerError)
    def __init__(
        self,
        hidden_size: int,
        *,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        name: str | None = None,
    ):
        super().__init__(name)
        kind = type(self).__name__
        self.hidden_size = whole(f"{kind}: hidden_size", hidden_size)
        self.num_layers = whole(f"{kind}: num_layers", num_layers)
        self.use_bias, self.batch_first = flag(f"{kind}: bias", bias), flag(f"{kind}: batch_first", batch_first)
        self.bidirectional = flag(f"{kind}: bidirectional", bidirectional)
        p = number(f"{kind}: dropout", dropout, FRACTION)
        self.dropped = [Dropout(p) for _ in range(self.num_layers - 1)] if p else []

    def __call__(  # type: ignore[override]
        self, x: Tensor, hx: Any = None, *, training: bool | None = None
    ) -> tuple[Tensor, Any]:
        """(output, last state) of the sequences `x`, from the state `hx`, or from zeros.

        x: (time, batch, features); output: (time, batch, hidden_size), twice as wide where it is bidirectional; with
        `batch_first` both have the batch before the time. A state is (layers, batch, hidden_size), those of a
        bidirectional layer forward and backward in turn; an LSTM's is a pair of such, (hidden, cell).
        """
        first = [] if hx is None else list(hx) if isinstance(hx, (tuple, list)) else [hx]
        if len(first) not in (0, self.held):
            needed = "a pair of tensors (hidden, cell)" if self.held == 2 else "one tensor"
            raise LayerError(f"{type(self).__name__}: the state is {needed}, not {len(first)} (at {user_location()})")
        output, *state = super().__call__(x, *first, training=training)
        return output, state[0] if self.held == 1 else tuple(state)

    # -------------------------------------------------------- what each of them writes
    def turn(self, states: Sequence[Tensor], given: Tensor, weight: Tensor, bias: Tensor | None) -> Any:
        """(new states, what is kept of the turn: the output first) from the states, each (batch, hidden_size), and the
        products with the inputs, (batch, gates * hidden_size)."""
        raise NotImplementedError

    # -------------------------------------------------------- weights
    def build(self, x: Tensor, *states: Tensor) -> None:
        self._check(x, states)
        features: Any = x.shape[-1]
        limit = 1 / math.sqrt(self.hidden_size)
        drawn = init.uniform(-limit, limit)
        rows = self.gates * self.hidden_size
        for layer in range(self.num_layers):
            for suffix in self._suffixes(layer):
                shapes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (rows, features),
                    "weight_hh": (rows, self.hidden_size),
                }
                if self.use_bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                for name, shape in shapes.items():
                    setattr(self, name + suffix, self.parameter(name + suffix, init.draw_later(drawn, shape)))
            features = self.hidden_size * len(self._suffixes(layer))

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: 1 + self.bidirectional]

    # -------------------------------------------------------- values
    def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        self._check(x, states)
        y = transpose(x, (1, 0, 2)) if self.batch_first else x
        finals: list[list[Tensor]] = []
        for layer in range(self.num_layers):
            if layer and self.dropped:
                y = self.dropped[layer - 1](y)
            outputs = []
            for suffix in self._suffixes(layer):
                first = [s[len(finals)] for s in states]
                output, final = self._direction(y, first, suffix)
                outputs.append(output)
                finals.append(final)
            y = concat(outputs, -1) if self.bidirectional else outputs[0]
        last = tuple(stack([final[i] for final in finals]) for i in range(self.held))
        return (transpose(y, (1, 0, 2)) if self.batch_first else y), *last

    def _direction(self, x: Tensor, first: Sequence[Tensor], suffix: str) -> tuple[Tensor, list[Tensor]]:
        """(outputs of every time, last states) of one layer in one direction."""
        own = self._parameters
        weight, bias = own[f"weight_hh{suffix}"], own.get(f"bias_hh{suffix}")
        given = x @ own[f"weight_ih{suffix}"].T
        if bias is not None:
            given, bias = self._with_biases(given, own[f"bias_ih{suffix}"], bias)
        start = [zeros((x.shape[1], self.hidden_size), given.dtype)] * self.held
        start = [cast(h, given.dtype) for h in first] or start
        final, kept = scan(
            lambda states, place: self.turn(states, place, weight, bias),
            start,
            given,
            reverse=suffix.endswith("reverse"),
        )
        return kept[0], final

    def _with_biases(self, given: Tensor, inner: Tensor, outer: Tensor) -> tuple[Tensor, Tensor | None]:
        """(products with the biases that can be added before the loop, the bias that cannot)."""
        return given + (inner + outer), None

    # -------------------------------------------------------- checks
    def _check(self, x: Tensor, states: Sequence[Tensor]) -> None:
        kind, axes = type(self).__name__, ["batch", "time"] if self.batch_first else ["time", "batch"]
        wanted = f"({', '.join(axes)}, features)"
        if x.rank != 3 or not isinstance(x.shape[-1], int):
            raise LayerError(
                f"{kind}: {wanted} with a known number of features is needed, not {show(x.shape)} "
                f"(at {user_location()})"
            )
        if self.built and x.shape[-1] != (known := self._parameters["weight_ih_l0"].shape[1]):
            raise LayerError(f"{kind}: {wanted} with {known} features, not {show(x.shape)} (at {user_location()})")
        times, batch = (x.shape[1], x.shape[0]) if self.batch_first else (x.shape[0], x.shape[1])
        if times == BATCH != batch:
            raise LayerError(
                f"{kind}: batch_first={self.batch_first}{'' if self.batch_first else ', as in PyTorch,'} takes "
                f"{wanted}, and {show(x.shape)} has its batch at the time's place; "
                f"batch_first={not self.batch_first} takes it so (at {user_location()})"
            )
        shape = (self.num_layers * (1 + self.bidirectional), batch, self.hidden_size)
        for state in states:
            if state.shape != shape:
                raise LayerError(f"{kind}: a state is {show(shape)}, not {state.brief()} (at {user_location()})")


class RNN(Recurrent):
    """h = tanh(W_ih x + b_ih + W_hh h + b_hh) along sequences (Elman 1990); nonlinearity: "tanh" or "relu".

    Called with (time, batch, features) and, where it does not start from zeros, a state (layers, batch, hidden_size);
    gives (output, last state), as PyTorch's RNN with the same weights by the same names: weight_ih_l0, weight_hh_l0,
    bias_ih_l0, bias_hh_l0, then those of `_l0_reverse` where it is bidirectional, and of `_l1`. batch_first: (batch,
    time, features). num_layers: each reads the outputs of the one before, with dropout between them in training. First
    weights and biases are uniform in +-1/sqrt(hidden_size). Raises LayerError for other shapes.
    """

    kind = "rnn"

    @explained({**NAMES, "activation": 'here it is nonlinearity="tanh" or "relu"'}, LEARNT, LayerError)
    def __init__(self, hidden_size: int, *, nonlinearity: str = "tanh", **others: Any):
        super().__init__(hidden_size, **others)
        self.nonlinearity = choice("RNN: nonlinearity", nonlinearity, ("tanh", "relu"))

    def turn(self, states: Sequence[Tensor], given: Tensor, weight: Tensor, bias: Tensor | None) -> Any:
        h = (tanh if self.nonlinearity == "tanh" else relu)(given + states[0] @ weight.T)
        return [h], [h]


class LSTM(Recurrent):
    """Long short-term memory along sequences (Hochreiter and Schmidhuber 1997; with forget gates, Gers et al. 2000).

    c = sigmoid(f) * c + sigmoid(i) * tanh(g) and h = sigmoid(o) * tanh(c), where i, f, g, o in this order are the rows
    of W_ih x + b_ih + W_hh h + b_hh. The state is a pair (h, c), each (layers, batch, hidden_size); all else is as in
    `RNN`, and as PyTorch's LSTM.
    """

    kind = "lstm"
    gates = 4
    held = 2

    def turn(self, states: Sequence[Tensor], given: Tensor, weight: Tensor, bias: Tensor | None) -> Any:
        h, c = states
        rows = given + h @ weight.T
        i, f, g, o = (rows[:, k * self.hidden_size : (k + 1) * self.hidden_size] for k in range(4))
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)
        return [h, c], [h, rows]


class GRU(Recurrent):
    """Gated recurrent units along sequences (Cho et al. 2014), in PyTorch's form: the reset gate multiplies the product
    with the state.

    h = (1 - z) * n + z * h, with r, z = sigmoid(W_ih x + b_ih + W_hh h + b_hh) and
    n = tanh(W_in x + b_in + r * (W_hn h + b_hn)); the rows of the weights are those of r, z, n. All else is as in
    `RNN`.
    """

    kind = "gru"
    gates = 3

    def turn(self, states: Sequence[Tensor], given: Tensor, weight: Tensor, bias: Tensor | None) -> Any:
        (h,) = states
        rows = h @ weight.T
        if bias is not None:
            rows = rows + bias
        parts = [slice(k * self.hidden_size, (k + 1) * self.hidden_size) for k in range(3)]
        r, z = (sigmoid(given[:, part] + rows[:, part]) for part in parts[:2])
        n = tanh(given[:, parts[2]] + r * rows[:, parts[2]])
        h = n + z * (h - n)
        return [h], [h, rows]

    def _with_biases(self, given: Tensor, inner: Tensor, outer: Tensor) -> tuple[Tensor, Tensor | None]:
        return given + inner, outer


__all__ = ["GRU", "LSTM", "RNN"]
