"""Linear support vector machines: one dense layer trained for a margin, with weight decay as its L2 term.

Leans on `losses` for the hinges. The decay of the recipe's SGD is the gradient of lambda / 2 |w|^2, as in
Shalev-Shwartz et al. 2007 (Pegasos, equation 1); it takes the biases with it, which is what adding a constant feature 1
does.
"""

from __future__ import annotations

from ...compiler.graph.ops.slicing import pad
from ...compiler.graph.tensor import Tensor
from .. import initializers as init
from ..checks import SettingError
from ..layers import Dense, Flatten, Sequential
from ..model import Model
from ..recipe import Recipe
from .registry import register

LOSSES = {"one-vs-rest": "hinge", "weston-watkins": "weston_watkins", "crammer-singer": "crammer_singer"}


def _against_zero(score: Tensor) -> Tensor:
    """(batch, 1) -> (batch, 2): 0 for class 0 and the score for class 1."""
    return pad(score, [0, (1, 0)])


def _recipe(loss: str, squared: bool, decay: float) -> Recipe:
    options = {"momentum": 0.9, "weight_decay": decay}
    return Recipe(
        learning_rate=0.01, epochs=10, batch=64, options=options, loss=loss, loss_options={"squared": squared}
    )


@register
def linear_svm(
    input_shape: tuple[int, ...] = (1, 28, 28),
    classes: int = 2,
    squared: bool = False,
    decay: float = 1e-4,
    seed: int | None = 0,
) -> Model:
    """The binary linear SVM (Cortes and Vapnik 1995), one score for two classes: 785 parameters.

    The logits are (0, s), so that class 1 wins where the score s is positive, and the loss is max(0, 1 - y s) with
    y = -1 for class 0 and 1 for class 1, or its square (`squared`). decay: lambda, the weight of the L2 term. For more
    than two classes there is such a machine for each class against all others, as in `svm`.
    """
    if classes != 2:
        net = Sequential(Flatten(), Dense(classes, weight_init=init.zeros))
        return Model("linear_svm", net, input_shape, classes, None, _recipe("hinge", squared, decay), seed)
    net = Sequential(Flatten(), Dense(1, weight_init=init.zeros), _against_zero)
    return Model("linear_svm", net, input_shape, 2, None, _recipe("weston_watkins", squared, decay), seed)


@register
def svm(
    classes: int = 10,
    input_shape: tuple[int, ...] = (1, 28, 28),
    margin: str = "one-vs-rest",
    squared: bool = False,
    decay: float = 1e-4,
    seed: int | None = 0,
) -> Model:
    """A linear SVM for many classes, one score each: 7,850 parameters.

    margin: "one-vs-rest" (each class against all others), "weston-watkins" (1999) or "crammer-singer" (2001), each as
    it is or `squared`. decay: lambda, the weight of the L2 term. Raises ValueError for another margin.
    """
    if margin not in LOSSES:
        raise SettingError(f"svm: the margin is one of {', '.join(LOSSES)}, not {margin!r}")
    net = Sequential(Flatten(), Dense(classes, weight_init=init.zeros))
    return Model("svm", net, input_shape, classes, "mnist", _recipe(LOSSES[margin], squared, decay), seed)
