"""Differentiation: from a graph to the graph of its gradient, by one reverse walk over the op table's rules.

The result is made of ordinary nodes, so it can be differentiated again. Leans on `graph` and the op rows.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import dtypes
from ..errors import GradientError, ShapeError
from ..shapes import show
from ..uncollected import uncollected
from .body import loop_of
from .node import inherit_location, location, toposort, user_location
from .ops.registry import OPS
from .side_table import SideTable
from .tensor import Tensor, as_tensor, full, zeros_like

Rule = Callable[[Tensor, Tensor], Sequence[Tensor | None]]
"""(node, gradient by the node's value) -> a gradient for each of the node's operands, None for those without."""
Rules = Mapping[str, Rule]


def grad(output: Tensor, wrt: Sequence[Tensor] | Tensor, rules: Rules | None = None) -> Any:
    """The gradient of a scalar with respect to each of `wrt` (one tensor for one tensor, a list for a list).

    rules: functions that stand for the derivatives of ops, by the op's name, on every way to `wrt`: {"relu": lambda
    node, g: [kw.relu(g)]} takes (node, the sum of the gradients from all that reads it) and gives one gradient for each
    of `node.inputs`, of its shape, or None. With a rule, an op of zero slope is walked through as well, as
    straight-through estimators want it: {"round": lambda node, g: [g]}. The result is a graph like any other; rules do
    not reach into its own gradient.

    Zero where `output` does not depend on a tensor, or only through `stop_gradient` or through ops of zero slope, such
    as floor. Raises ShapeError for an output that is not a scalar; GradientError where an op on the way has no
    derivative, or where every way goes through something that is no float, such as a comparison or an argmax;
    and for rules of ops that there are not, or that give something of another shape.
    """
    _check_tensors("grad", [output])
    if output.shape != ():
        raise ShapeError(
            f"grad: the output must be a scalar, not {output.brief()} ({location(output)}); "
            "take .sum() or .mean(), or use kw.vjp for a vector-Jacobian product"
        )
    return vjp([output], wrt, [full((), 1, output.dtype)], rules)


def vjp(
    outputs: Sequence[Tensor] | Tensor, wrt: Sequence[Tensor] | Tensor, cotangents: Any, rules: Rules | None = None
) -> Any:
    """The sum over outputs of cotangent times Jacobian, for each of `wrt`. Cotangents have the outputs' shapes.

    rules: as in `grad`. Raises ShapeError for cotangents of other shapes, GradientError for what has no derivative and
    for rules that do not fit.
    """
    rules = rules or {}
    _check_rules(rules)
    if isinstance(outputs, Tensor):
        outputs, cotangents = [outputs], [cotangents]
    targets = [wrt] if isinstance(wrt, Tensor) else list(wrt)
    _check_tensors("grad", [*outputs, *targets])
    if len(outputs) != len(cotangents):
        raise ShapeError(f"vjp: {len(cotangents)} cotangents for {len(outputs)} outputs (at {user_location()})")
    cotangents = [as_tensor(c, y.dtype) for y, c in zip(outputs, cotangents, strict=True)]
    for y, c in zip(outputs, cotangents, strict=True):
        if not dtypes.is_float(y.dtype):
            raise GradientError(f"grad: {y.brief()} ({location(y)}) is not a float and has no derivative")
        if c.shape != y.shape or c.dtype != y.dtype:
            raise ShapeError(
                f"vjp: the cotangent {c.brief()} must be like the output {y.brief()} (at {user_location()})"
            )
    for x in targets:
        if not dtypes.is_float(x.dtype):
            raise GradientError(f"grad: cannot differentiate with respect to {x.brief()} ({location(x)}): not a float")
    with uncollected():
        gradients, order = pulled_back(outputs, targets, cotangents, rules)
    for x in targets:
        if x not in gradients:
            _check_broken(x, outputs, order)
    result = [gradients.get(x, zeros_like(x)) for x in targets]
    return result[0] if isinstance(wrt, Tensor) else result


def pulled_back(
    outputs: Sequence[Tensor], targets: Sequence[Tensor], cotangents: Sequence[Tensor], rules: Rules
) -> tuple[dict[Any, Tensor], list[Any]]:
    """(the gradients by what has one, the nodes walked over), of arguments that `vjp` has checked."""
    order = toposort(outputs, leaf=set(targets).__contains__ if _independent(targets) else None)
    needed = _depends(order, set(targets), rules)
    first: dict[Any, list[Any]] = {}
    for node in order:
        first.setdefault(_computed_with(node), []).append(node)
    gradients: dict[Any, Tensor] = {}
    for y, c in zip(outputs, cotangents, strict=True):
        _accumulate(gradients, y, c)
    known = {*order, *gradients.values()}
    for node in reversed(order):
        together = first[_computed_with(node)]
        reached = [each for each in together if each in gradients]
        if node is together[0] and reached and any(i in needed for i in node.inputs):
            _step(reached, [gradients[each] for each in reached], needed, gradients, known, rules)
    return gradients, order


def _computed_with(node: Tensor) -> Any:
    """What is equal for the results of one loop, and for other nodes is their own."""
    return node if node.op.joint_vjp is None else loop_of(node)


def hvp(output: Tensor, wrt: Sequence[Tensor] | Tensor, vectors: Any) -> Any:
    """The Hessian of a scalar times `vectors`, which have the shapes of `wrt` (Pearlmutter 1994).

    It is the gradient's own vector-Jacobian product, as the Hessian is symmetric.

    One tensor for one tensor, a list for a list, as `grad`. Raises what `grad` and `vjp` raise.
    """
    targets = wrt if isinstance(wrt, Tensor) else list(wrt)
    return vjp(grad(output, targets), targets, vectors)


def _check_tensors(what: str, values: Sequence[Any]) -> None:
    for x in values:
        if not isinstance(x, Tensor):
            raise GradientError(f"{what}: {x!r} is no tensor of a graph and has no derivative (at {user_location()})")


def _check_rules(rules: Rules) -> None:
    for name, rule in rules.items():
        if name not in OPS or not callable(rule):
            close = difflib.get_close_matches(str(name), OPS, 1)
            hint = f"; did you mean {close[0]!r}?" if close and name not in OPS else ""
            what = "is no function" if name in OPS else f"is for no op{hint}"
            raise GradientError(f"grad: the rule {name!r} {what} (at {user_location()})")


def _step(
    nodes: Sequence[Tensor],
    by_nodes: Sequence[Tensor],
    needed: set[Any],
    gradients: dict[Any, Tensor],
    known: set[Any],
    rules: Rules,
) -> None:
    """The gradients of a node's operands; nodes: it alone, or those results of its loop that have a gradient."""
    node = nodes[0]
    if node.op.joint_vjp is not None:
        found = node.op.joint_vjp(nodes, by_nodes, [x in needed for x in node.inputs])
    else:
        found = _by_operands(node, by_nodes[0], rules)
    for x, gx in zip(node.inputs, found, strict=True):
        if gx is None or x not in needed:
            continue
        assert gx.shape == x.shape, f"{node.op.name}: gradient {show(gx.shape)} for operand {show(x.shape)}"
        inherit_location(gx, node)
        _mark_masks(gx, known)
        _accumulate(gradients, x, gx)


