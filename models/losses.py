"""The losses, as `kw.losses`: each takes logits (or scores, or predictions) and targets and gives a scalar mean.

The usual ones are composed in `compiler.functions`; those that belong to one historical network are written here, on
the same ops, as are focal losses. All take (outputs, integer labels), so that `kw.Trainer(model, loss=...)` accepts
them, as it does `CrossEntropy`, which has settings of its own; the binary ones take zeros and ones for every class.
Losses of numbers are in `number_losses`, those of vectors that are compared in `embedding_losses`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ..compiler.dtypes import is_integer
from ..compiler.errors import ShapeError
from ..compiler.graph.functions import (
    binary_cross_entropy,
    cross_entropy,
    hinge,
    kl_divergence,
    log_softmax,
    softplus,
)
from ..compiler.graph.functions import mean_squared_error as mean_of_squares
from ..compiler.graph.node import user_location
from ..compiler.graph.ops.elementwise import exp, log, maximum, sigmoid, stop_gradient, where
from ..compiler.graph.ops.indexing import hits, one_hot
from ..compiler.graph.ops.reduce import argmax, max_, mean, sum_
from ..compiler.graph.ops.slicing import pad
from ..compiler.graph.tensor import Tensor
from ..compiler.shapes import show
from .checks import FINITE, FRACTION, NOT_NEGATIVE, PROBABILITY, SettingError, flag, number
from .elsewhere import LOSSES, NO_ALIGNMENTS, missing
from .embedding_losses import cosine_embedding, triplet_margin
from .number_losses import huber, mean_absolute_error, smooth_l1


@dataclass(frozen=True)
class CrossEntropy:
    """`cross_entropy` with its label smoothing chosen, to be given to a Trainer: targets are (1 - s) one-hot plus
    s / classes (Szegedy et al. 2016, section 7). Raises ValueError for a smoothing outside [0, 1)."""

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        number("CrossEntropy: the label smoothing", self.label_smoothing, FRACTION)

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(logits, targets, self.label_smoothing)


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """`binary_cross_entropy` with its label smoothing chosen: targets move towards a half, t (1 - s) + s / 2.

    For images that show several classes. Raises ValueError for a smoothing outside [0, 1).
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        number("BinaryCrossEntropy: the label smoothing", self.label_smoothing, FRACTION)

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        s = self.label_smoothing
        return binary_cross_entropy(logits, targets * (1 - s) + s / 2 if s else targets)


def for_several(loss: Any) -> bool:
    """Whether a loss takes zeros and ones for every class: binary cross-entropy, also with its options bound."""
    inner = getattr(loss, "func", loss)
    return inner is binary_cross_entropy or isinstance(inner, BinaryCrossEntropy)


def for_numbers(loss: Any) -> bool:
    """Whether a loss compares the outputs with numbers, where there is only one output; also with its options bound."""
    return getattr(loss, "func", loss) in (mean_squared_error, *OF_NUMBERS)


def smoothing_of(loss: Any) -> float:
    """The label smoothing of a cross-entropy, also with its options bound; 0 for another loss."""
    if isinstance(loss, CrossEntropy):
        return loss.label_smoothing
    bound = loss.keywords if isinstance(loss, partial) and loss.func is cross_entropy else {}
    return float(bound.get("label_smoothing", 0.0))


def perceptron(scores: Tensor, targets: Tensor) -> Tensor:
    """Rosenblatt's criterion: the mean over rows of (the greatest score) - (the target's score).

    A row that is classified correctly gives 0 and no gradient. On a mistake the gradient adds the example to the
    weights of the class that won and subtracts it from those of the target, so that SGD at rate 1, one example at a
    time, is the perceptron's rule in Kessler's form for many classes (Rosenblatt 1958; Duda and Hart 1973, section
    5.12). scores: (batch, classes) floats; targets: (batch,) integers. Ties go to the first class.
    """
    classes = _classes("perceptron", scores, targets)
    won = one_hot(argmax(scores, -1), classes, scores.dtype)
    return mean(sum_((won - one_hot(targets, classes, scores.dtype)) * scores, -1))


def weston_watkins(scores: Tensor, targets: Tensor, squared: bool = False) -> Tensor:
    """The multi-class hinge: the mean over rows of sum max(0, 1 + s_j - s_target) over the other classes j, or of
    its terms' squares (Weston and Watkins 1999, with a margin of 1 in place of 2).

    With two classes it is the binary hinge of s_1 - s_0. scores: (batch, classes) floats; targets: (batch,) integers.
    """
    flag("weston_watkins: squared", squared)
    margin = maximum(_margins("weston_watkins", scores, targets), 0.0)
    return mean(sum_(margin * margin if squared else margin, -1))


