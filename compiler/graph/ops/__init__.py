"""The op table, one file per family. Importing this package fills `registry.OPS`."""

from . import (
    along,
    contained,
    contract,
    defined,
    elementary,
    elementwise,
    indexing,
    movement,
    random,
    reduce,
    sampling,
    segments,
    slicing,
    source,
    subscript,
    window,
)
from .registry import OPS, Bad, Op, Sample

__all__ = [
    "OPS",
    "Bad",
    "Op",
    "Sample",
    "along",
    "contained",
    "contract",
    "defined",
    "elementary",
    "elementwise",
    "indexing",
    "movement",
    "random",
    "reduce",
    "sampling",
    "segments",
    "slicing",
    "source",
    "subscript",
    "window",
]