def _by_operands(node: Tensor, g: Tensor, rules: Rules) -> Sequence[Tensor | None]:
    """The gradient by each operand: what a user's rule says, else the op's own."""
    if node.op.name in rules:
        return _ruled(node, rules[node.op.name](node, g))
    if node.op.vjp is None:
        reason = f": {node.op.no_gradient}" if node.op.no_gradient else ""
        raise GradientError(f"grad: {node.brief()}, written at {location(node)}, has no derivative{reason}")
    return node.op.vjp(node, g)


def _ruled(node: Tensor, given: Any) -> Sequence[Tensor | None]:
    """What a rule gave, checked. Raises GradientError unless it is a gradient or None for each operand."""
    found = given if isinstance(given, (list, tuple)) else None
    if found is None or len(found) != len(node.inputs) or not all(g is None or isinstance(g, Tensor) for g in found):
        raise GradientError(
            f"grad: the rule {node.op.name!r} gives a list with a tensor or None for each of {len(node.inputs)} "
            f"operands of {node.brief()} ({location(node)}), not {given!r}"
        )
    for x, gx in zip(node.inputs, found):
        if gx is not None and (gx.shape, gx.dtype) != (x.shape, x.dtype):
            raise GradientError(
                f"grad: the rule {node.op.name!r} gives {gx.brief()} for an operand {x.brief()} ({location(node)}); "
                "a gradient has its operand's shape and dtype"
            )
    return found


_MASKS: SideTable[bool] = SideTable()
"""Comparisons and positions that gradients are made of, as in `where(x > 0, g, 0)`: their own gradient is zero, which
is the second derivative, and nothing that a user has to be told. A user's own comparison of the same operands is the
same node; once a gradient was made of it, it counts as one of these."""


def _mark_masks(gx: Tensor, known: set[Any]) -> None:
    """Enter what of a gradient is no float, down to what was `known` before, which grows by it."""
    stack = [gx]
    while stack:
        node = stack.pop()
        if node not in known:
            known.add(node)
            if not dtypes.is_float(node.dtype):
                _MASKS[node] = True
            stack.extend(node.inputs)


def _check_broken(x: Tensor, outputs: Sequence[Tensor], order: Sequence[Any]) -> None:
    """Raises GradientError where `outputs` depend on `x`, but only through what is no float."""
    live = set(outputs)
    for node in reversed(order):
        if node in live and node.op.name != "stop_gradient" and node not in _MASKS:
            live.update(node.inputs)
    smooth, broken = {x}, None
    for node in order:
        if node in live and node.op.name != "stop_gradient" and any(i in smooth for i in node.inputs):
            if dtypes.is_float(node.dtype):
                smooth.add(node)
            elif node not in _MASKS:
                broken = broken or node
    if broken is not None and smooth.isdisjoint(outputs):
        raise GradientError(
            f"grad: the output depends on {x.brief()} ({location(x)}) only through {broken.op.name} "
            f"({location(broken)}), which has no derivative; kw.stop_gradient of it says that zero is meant"
        )


def _accumulate(gradients: dict[Any, Tensor], x: Tensor, g: Tensor) -> None:
    gradients[x] = gradients[x] + g if x in gradients else g


def _independent(targets: Sequence[Tensor]) -> bool:
    """No target is computed from another, so the walk may stop at them."""
    chosen = set(targets)
    return not any(node in chosen for x in targets for node in toposort(x.inputs))


def _depends(order: Sequence[Any], targets: set[Any], rules: Rules) -> set[Any]:
    """The nodes whose value changes with a target through ops that are differentiable, or have a rule, only."""
    needed = set()
    for node in order:
        smooth = not node.op.zero_gradient or node.op.name in rules
        if node in targets or (smooth and dtypes.is_float(node.dtype) and any(i in needed for i in node.inputs)):
            needed.add(node)
    return needed
