"""Shared memory by address, as kernel source calls it: panels of operands, copies to them, fragments out of them.

An address is a number of bytes in the block's dynamic shared memory: what a thread adds to it stays a 32-bit sum, of
which constants become part of the instruction. `panel(first, count, kind)` is the address of `count` elements that
begin `first` bytes in; the others take an address `at`:

    copy_async_16(at, buffer, index, valid)     16 bytes (or 8, or 4) on their way; zeros where not `valid`
    copy_cached_16(at, buffer, index, valid)    the same through the level-1 cache
    shared_float32(at), store_shared_float32(at, x), store_shared_bfloat16(at, x)
    store_4(buffer, index, array)               four neighbours to global memory at once
    load_4(part, i, buffer, index, valid)       part[i:i+4], neighbours in global memory; zeros where not `valid`;
                                                load_2, load_1: as many
    store_shared_word(at, x)                    an element of 2 bytes as it is
    load_shared_4(part, i, at)                  part[i:i+4], 16 bytes at once; load_shared_2: 8
    store_shared_2(at, x, y)                    two neighbouring float32 at once; store_shared_4: four
    pack_shared(at)                             two neighbouring float32 as a word of two bfloat16
    load_matrices(part, i, at)                  part[i:i+4] of a warp's four matrices of 8 rows of 16 bytes, each row
                                                where a lane's address is: `ldmatrix` (PTX ISA)
    load_matrices_transposed(part, i, at)       the same of 2-byte elements, transposed

What they mean in NumPy is in `lockstep_panels`. Leans on llvmlite; on numba-cuda inside `namespace` only.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from llvmlite import ir

from .mma import F32, GLOBAL, I32, I64, MEMORY, SHARED, asm, elements, plain_asm

I8, I16 = ir.IntType(8), ir.IntType(16)
DYNAMIC = "kernel_panels"
"""The block's dynamic shared memory, of which there is one."""

ALIGNMENT = 1024  # of swizzled lines, whose order comes from their address
COPIES = (4, 8, 16)
WAITS = (0, 1, 2)
"""Copies of so many of the latest groups may still be under way after a wait."""


