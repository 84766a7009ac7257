"""From scheduled kernels to the artefact that the runtime executes, compiling what the cache does not hold.

A kernel's key is the content hash of all that decides its code: its source with neutral names, the CPU, the
code generator's own source and the versions of what it stands on. Leans on `llvm` and the runtime's `Program`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from .... import runtime
from ....runtime.elf import defines
from ....runtime.locks import once
from ... import config, dtypes
from ...errors import CompileError
from ...graph.node import location, toposort
from ...graph.ops.movement import slice_room
from ...graph.tensor import Tensor
from ...loops import expressions as loops
from ...loops.kernels import Buffer, Kernel
from ...lowering.kernel_order import Plan
from ...shapes import Dim, nominal, poly, value
from ..shared import turns
from .machine import NATIVE, chosen, target, targeting
from .printer import print_kernel
from .schedule_text import renamed, show

_HERE = Path(__file__).parent
GENERATOR = (
    *sorted((_HERE / "llvm").glob("*.py")),
    _HERE / "machine.py",
    _HERE / "winograd_matrices.py",
    *(_HERE.parents[1] / "loops" / name for name in ("functions.py", "philox.py")),
    *(_HERE.parent / "shared" / f"{each}.py" for each in ("saturate", "wrapping")),
)
"""The files that decide which object code a kernel's source becomes; a change in one changes every key."""


@once
def kernel_cache() -> runtime.KernelCache:
    """The process's kernel cache."""
    return runtime.KernelCache(limit=config.cache_limit())


def environment() -> str:
    """What decides a kernel's code besides its source."""
    t = target()
    return f"{_generator()} {t.triple} {t.cpu} {t.features}"


@once
def _generator() -> str:
    """This code generator and the versions of what it stands on."""
    own = hashlib.sha256()
    for path in GENERATOR:
        own.update(path.read_bytes())
    return f"{own.hexdigest()} {version('numba')} {version('llvmlite')}"


def kernel_key(text: str) -> str:
    return hashlib.sha256(f"{environment()}\n{text}".encode()).hexdigest()[:40]


@dataclass(frozen=True)
class KernelInfo:
    """One kernel of a compiled program, for reading. `flops` and `bytes` are per run, for a batch size given."""

    name: str
    key: str
    source: str
    loops: str
    schedule: str
    fused: tuple[str, ...]
    reasons: tuple[str, ...]
    lines: tuple[str, ...]
    buffers: tuple[str, ...]
    flop_count: Dim
    byte_count: Dim
    cycles_each: float = 0.0
    cpu: str = NATIVE

    def flops(self, **sizes: int) -> int:
        return value(self.flop_count, sizes)

    def bytes(self, **sizes: int) -> int:
        return value(self.byte_count, sizes)

    def cycles(self, **sizes: int) -> float:
        """What the cost model predicts for one core: its count at the sizes compiled for, in proportion to the work."""
        return self.cycles_each * value(_work(self.flop_count, self.byte_count), sizes)

    @cached_property
    def llvm(self) -> str:
        """The optimised LLVM IR."""
        return str(_parts(self.key)["llvm"])

    @cached_property
    def asm(self) -> str:
        """The assembly of the CPU that it was compiled for."""
        from .llvm.build import assembly

        with targeting(self.cpu):
            return assembly(self.llvm)

    def __str__(self) -> str:
        return self.source


def _work(flops: Dim, bytes: Dim) -> Dim:
    """What a kernel's time is taken to grow with: its flops, or its bytes where it has none."""
    return flops if nominal(flops) else bytes


def _parts(key: str) -> Any:
    parts = kernel_cache().get(key)
    if parts is None:
        raise runtime.LoadError(f"kernel {key} is no longer in the cache; compile the program again to read it")
    return parts


def compile_sources(texts: Iterable[str]) -> dict[str, bytes]:
    """Object code by key for printed kernels: from the cache, or compiled now and kept."""
    objects: dict[str, bytes] = {}
    missing: dict[str, str] = {}
    for text in texts:
        key = kernel_key(text)
        if key in objects or key in missing:
            continue
        code = stored_object(key)
        if code is None:
            missing[key] = text
        else:
            objects[key] = code
    while missing:
        mine, others = turns.claim(missing)
        try:
            objects |= _built({key: missing[key] for key in mine})
        finally:
            turns.finish(mine)
        for built in others:
            built.wait()
        objects |= {key: code for key in missing.keys() - objects if (code := stored_object(key)) is not None}
        missing = {key: text for key, text in missing.items() if key not in objects}
    return objects


def _built(texts: Mapping[str, str]) -> dict[str, bytes]:
    """Object code by key, compiled now and kept."""
    if not texts:
        return {}
    from ..shared.workers import build_all
    from .llvm.build import build_for_target

    objects: dict[str, bytes] = {}

    def keep(name: str, built: Any) -> None:
        key = name.removeprefix(symbol(""))
        if not defines(built.object, name):
            raise CompileError(f"the object made for kernel {key} does not define {name}")
        kernel_cache().put(key, {"object": built.object, "source": texts[key], "llvm": built.llvm})
        objects[key] = built.object
        turns.finish([key])

    longest_first = sorted(texts.items(), key=lambda item: -len(item[1]))  # the last to end is then a short one
    sources = {symbol(k): text.replace("def kernel(", f"def {symbol(k)}(", 1) for k, text in longest_first}
    build_all(sources, config.helpers(), keep, build_for_target())
    return objects