def crammer_singer(scores: Tensor, targets: Tensor, squared: bool = False) -> Tensor:
    """The mean over rows of max(0, 1 + max over j of s_j - s_target), or of its square (Crammer and Singer 2001).

    scores: (batch, classes) floats; targets: (batch,) integers.
    """
    flag("crammer_singer: squared", squared)
    margin = maximum(max_(_margins("crammer_singer", scores, targets), -1), 0.0)
    return mean(margin * margin if squared else margin)


def mean_squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean of (prediction - target)^2 over all elements.

    For prediction (batch, classes) and integers (batch,) the target is 1 at the example's class and 0 elsewhere, as
    with one-hot labels in Keras; otherwise target has the shape of prediction, or one that broadcasts to it.
    """
    if prediction.rank == 2 and target.rank == 1 and is_integer(target.dtype):
        target = one_hot(target, _classes("mean_squared_error", prediction, target), prediction.dtype)
    return mean_of_squares(prediction, target)


def squared_error(outputs: Tensor, targets: Tensor, on: float = 1.0, off: float = 0.0) -> Tensor:
    """The mean over rows of 1/2 sum (y - d)^2, with the desired d = `on` at the target's place and `off` elsewhere.

    Rumelhart, Hinton, Williams 1986, equation 3. outputs: (batch, classes) floats; targets: (batch,) integers.
    """
    number("squared_error: on", on, FINITE)
    number("squared_error: off", off, FINITE)
    classes = _classes("squared_error", outputs, targets)
    d = outputs - (one_hot(targets, classes, outputs.dtype) * (on - off) + off)
    return mean(sum_(d * d, -1)) * 0.5


def cross_entropy_with_rejection(logits: Tensor, targets: Tensor, rejection: float = 0.1) -> Tensor:
    """Cross-entropy over the classes and one class of rubbish, whose logit is -`rejection`.

    With logits that are negative penalties, it is the discriminative criterion of LeCun et al. 1998, equation 9.
    logits: (batch, classes) floats; targets: (batch,) integers.
    """
    number("cross_entropy_with_rejection: rejection", rejection, FINITE)
    classes = _classes("cross_entropy_with_rejection", logits, targets)
    log_p = log_softmax(pad(logits, [0, (0, 1)], -rejection))
    return -mean(sum_(where(hits(targets, classes), log_p[:, :classes], 0.0), -1))


def nll(log_probabilities: Tensor, targets: Tensor) -> Tensor:
    """The mean over rows of -log_probabilities[target], for what ends in `kw.log_softmax`; PyTorch's NLLLoss.

    log_probabilities: (..., classes) floats; targets: (...,) integers. Raises ShapeError where they do not fit.
    """
    classes = log_probabilities.shape[-1] if log_probabilities.rank else None
    if not isinstance(classes, int) or targets.shape != log_probabilities.shape[:-1] or not is_integer(targets.dtype):
        raise ShapeError(
            f"nll: outputs of kw.log_softmax (..., classes) and integer targets (...,) are needed, not "
            f"{show(log_probabilities.shape)} and {targets.brief()} (at {user_location()})"
        )
    return -mean(sum_(where(hits(targets, classes), log_probabilities, 0.0), -1))


def focal(logits: Tensor, targets: Tensor, gamma: float = 2.0) -> Tensor:
    """The mean over rows of -(1 - p)^gamma log p, with p the softmax's probability of the target (Lin et al. 2017).

    It is the cross-entropy for gamma = 0; the larger gamma is, the less do rows count that are classified well.
    logits: (batch, two classes or more) floats; targets: (batch,) integers.
    """
    gamma = number("focal: gamma", gamma, NOT_NEGATIVE)
    hit = hits(targets, _classes("focal", logits, targets))
    log_p = log_softmax(logits)
    others = where(hit, -math.inf, log_p)
    highest = stop_gradient(max_(others, -1, keepdims=True))
    log_rest = log(sum_(exp(others - highest), -1)) + highest.reshape(-1)
    return -mean(exp(log_rest * gamma) * sum_(where(hit, log_p, 0.0), -1))


def binary_focal(logits: Tensor, targets: Tensor, gamma: float = 2.0, alpha: float | None = None) -> Tensor:
    """The mean over all elements of -(1 - p)^gamma log p, with p the sigmoid's for what is (Lin et al. 2017).

    alpha: what ones weigh, and 1 - alpha what zeros do; None weighs both by 1. logits and targets, in [0, 1], have one
    shape. torchvision's `sigmoid_focal_loss` is this with alpha=0.25, before the mean.
    """
    gamma = number("binary_focal: gamma", gamma, NOT_NEGATIVE)
    if logits.shape != targets.shape:
        raise ShapeError(
            f"binary_focal: logits and targets have one shape, not {show(logits.shape)} and {show(targets.shape)} (at "
            f"{user_location()})"
        )
    one, zero = softplus(-logits), softplus(logits)
    if alpha is None:
        losses = one * targets + zero * (1.0 - targets)
    else:
        alpha = number("binary_focal: alpha", alpha, PROBABILITY)
        losses = one * targets * alpha + zero * (1.0 - targets) * (1.0 - alpha)
    wrong = targets * sigmoid(-logits) + (1.0 - targets) * sigmoid(logits)
    return mean(losses * maximum(wrong, 1e-30) ** gamma)  # 0 has no slope for a gamma below 1


OF_NUMBERS = (mean_absolute_error, huber, smooth_l1)
"""Losses that compare numbers of one shape."""
OF_THREE = ("cosine_embedding", "triplet_margin")
"""Those that take three tensors, which a trainer has not for them."""
REFUSED = {
    "ctc": NO_ALIGNMENTS,
    **dict.fromkeys(
        OF_THREE, "it takes three tensors: give the trainer a function of (outputs, targets) that calls it"
    ),
}
"""Why there is no loss of (outputs, targets) with this name."""
OTHER_NAMES = {
    "mse": "mean_squared_error",
    "mse_loss": "mean_squared_error",
    "mae": "mean_absolute_error",
    "l1": "mean_absolute_error",
    "l1_loss": "mean_absolute_error",
    "huber_loss": "huber",
    "smooth_l1_loss": "smooth_l1",
    "nll_loss": "nll",
    "binary_cross_entropy_with_logits": "binary_cross_entropy",
    "ctc_loss": "ctc",
    "triplet_margin_loss": "triplet_margin",
    "cosine_embedding_loss": "cosine_embedding",
    "crossentropy": "cross_entropy",
    "categorical_crossentropy": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
    "binary_crossentropy": "binary_cross_entropy",
    "kl_div": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
}
"""What Keras and PyTorch call them."""


def named(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of this name, ours or Keras's: "mse", "cross_entropy", "sparse_categorical_crossentropy".

    Raises SettingError for another name.
    """
    ours = OTHER_NAMES.get(name.lower(), name.lower())
    if ours in REFUSED:
        raise SettingError(f"loss: there is no {name!r} of (outputs, targets): {REFUSED[ours]}")
    functions = of_pairs()
    if ours not in functions:
        raise SettingError(f"loss: there is no {name!r}; there are mse, {', '.join(functions)}")
    result: Callable[[Tensor, Tensor], Tensor] = globals()[ours]
    return result


