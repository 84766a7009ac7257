"""All layers, as `kw.nn`: the names of the files that define them, gathered."""

# ruff: noqa: F403

from __future__ import annotations

from typing import TYPE_CHECKING

from . import activation_layers, attention, conv_transpose, embedding, group_norms, layers, recurrent, resizing
from .activation_layers import *
from .attention import *
from .conv_transpose import *
from .elsewhere import LAYERS, missing
from .embedding import *
from .group_norms import *
from .layers import *
from .normalization import SpatialDropout
from .recurrent import *
from .resizing import *

__all__ = [
    "SpatialDropout",
    *activation_layers.__all__,
    *attention.__all__,
    *conv_transpose.__all__,
    *embedding.__all__,
    *group_norms.__all__,
    *layers.__all__,
    *recurrent.__all__,
    *resizing.__all__,
]

if not TYPE_CHECKING:  # a type checker is to find what does not exist

    def __getattr__(name: str) -> None:
        raise missing("kw.nn", name, LAYERS, __all__)