def _panel(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
    memory = builder.module.globals.get(DYNAMIC)
    if memory is None:
        memory = ir.GlobalVariable(builder.module, ir.ArrayType(I8, 0), DYNAMIC, addrspace=SHARED)
        memory.linkage, memory.align = "external", ALIGNMENT
    first = builder.ptrtoint(memory, I32)
    return builder.zext(builder.add(first, builder.trunc(args[0], I32)), I64)


def _copy(nbytes: int, cached: bool) -> Callable[..., Any]:
    levels = "cg" if nbytes == 16 and not cached else "ca"  # only copies of 16 bytes may leave out the first level
    text = f"cp.async.{levels}.shared.global [$0], [$1], {nbytes}, $2;"

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        at, pointer, index, valid = args
        source = builder.gep(pointer, [builder.sext(builder.trunc(index, I32), I64)])
        source = builder.ptrtoint(builder.addrspacecast(source, ir.PointerType(F32, GLOBAL)), I64)
        count = builder.select(valid, ir.Constant(I32, nbytes), ir.Constant(I32, 0))
        asm(builder, text, ir.VoidType(), f"r,l,r,{MEMORY}", [builder.trunc(at, I32), source, count], True)
        return context.get_dummy_value()

    return emit


def _load(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
    return asm(builder, "ld.shared.f32 $0, [$1];", F32, f"=f,r,{MEMORY}", [builder.trunc(args[0], I32)], True)


def _pack(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
    pair = asm(
        builder,
        "ld.shared.v2.f32 {$0, $1}, [$2];",
        ir.LiteralStructType([F32] * 2),
        f"=f,=f,r,{MEMORY}",
        [builder.trunc(args[0], I32)],
        True,
    )
    low, high = (builder.extract_value(pair, i) for i in range(2))
    return asm(builder, "cvt.rn.bf16x2.f32 $0, $1, $2;", I32, "=r,f,f", [high, low], False)


def _load_neighbours(count: int) -> Callable[..., Any]:
    values = ", ".join(f"${i}" for i in range(count))
    text = f"ld.shared.v{count}.f32 {{{values}}}, [${count}];"
    constraints = ",".join(["=f"] * count + ["r", MEMORY])

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        kind = ir.LiteralStructType([F32] * count)
        found = asm(builder, text, kind, constraints, [builder.trunc(args[2], I32)], True)
        return _keep(context, builder, sig, args, found, count)

    return emit


def _keep(context: Any, builder: ir.IRBuilder, sig: Any, args: Any, found: ir.Value, count: int = 4) -> ir.Value:
    """The values to args[0][args[1]:]."""
    part = elements(context, builder, sig.args[0], args[0])
    for i in range(count):
        place = builder.gep(part, [builder.add(args[1], ir.Constant(I64, i))], inbounds=True)
        builder.store(builder.extract_value(found, i), place)
    return context.get_dummy_value()


def _store_4(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
    """Four neighbours to global memory at once: NVVM joins stores only where it finds out where they begin."""
    pointer, index, array = args
    values = elements(context, builder, sig.args[2], array)
    element = values.type.pointee
    four = ir.Constant(ir.VectorType(element, 4), ir.Undefined)
    for i in range(4):
        value = builder.load(builder.gep(values, [ir.Constant(I64, i)], inbounds=True))
        four = builder.insert_element(four, value, ir.Constant(I32, i))
    place = builder.gep(pointer, [builder.sext(builder.trunc(index, I32), I64)])
    size = 4 * context.get_abi_sizeof(element)
    builder.store(four, builder.bitcast(place, ir.PointerType(four.type)), align=size)
    return context.get_dummy_value()


def _load_global(count: int) -> Callable[..., Any]:
    """A load that a predicate leaves out, instead of a selection after it, which would wait for it."""

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        array, first, pointer, index, valid = args
        place = builder.gep(pointer, [builder.sext(builder.trunc(index, I32), I64)])
        kind = pointer.type.pointee
        source = builder.ptrtoint(builder.addrspacecast(place, ir.PointerType(kind, GLOBAL)), I64)
        bits = 8 * context.get_abi_sizeof(kind)
        names = [f"${i}" for i in range(count)]
        values = f"{{{', '.join(names)}}}" if count > 1 else names[0]
        vector = f".v{count}" if count > 1 else ""
        zeros = " ".join(f"mov.b{bits} {name}, 0;" for name in names)
        load = f"ld.global.nc{vector}.b{bits} {values}, [${count}];"
        text = f"{{ .reg .pred p; setp.ne.b32 p, ${count + 1}, 0; {zeros} @p {load} }}"
        one = ir.IntType(bits)
        constraints = ",".join(["=&h" if bits == 16 else "=&r"] * count + ["l", "r"])
        result = ir.LiteralStructType([one] * count) if count > 1 else one
        found = asm(builder, text, result, constraints, [source, builder.zext(valid, I32)], True)
        part = elements(context, builder, sig.args[0], array)
        for i in range(count):
            value = builder.extract_value(found, i) if count > 1 else found
            at = builder.gep(part, [builder.add(first, ir.Constant(I64, i))], inbounds=True)
            builder.store(builder.bitcast(value, kind), at)
        return context.get_dummy_value()

    return emit


def _store_neighbours(count: int) -> Callable[..., Any]:
    values = ", ".join(f"${i + 1}" for i in range(count))
    constraints = ",".join(["r", *["f"] * count, MEMORY])

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        given = [builder.trunc(args[0], I32), *args[1:]]
        asm(builder, f"st.shared.v{count}.f32 [$0], {{{values}}};", ir.VoidType(), constraints, given, True)
        return context.get_dummy_value()

    return emit


def _store_float32(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
    asm(
        builder, "st.shared.f32 [$0], $1;", ir.VoidType(), f"r,f,{MEMORY}", [builder.trunc(args[0], I32), args[1]], True
    )
    return context.get_dummy_value()


def _store_word(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
    at = builder.trunc(args[0], I32)
    asm(builder, "st.shared.b16 [$0], $1;", ir.VoidType(), f"r,h,{MEMORY}", [at, args[1]], True)
    return context.get_dummy_value()


def _store_bfloat16(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
    word = asm(builder, "cvt.rn.bf16.f32 $0, $1;", I16, "=h,f", [args[1]], False)
    asm(builder, "st.shared.b16 [$0], $1;", ir.VoidType(), f"r,h,{MEMORY}", [builder.trunc(args[0], I32), word], True)
    return context.get_dummy_value()


def _matrices(transposed: bool) -> Callable[..., Any]:
    turned = ".trans" if transposed else ""
    text = f"ldmatrix.sync.aligned.m8n8.x4{turned}.shared.b16 {{$0, $1, $2, $3}}, [$4];"

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        words = ir.LiteralStructType([I32] * 4)
        found = asm(builder, text, words, f"=r,=r,=r,=r,r,{MEMORY}", [builder.trunc(args[2], I32)], True)
        return _keep(context, builder, sig, args, found)

    return emit


def namespace(named: Callable[..., Any]) -> dict[str, Any]:
    """The functions as numba-cuda understands them; `named(name, typed, arity)` makes an intrinsic."""
    types: Any = import_module("numba.cuda.types")

    def plain(name: str, signature: Any, emit: Callable[..., Any]) -> Any:
        return named(name, lambda typingctx, *args: (signature, emit), len(signature.args))

    def panel(typingctx: Any, first: Any, count: Any, kind: Any) -> Any:
        return types.int64(types.int64, types.int64, kind), _panel

    def copy(nbytes: int, cached: bool = False) -> Any:
        def typed(typingctx: Any, at: Any, pointer: Any, index: Any, valid: Any) -> Any:
            return types.void(types.int64, pointer, types.int64, types.boolean), _copy(nbytes, cached)

        return named(f"copy_{'cached' if cached else 'async'}_{nbytes}", typed, 4)

    def store_4(typingctx: Any, pointer: Any, index: Any, array: Any) -> Any:
        return types.void(pointer, types.int64, array), _store_4

    def load_global(count: int) -> Callable[..., Any]:
        def typed(typingctx: Any, part: Any, place: Any, pointer: Any, index: Any, valid: Any) -> Any:
            return types.void(part, types.int64, pointer, types.int64, types.boolean), _load_global(count)

        return typed

    def stores(count: int) -> Any:
        signature = types.void(types.int64, *[types.float32] * count)
        return plain(f"store_shared_{count}", signature, _store_neighbours(count))

    def loads(name: str, emit: Callable[..., Any]) -> Any:
        def typed(typingctx: Any, part: Any, place: Any, at: Any) -> Any:
            return types.void(part, types.int64, types.int64), emit

        return named(name, typed, 3)

    def group(name: str, text: str) -> Any:
        return plain(name, types.void(), plain_asm(text, ir.VoidType(), MEMORY, True))

    stored = types.void(types.int64, types.float32)
    return {
        "panel": named("panel", panel, 3),
        "shared_float32": plain("shared_float32", types.float32(types.int64), _load),
        "pack_shared": plain("pack_shared", types.uint32(types.int64), _pack),
        "store_shared_float32": plain("store_shared_float32", stored, _store_float32),
        "store_shared_bfloat16": plain("store_shared_bfloat16", stored, _store_bfloat16),
        **{f"store_shared_{n}": stores(n) for n in (2, 4)},
        **{f"load_{n}": named(f"load_{n}", load_global(n), 5) for n in (1, 2, 4)},
        "store_shared_word": plain("store_shared_word", types.void(types.int64, types.uint16), _store_word),
        "store_4": named("store_4", store_4, 3),
        **{f"load_shared_{n}": loads(f"load_shared_{n}", _load_neighbours(n)) for n in (2, 4)},
        "load_matrices": loads("load_matrices", _matrices(False)),
        "load_matrices_transposed": loads("load_matrices_transposed", _matrices(True)),
        **{f"copy_async_{n}": copy(n) for n in COPIES},
        "copy_cached_16": copy(16, True),
        "commit_copies": group("commit_copies", "cp.async.commit_group;"),
        **{f"wait_copies_{n}": group(f"wait_copies_{n}", f"cp.async.wait_group {n};") for n in WAITS},
    }