def of_pairs() -> list[str]:
    """The names of the losses of (outputs, targets)."""
    return [known for known in __all__ if known.islower() and known not in OF_THREE]


def _classes(name: str, scores: Tensor, targets: Tensor) -> int:
    """The number of classes. Raises ShapeError where scores and targets do not pair up."""
    if scores.rank != 2 or not isinstance(scores.shape[1], int) or targets.shape != scores.shape[:1]:
        raise ShapeError(
            f"{name}: outputs (batch, classes) and integer targets (batch,) are needed, not {show(scores.shape)} and "
            f"{targets.brief()} (at {user_location()})"
        )
    return scores.shape[1]


def _margins(name: str, scores: Tensor, targets: Tensor) -> Tensor:
    """1 + s_j - s_target for the classes j that are not the target; 0 at the target."""
    hit = hits(targets, _classes(name, scores, targets))
    wanted = sum_(where(hit, scores, 0.0), -1, keepdims=True)
    return where(hit, 0.0, 1.0 + scores - wanted)


__all__ = [
    "BinaryCrossEntropy",
    "CrossEntropy",
    "binary_cross_entropy",
    "binary_focal",
    "cosine_embedding",
    "crammer_singer",
    "cross_entropy",
    "cross_entropy_with_rejection",
    "focal",
    "hinge",
    "huber",
    "kl_divergence",
    "mean_absolute_error",
    "mean_squared_error",
    "nll",
    "perceptron",
    "smooth_l1",
    "squared_error",
    "triplet_margin",
    "weston_watkins",
]

if not TYPE_CHECKING:  # a type checker is to find what does not exist

    def __getattr__(name: str) -> None:
        raise missing("kw.losses", name, LOSSES, __all__)
