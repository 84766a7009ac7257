"""Attention with several heads, as a layer. Leans on `layers` for the output's projection, on the DSL for the rest."""

from __future__ import annotations

from functools import reduce

from ..compiler.graph.functions import attention_weights
from ..compiler.graph.node import user_location
from ..compiler.graph.ops.movement import expand_dims, transpose
from ..compiler.graph.predicates import logical_not, logical_or
from ..compiler.graph.tensor import Tensor
from ..compiler.shapes import show
from . import initializers as init
from .arguments import explained
from .checks import FRACTION, flag, function, number, whole
from .layer import Layer, LayerError
from .layers import Dense
from .normalization import Dropout

NAMES = {
    "embed_dim": "here it is left out: the features are learnt from the first call",
    "key_dim": "here it is left out: the features are learnt from the first call, and shared among the heads",
    "batch_first": "it is always so: (batch, time, features)",
    "is_causal": "here it is causal, of the layer: MultiHeadAttention(8, causal=True)",
    "need_weights": "the layer gives the output alone",
}


class MultiHeadAttention(Layer):
    """softmax(q k^T / sqrt(size)) v in `num_heads` heads, and a projection of all (Vaswani et al. 2017, section 3.2).

    Called with a query (batch, time, features), and for cross-attention a key and a value (batch, other time,
    features); the key is the query where it is left out, and the value the key. Gives (batch, time, features). The
    numbers are those of PyTorch's MultiheadAttention with batch_first=True, and so are the names: in_proj_weight
    (3 features, features), in_proj_bias, out_proj.weight, out_proj.bias.

    causal: a place attends to itself and those before it. key_padding_mask, bool (batch, other time): True where a key
    is left out. attn_mask, bool (time, other time): True where a query must not see a key. A query that may see nothing
    is NaN, as in PyTorch. dropout: the part of the attention's weights that is dropped in training. Raises LayerError
    for tensors of other shapes, and for heads that do not divide the features.
    """

    kind = "attention"

    @explained(
        NAMES, "PyTorch's MultiheadAttention(64, 8) is MultiHeadAttention(8): the features are learnt", LayerError
    )
    def __init__(
        self,
        num_heads: int,
        *,
        dropout: float = 0.0,
        bias: bool = True,
        causal: bool = False,
        weight_init: init.Initializer = init.glorot_uniform,
        name: str | None = None,
    ):
        super().__init__(name)
        kind = "MultiHeadAttention"
        self.num_heads = whole(f"{kind}: num_heads", num_heads)
        self.use_bias, self.causal = flag(f"{kind}: bias", bias), flag(f"{kind}: causal", causal)
        p = number(f"{kind}: dropout", dropout, FRACTION)
        self.dropped = Dropout(p, name="dropout") if p else None
        self.weight_init = function(f"{kind}: weight_init", weight_init)

    def build(self, query: Tensor, *others: Tensor, **named: Tensor) -> None:  # type: ignore[override]
        features = query.shape[-1] if query.rank == 3 else None
        if not isinstance(features, int) or features % self.num_heads:
            raise LayerError(
                f"attention: (batch, time, features) is needed, with features that {self.num_heads} heads divide, not "
                f"{show(query.shape)} (at {user_location()})"
            )
        weight = init.draw_later(self.weight_init, (3 * features, features))
        self.in_proj_weight = self.parameter("in_proj_weight", weight)
        if self.use_bias:
            self.in_proj_bias = self.parameter("in_proj_bias", init.draw_later(init.zeros, (3 * features,)))
        self.out_proj = Dense(features, bias=self.use_bias, name="out_proj")

    def forward(  # type: ignore[override]
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        attn_mask: Tensor | None = None,
    ) -> Tensor:
        key = query if key is None else key
        value = key if value is None else value
        self._check(query, key, value)
        q, k, v = (self._projected(i, x) for i, x in enumerate((query, key, value)))
        weights = attention_weights(q, k, self._seen(q, k, key_padding_mask, attn_mask), self.causal)
        if self.dropped is not None:
            weights = self.dropped(weights)
        joined = transpose(weights @ v, (0, 2, 1, 3)).reshape(*query.shape)
        return self.out_proj(joined)

    def _projected(self, part: int, x: Tensor) -> Tensor:
        """The queries, keys or values (part 0, 1, 2) of all heads: (batch, heads, time, size)."""
        features = self.in_proj_weight.shape[1]
        assert isinstance(features, int)
        rows = slice(part * features, (part + 1) * features)
        y = x @ self.in_proj_weight[rows].T
        if self.use_bias:
            y = y + self.in_proj_bias[rows]
        return transpose(y.reshape(*x.shape[:2], self.num_heads, features // self.num_heads), (0, 2, 1, 3))

    def _seen(self, q: Tensor, k: Tensor, keys: Tensor | None, pairs: Tensor | None) -> Tensor | None:
        """Which keys each query sees, in a shape that broadcasts to (batch, heads, time, other time); None: all."""
        (batch, _, queries, _), others = q.shape, k.shape[2]
        hidden = []
        for what, mask, shape in (("key_padding_mask", keys, (batch, others)), ("attn_mask", pairs, (queries, others))):
            if mask is None:
                continue
            if mask.dtype != "bool" or mask.shape != shape:
                raise LayerError(
                    f"attention: {what} is bool {show(shape)}, True where a key is left out, not {mask.brief()} (at "
                    f"{user_location()})"
                )
            hidden.append(expand_dims(mask, (1, 2)) if what == "key_padding_mask" else mask)
        return logical_not(reduce(logical_or, hidden)) if hidden else None

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        features, given = self.in_proj_weight.shape[1], (query, key, value)
        fits = all(x.rank == 3 and x.shape[-1] == features and x.shape[0] == query.shape[0] for x in given)
        if not fits or key.shape != value.shape:
            raise LayerError(
                f"attention: query (batch, time, {features}), key and value (batch, other time, {features}) are "
                f"needed, not {', '.join(show(x.shape) for x in given)}; kw.nn.Dense({features}) before it makes other "
                f"features fit (at {user_location()})"
            )


__all__ = ["MultiHeadAttention"]
