"""How good a trained classifier is, and where it errs: `kw.evaluate` and its reports."""

from .judging import evaluate
from .result import Evaluation, Mistake
from .weights import trained

__all__ = ["Evaluation", "Mistake", "evaluate", "trained"]
