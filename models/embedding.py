"""A table of learnt vectors, looked up by integers. Leans on `layer`, and on the op `gather`, which checks these."""

from __future__ import annotations

from ..compiler.dtypes import is_integer
from ..compiler.graph.node import user_location
from ..compiler.graph.ops.elementwise import where
from ..compiler.graph.ops.indexing import gather
from ..compiler.graph.ops.movement import expand_dims
from ..compiler.graph.tensor import Tensor
from . import initializers as init
from .arguments import explained
from .checks import function, whole
from .layer import Layer, LayerError

NAMES = {
    "input_dim": "here it is num_embeddings",
    "output_dim": "here it is embedding_dim",
    "mask_zero": "padding_idx=0 makes the vector of 0 zeros; attention takes a key_padding_mask",
    "max_norm": 'kw.optim.Group("*.weight", max_norm=...) limits the rows of weights',
    "embeddings_initializer": "here it is weight_init",
}
STANDARD = init.normal(1.0)


class Embedding(Layer):
    """The rows of a weight (num_embeddings, embedding_dim) at integers x: (...,) -> (..., embedding_dim).

    padding_idx: the integer whose vector is zeros, and learns nothing. The weight starts as standard normal numbers.
    Raises LayerError for an x that has no integers; integers outside [0, num_embeddings) are an error of the run.
    """

    kind = "embedding"

    @explained(NAMES, error=LayerError)
    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        weight_init: init.Initializer = STANDARD,
        name: str | None = None,
    ):
        super().__init__(name)
        self.shape = (
            whole("Embedding: num_embeddings", num_embeddings),
            whole("Embedding: embedding_dim", embedding_dim),
        )
        self.padding_idx = (
            None if padding_idx is None else whole("Embedding: padding_idx", padding_idx, 0, num_embeddings - 1)
        )
        self.weight_init = function("Embedding: weight_init", weight_init)

    def build(self, x: Tensor) -> None:
        self.weight = self.parameter("weight", init.draw_later(self.weight_init, self.shape))

    def forward(self, x: Tensor, training: bool) -> Tensor:
        if not is_integer(x.dtype):
            raise LayerError(
                f"embedding: integers are looked up, not {x.brief()}; kw.input(name, shape, 'int32') makes an input of "
                f"them (at {user_location()})"
            )
        rows = gather(self.weight, x)
        return rows if self.padding_idx is None else where(expand_dims(x == self.padding_idx, -1), 0.0, rows)


__all__ = ["Embedding"]
