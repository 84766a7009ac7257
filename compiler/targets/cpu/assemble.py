"""From scheduled kernels to the artefact that the runtime executes, compiling what the cache does not hold.

A kernel's key is the content hash of all that decides its code: its source with neutral names, the CPU, the
code generator's own source and the versions of what it stands on. Leans on `llvm` and the runtime's `Program`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

from .... import runtime
from ....runtime.elf import defines
from ....runtime.locks import once
from ... import config
from ...errors import CompileError
from ...loops.kernels import Kernel
from ...lowering.kernel_order import MemoryPlan, plan_memory
from ...passes import Step
from ...shapes import poly
from ..base import Planned
from ..shared import turns, watch
from ..shared.alike_texts import AlikeTexts
from ..shared.artefact import artefact
from ..shared.flow import needs
from ..shared.kernel_info import KernelInfo, kernel_info, work
from ..shared.store import kept, kernel_cache, symbol
from .machine import NATIVE, chosen, target, targeting
from .printer import CpuSource

_HERE = Path(__file__).parent
GENERATOR = (
    *sorted((_HERE / "llvm").glob("*.py")),
    _HERE / "machine.py",
    _HERE / "winograd_matrices.py",
    _HERE.parents[1] / "dtypes.py",
    *(_HERE.parents[1] / "loops" / name for name in ("definition.py", "functions.py", "philox.py")),
    *(_HERE.parent / "shared" / f"{each}.py" for each in ("saturate", "whole_numbers", "wrapping")),
)
"""The files that decide which object code a kernel's source becomes; a change in one changes every key."""


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
class CpuKernelInfo(KernelInfo):
    """One native kernel, for reading. cpu: the CPU that it was compiled for."""

    cpu: str = NATIVE

    @cached_property
    def tile(self) -> str:
        """The register tiles and maps that the source calls, as Python that says the same; "" where it calls none."""
        from .tile_text import called, python_of

        with targeting(self.cpu):
            return "\n\n".join(map(python_of, called(self.source)))

    @cached_property
    def llvm(self) -> str:
        """The optimised LLVM IR."""
        return str(kept(self.key)["llvm"])

    @cached_property
    def asm(self) -> str:
        """The assembly of the CPU that it was compiled for."""
        from .llvm.build import assembly

        with targeting(self.cpu):
            return assembly(self.llvm)


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
    watch.compiled(0, len(texts))

    def keep(name: str, built: Any) -> None:
        key = name.removeprefix(symbol(""))
        if not defines(built.object, name):
            raise CompileError(f"the object made for kernel {key} does not define {name}")
        kernel_cache().put(key, {"object": built.object, "source": texts[key], "llvm": built.llvm})
        objects[key] = built.object
        turns.finish([key])
        watch.compiled(len(objects), len(texts))

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


def assemble(
    name: str, planned: Planned, text_of: Callable[[Kernel], CpuSource]
) -> tuple[runtime.Program, list[CpuKernelInfo], list[Any]]:
    """(program, its kernels for reading, the states it runs over). text_of: a kernel's source."""
    order = plan_memory(planned.kernels)
    sources = [text_of(kernel) for kernel in order.kernels]
    if config.verify_level() >= 2:
        planned.trace.note(_verified(order, sources))
    key_of = {text: kernel_key(text) for text in dict.fromkeys(source.text for source in sources)}
    objects = compile_sources(key_of)
    keys = [key_of[source.text] for source in sources]
    listed = zip(order.kernels, keys, sources, needs(order.kernels), strict=True)
    alike, cpu = AlikeTexts(), chosen()
    infos = [kernel_info(k, key, text, CpuKernelInfo, alike, needs=n, cpu=cpu) for k, key, text, n in listed]
    cycles = [(info.cycles_each, poly(work(info.flop_count, info.byte_count))) for info in infos]
    program, states = artefact(name, planned, order, sources, keys, cycles, objects)
    return program, infos, states


def _verified(order: MemoryPlan, sources: Sequence[CpuSource]) -> Step:
    """What the check of the printed kernels says; its hits are the kernels that were not run to their end."""
    from .verify_kernels import verify_kernels

    started, count = perf_counter(), len(sources)
    notes = verify_kernels(order.kernels, sources, order.barriers)
    return Step("verify_kernels", count, count, Counter(notes), perf_counter() - started)


__all__ = ["CpuKernelInfo", "assemble", "compile_sources"]