def stored_object(key: str, part: str = "object") -> bytes | None:
    """The object code of a kernel in the cache; an entry that holds something else is dropped, with a warning."""
    parts = kernel_cache().get(key)
    if parts is None:
        return None
    code = parts.get(part)
    if isinstance(code, bytes) and defines(code, symbol(key)):
        return code
    kernel_cache().drop(key, f"its object does not define {symbol(key)}")
    return None


def symbol(key: str) -> str:
    return f"kw_{key}"


def assemble(
    name: str, plan: Plan, inputs: Sequence[Tensor], buffers: Mapping[Any, Buffer], outputs: Sequence[Buffer]
) -> tuple[runtime.Program, list[KernelInfo], list[Any]]:
    """(program, its kernels for reading, the states it runs over)."""
    listed = list(
        dict.fromkeys(
            [*(buffers[x] for x in inputs), *outputs, *(b for k in plan.kernels for b in [*k.reads(), *k.writes()])]
        )
    )
    number = {b: i for i, b in enumerate(listed)}
    sources = [print_kernel(kernel) for kernel in plan.kernels]
    objects = compile_sources(source.text for source in sources)
    specs: list[runtime.KernelSpec] = []
    infos: list[KernelInfo] = []
    for kernel, barrier, source in zip(plan.kernels, plan.barriers, sources):
        key = kernel_key(source.text)
        sizes = [runtime.SizeArg(poly(d)) for d in source.names.sizes]
        used = [runtime.BufferArg(number[b]) for b in source.names.buffers]
        info = kernel_info(kernel, key, source, KernelInfo)
        cycles = (info.cycles_each, poly(_work(info.flop_count, info.byte_count)))
        specs.append(runtime.KernelSpec(kernel.name, key, symbol(key), (*sizes, *used), barrier, cycles=cycles))
        infos.append(info)
    states = [b for b in listed if b.kind == "state"]
    program = runtime.Program(
        name,
        tuple(_spec(b, plan) for b in listed),
        tuple(specs),
        tuple(number[buffers[x]] for x in inputs),
        tuple(number[b] for b in outputs),
        tuple(number[b] for b in states),
        objects=objects,
    )
    return program, infos, [b.node.attrs.state for b in states]


def _spec(b: Buffer, plan: Plan) -> runtime.BufferSpec:
    first, last = plan.lifetimes.get(b, (0, 0))
    data = b.node.attrs.value.array if b.kind == "constant" else None
    words = dtypes.stored(b.dtype)
    shape, slack = tuple(map(poly, b.shape)), poly(b.slack) if b.gap else ()
    return runtime.BufferSpec(b.name, words, shape, b.order, b.kind, first, last, data, slack)  # type: ignore[arg-type]


Info = TypeVar("Info", bound=KernelInfo)


def kernel_info(kernel: Kernel, key: str, source: Any, kind: type[Info]) -> Info:
    """What there is to read of a kernel. `source` has `names` and `pretty`, as any printer's has."""
    lines = dict.fromkeys(str(location(n)) for n in kernel.nodes)
    stores = "\n".join(
        f"{s.buffer.name}[{', '.join(map(repr, s.index))}] = {loops.show(s.value)}" for s in kernel.stores
    )
    flops, moved = kernel.flops(), kernel.bytes()
    space = "for " + ", ".join(f"{a} < {a.extent}" for a in kernel.axes) + ":\n" if kernel.axes else ""
    return kind(
        kernel.name,
        key,
        source.pretty(kernel.name),
        renamed(space + "\n".join(("    " if space else "") + line for line in stores.splitlines()), kernel),
        show(kernel.schedule, kernel),
        tuple(n.op.name for n in kernel.nodes if n.op.kind not in ("source", "movement")),
        kernel.reasons,
        tuple(lines),
        tuple(f"{b.name} {b.dtype}{b.shape} order {b.order}" for b in source.names.buffers),
        flops,
        moved,
        kernel.cycles / max(nominal(_work(flops, moved)), 1),
        chosen(),
    )


def size_checks(outputs: Sequence[Tensor]) -> tuple[runtime.SizeCheck, ...]:
    """What has to hold of the sizes of a run, from the graph's slices along axes of symbolic size."""
    found = []
    for node in toposort(outputs):
        if node.op.name == "slice":
            for axis, room in slice_room(node):
                what = f"a slice of axis {axis} of {node.inputs[0].brief()} does not lie inside (at {location(node)})"
                found.append(runtime.SizeCheck(poly(room), what))
    return tuple(dict.fromkeys(found))


__all__ = ["KernelInfo", "assemble", "compile_sources", "kernel_cache", "kernel_info", "size_checks"]
