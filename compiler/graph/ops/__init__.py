"""The op table, one file per family. Importing this package fills `registry.OPS`."""

from . import contract, elementwise, indexing, movement, random, reduce, sampling, source, subscript, window
from .registry import OPS, Bad, Op, Sample

__all__ = [
    "OPS",
    "Bad",
    "Op",
    "Sample",
    "contract",
    "elementwise",
    "indexing",
    "movement",
    "random",
    "reduce",
    "sampling",
    "source",
    "subscript",
    "window",
]
