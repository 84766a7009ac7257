"""Checks between passes: what a pass gives must be legal, and (at the deep level) mean what it was given.

KERNELWRIGHT_VERIFY says how much: 0 nothing, 1 the structure of the graph (default), 2 values too, by running
the reference before and after on inputs of many sizes (`same_values.py`). Printed kernels are
checked too: one without a store to each of its results is refused before it is compiled or cached, and at the deep
level targets run them (`targets/cpu/verify_kernels.py`). A failure is the
compiler's fault and names the pass or the kernel. Leans on the op rows and the reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .. import config
from ..graph.node import toposort
from ..graph.ops.registry import OPS
from ..graph.tensor import Tensor
from ..loops.kernels import Buffer, Kernel
from ..shapes import show
from .same_values import difference


class VerifyError(AssertionError):
    """A pass made something that is not legal, or not equal."""


def verify(name: str, before: Sequence[Tensor], after: Sequence[Tensor]) -> None:
    """Check that `after`, which the pass `name` made of `before`, may stand for it."""
    level = config.verify_level()
    if level >= 1:
        for old, new in zip(before, after, strict=True):
            if (old.shape, old.dtype) != (new.shape, new.dtype):
                raise VerifyError(f"{name} turned {old.brief()} into {new.brief()}")
        for node in toposort(after):
            _legal(name, node)
    if level >= 2:
        found = difference(before, after)
        if found:
            raise VerifyError(f"{name} {found}")


def verify_source(kernel: Kernel, text: str, names: Mapping[Buffer, str]) -> None:
    """Check that a kernel's printed source stores to every buffer that the kernel is to fill.

    A kernel that leaves a result as it was compiles and runs without an error, and the cache would give it to every
    later process. Raises VerifyError at any level but 0.
    """
    if config.verify_level() < 1:
        return
    stored = {a or b for a, b in re.findall(r"^ *(?:(\w+)\[.*\] = |store_\w+\((\w+),)", text, re.MULTILINE)}
    missing = [b.name for b in kernel.writes() if names.get(b) not in stored]
    if missing:
        raise VerifyError(f"the printed kernel {kernel.name} never stores to {', '.join(missing)}:\n{text}")


def _legal(name: str, node: Tensor) -> None:
    if OPS.get(node.op.name) is not node.op:
        raise VerifyError(f"{name} made {node.brief()}, whose op is not in the table")
    shape, dtype = node.op.infer(node.inputs, node.attrs)
    if (tuple(shape), dtype) != (node.shape, node.dtype):
        raise VerifyError(f"{name} made {node.brief()}, but its op infers {show(shape)} {dtype}")
