"""The runtime's own native functions: LLVM IR written by Python, compiled once on a machine and then kept.

Leans on llvmlite, on `cache` to keep what is compiled and on `loader` to link it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import llvmlite
import llvmlite.binding as llvm
from llvmlite import ir

from .cache import KernelCache
from .elf import defines
from .errors import LoadError
from .loader import Library, host_machine, link

I64 = ir.IntType(64)
VOID = ir.VoidType()
KERNEL = ir.FunctionType(VOID, [I64, I64, I64])
"""`void f(int64* table, int64 thread, int64 threads)`: what every kernel is called as."""


class Function(ir.IRBuilder):
    """A builder of one function over int64 values, with memory as int64 addresses and structured control flow."""

    def __init__(self, module: ir.Module, name: str, result: ir.Type, arguments: list[str]) -> None:
        made = ir.Function(module, ir.FunctionType(result, [I64] * len(arguments)), name)
        self.arguments: tuple[ir.Argument, ...] = made.args
        for argument, label in zip(made.args, arguments, strict=True):
            argument.name = label
        super().__init__(made.append_basic_block("entry"))

    def external(self, name: str, result: ir.Type, arguments: list[ir.Type]) -> ir.Function:
        known = self.module.globals.get(name)
        return known or ir.Function(self.module, ir.FunctionType(result, arguments), name)

    def at(self, base: ir.Value, slot: int | ir.Value) -> ir.Value:
        """A pointer to an int64 slot of the memory at address `base`."""
        index = I64(slot) if isinstance(slot, int) else slot
        return self.inttoptr(self.add(base, self.mul(index, I64(8))), I64.as_pointer())

    def get(self, base: ir.Value, slot: int | ir.Value) -> ir.Value:
        return self.load(self.at(base, slot))

    def acquire(self, base: ir.Value, slot: int | ir.Value) -> ir.Value:
        return self.load_atomic(self.at(base, slot), "seq_cst", 8)

    def exchange(self, base: ir.Value, slot: int | ir.Value, value: ir.Value) -> ir.Value:
        return self.atomic_rmw("xchg", self.at(base, slot), value, "seq_cst")

    def increase(self, base: ir.Value, slot: int | ir.Value) -> ir.Value:
        """Add one to a slot for all threads to see; its value before."""
        return self.atomic_rmw("add", self.at(base, slot), I64(1), "seq_cst")

    def same(self, left: ir.Value, right: ir.Value | int) -> ir.Value:
        return self.icmp_signed("==", left, I64(right) if isinstance(right, int) else right)

    def variable(self, value: ir.Value | int) -> ir.AllocaInstr:
        with self.goto_entry_block():
            place = self.alloca(I64)
        self.store(I64(value) if isinstance(value, int) else value, place)
        return place

    @contextmanager
    def each(self, end: ir.Value, start: int = 0) -> Iterator[ir.Value]:
        """A loop over `start` to `end`, not included."""
        index = self.variable(start)
        head, body, leave = (self.append_basic_block(name) for name in ("head", "body", "leave"))
        self.branch(head)
        self.position_at_end(head)
        current = self.load(index)
        self.cbranch(self.icmp_signed("<", current, end), body, leave)
        self.position_at_end(body)
        yield current
        self.store(self.add(current, I64(1)), index)
        self.branch(head)
        self.position_at_end(leave)

    @contextmanager
    def while_less(self, place: ir.AllocaInstr, end: ir.Value) -> Iterator[ir.Value]:
        """A loop while what the variable `place` holds is less than `end`; the body has its value and changes it."""
        head, body, leave = (self.append_basic_block(name) for name in ("head", "body", "leave"))
        self.branch(head)
        self.position_at_end(head)
        current = self.load(place)
        self.cbranch(self.icmp_signed("<", current, end), body, leave)
        self.position_at_end(body)
        yield current
        self.branch(head)
        self.position_at_end(leave)

    def pause(self, triple: str) -> None:
        """Tell the core that this thread spins."""
        if triple.startswith(("x86_64", "i686", "amd64")):
            self.call(self.external("llvm.x86.sse2.pause", VOID, []), [])
        else:
            self.fence("seq_cst")


def linked(name: str, text: str, symbols: Sequence[str]) -> Library:
    """The functions `symbols` of a module of LLVM IR, loaded. name: what their key in the kernel cache begins with."""
    machine = host_machine()
    try:
        return link([_compiled(name, machine, text, symbols)], symbols)
    except LoadError:  # then it is the entry that is damaged: a second one is made
        return link([_compiled(name, machine, text, symbols, anew=True)], symbols)


def _compiled(name: str, machine: llvm.TargetMachine, text: str, symbols: Sequence[str], anew: bool = False) -> bytes:
    """The object code: from the kernel cache, or, where there is none or it is to be made `anew`, made now."""
    made_from = (text, llvmlite.__version__, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    key = f"{name}-" + hashlib.sha256(repr(made_from).encode()).hexdigest()[:32]
    kernels = KernelCache()
    parts = kernels.get(key)
    if parts is not None:
        code = parts.get("object")
        if isinstance(code, bytes) and not anew and all(defines(code, symbol) for symbol in symbols):
            return code
        kernels.drop(key, "its object does not link" if anew else f"its object does not define the {name}")
    module = llvm.parse_assembly(text)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    builder.getModulePassManager().run(module, builder)
    code = bytes(machine.emit_object(module))
    kernels.put(key, {"object": code, "llvm": text})
    return code
