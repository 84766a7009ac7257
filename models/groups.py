"""Parameter groups: some parameters with their own weight decay and a multiple of the learning rate.

A group chooses parameters by patterns over their names (`conv1.weight`, `block1.batchnorm1.scale`) or by a predicate.
Leans on `clipping` for what a limit is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ..compiler.graph.tensor import Tensor
from .checks import NOT_NEGATIVE, SettingError, number
from .clipping import check_limit

Match = str | Sequence[str] | Callable[[Tensor], bool]


@dataclass(frozen=True)
class Group:
    """The parameters that `match` chooses: shell patterns over names, one or several, or a predicate of the tensor.

    weight_decay: theirs, or None for the optimizer's. rate: their learning rate is this multiple of the optimizer's;
    0 freezes them. max_norm: after each update the weight vector of every unit (all axes but the first) is scaled down
    to at most this norm (Srebro and Shraibman 2005; Hinton et al. 2012). A parameter belongs to the first group that
    chooses it.
    """

    match: Match
    weight_decay: float | None = None
    rate: float = 1.0
    max_norm: float | None = None

    def __post_init__(self) -> None:
        if not callable(self.match):
            several = isinstance(self.match, Sequence) and not isinstance(self.match, str)
            patterns = tuple(self.match) if several else (self.match,)
            if not patterns or not all(isinstance(p, str) for p in patterns):
                raise SettingError(f"Group: names are chosen by patterns such as '*.bias', not {self.match!r}")
            object.__setattr__(self, "match", patterns)
        number("Group: rate", self.rate, NOT_NEGATIVE)
        if self.weight_decay is not None:
            number("Group: weight_decay", self.weight_decay, NOT_NEGATIVE)
        if self.max_norm is not None:
            check_limit("Group: max_norm", self.max_norm)

    def has(self, p: Tensor) -> bool:
        """Whether the parameter is chosen."""
        if callable(self.match):
            return bool(self.match(p))
        return any(fnmatchcase(p.attrs.name, pattern) for pattern in self.match)


NO_DECAY = Group(("bias", "scale", "shift", "*.bias", "*_bias", "*.scale", "*.shift"), weight_decay=0.0)
"""No weight decay on biases and on the scales and shifts of normalisation layers (He et al. 2019, section 3.1)."""


def check(groups: Any) -> tuple[Group, ...]:
    """The groups as a tuple. Raises ValueError for anything else."""
    if not isinstance(groups, (Group, Iterable)):
        raise SettingError(f"groups are kw.optim.Group(...), not {groups!r}")
    given = (groups,) if isinstance(groups, Group) else tuple(groups)
    for g in given:
        if not isinstance(g, Group):
            raise SettingError(f"groups are kw.optim.Group(...), not {type(g).__name__}")
    return given


def assign(groups: Sequence[Group], parameters: Sequence[Tensor]) -> dict[Tensor, Group]:
    """The group of each parameter that is in one. Raises ValueError for a group that chooses none, often a misspelling.

    A group that chooses only what an earlier group took is allowed.
    """
    for group in groups:
        if parameters and not any(group.has(p) for p in parameters):
            names = ", ".join(p.attrs.name for p in parameters[:6])
            more = ", ..." if len(parameters) > 6 else ""
            raise SettingError(f"{group} chooses no parameter; there are {names}{more}")
    out: dict[Tensor, Group] = {}
    for p in parameters:
        first = next((g for g in groups if g.has(p)), None)
        if first is not None:
            out[p] = first
    return out
