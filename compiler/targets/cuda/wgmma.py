"""`wgmma` as kernel source calls it: PTX for numba-cuda; what it means in NumPy stands in `lockstep_wgmma`.

`wgmma_128_ab(sums, a, b)` begins to add to sums[0:64] of a warpgroup the product of 64 rows by 16 terms at the address
`a` and 16 terms by 128 columns at `b`, both bfloat16 in shared memory in lines of 128 bytes, swizzled (PTX ISA,
"Asynchronous Warpgroup Level Matrix Instructions", sections on shared memory layouts and matrix descriptors). The
letters say which operand lies along its terms ("t") or along its rows or columns ("r"). Sums are as those of `mma`: of
warp w of the four, rows 16 w on.

`wgmma_tf32_128(sums, i, part, j, b)` begins to add to sums[i:i+64] the product of the fragments part[j:j+4] of each
warp, those of `mma_tf32`, and 8 terms by 128 columns of tf32 at `b`, along their terms.

`thread_again()` and `block_again()` are the numbers of the thread and of its block, read anew: what is made of them
before a loop and after it need not wait in registers meanwhile.

Leans on llvmlite; on numba-cuda inside `namespace` only.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from llvmlite import ir

from .mma import F32, I32, I64, MEMORY, asm, elements, plain_asm

WIDTHS = (64, 128, 256)
TF32_WIDTHS = (32, 64, 128)
WAYS = ("tt", "tr", "rt", "rr")
WAITS = (0, 1)
GROUP, BOX = 1024, 8192
"""Bytes of eight lines, after which the swizzling repeats, and of 64 lines: from one box of 64 rows to the next."""

SWIZZLED_128 = 1 << 62
NUMBERS = {"thread": "%tid.x", "block": "%ctaid.x"}


def _descriptor(builder: ir.IRBuilder, at: ir.Value, along_terms: bool) -> ir.Value:
    """The matrix descriptor of an address: its 16-byte units, the leading and the stride offset, the swizzling."""
    leading = 1 if along_terms else BOX >> 4  # not used along terms: a line is as long as the swizzling
    fixed = leading << 16 | (GROUP >> 4) << 32 | SWIZZLED_128
    place = builder.lshr(builder.and_(builder.trunc(at, I32), ir.Constant(I32, 0x3FFFF)), ir.Constant(I32, 4))
    return builder.or_(builder.zext(place, I64), ir.Constant(I64, fixed))


def _emit(width: int, ways: str) -> Callable[..., Any]:
    count = width // 2
    sums = "{" + ", ".join(f"${i}" for i in range(count)) + "}"
    turned = ", ".join("0" if way == "t" else "1" for way in ways)
    first = 2 * count
    text = (
        f"{{ .reg .pred p; setp.ne.b32 p, ${first + 2}, 0; wgmma.mma_async.sync.aligned.m64n{width}k16.f32.bf16.bf16 "
        f"{sums}, ${first}, ${first + 1}, p, 1, 1, {turned}; }}"
    )
    constraints = ",".join(["=f"] * count + [str(i) for i in range(count)] + ["l", "l", "r", MEMORY])

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        array = elements(context, builder, sig.args[0], args[0])
        places = [builder.gep(array, [ir.Constant(I64, i)], inbounds=True) for i in range(count)]
        operands = [_descriptor(builder, at, way == "t") for at, way in zip(args[1:], ways)]
        given = [*(builder.load(p) for p in places), *operands, ir.Constant(I32, 1)]
        found = asm(builder, text, ir.LiteralStructType([F32] * count), constraints, given, True)
        for i, place in enumerate(places):
            builder.store(builder.extract_value(found, i), place)
        return context.get_dummy_value()

    return emit


def _emit_tf32(width: int) -> Callable[..., Any]:
    count = width // 2
    sums, part = (
        "{" + ", ".join(f"${i}" for i in range(first, first + n)) + "}" for first, n in ((0, count), (2 * count, 4))
    )
    first = 2 * count + 4
    text = (
        f"{{ .reg .pred p; setp.ne.b32 p, ${first + 1}, 0; wgmma.mma_async.sync.aligned.m64n{width}k8.f32.tf32.tf32 "
        f"{sums}, {part}, ${first}, p, 1, 1; }}"
    )
    constraints = ",".join(["=f"] * count + [str(i) for i in range(count)] + ["r"] * 4 + ["l", "r", MEMORY])

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        def places(which: int, n: int) -> list[ir.Value]:
            array = elements(context, builder, sig.args[which], args[which])
            at = [builder.add(args[which + 1], ir.Constant(I64, i)) for i in range(n)]
            return [builder.gep(array, [i], inbounds=True) for i in at]

        kept = places(0, count)
        given = [builder.load(p) for p in (*kept, *places(2, 4))]
        operands = [_descriptor(builder, args[4], True), ir.Constant(I32, 1)]
        found = asm(builder, text, ir.LiteralStructType([F32] * count), constraints, [*given, *operands], True)
        for i, place in enumerate(kept):
            builder.store(builder.extract_value(found, i), place)
        return context.get_dummy_value()

    return emit


def namespace(named: Callable[..., Any]) -> dict[str, Any]:
    """The functions as numba-cuda understands them; `named(name, typed, arity)` makes an intrinsic."""
    types: Any = import_module("numba.cuda.types")

    def product(name: str, emit: Callable[..., Any]) -> Any:
        def typed(typingctx: Any, sums: Any, a: Any, b: Any) -> Any:
            return types.void(sums, types.int64, types.int64), emit

        return named(name, typed, 3)

    def order(name: str, text: str) -> Any:
        emit = plain_asm(text, ir.VoidType(), MEMORY, True)
        return named(name, lambda typingctx: (types.void(), emit), 0)

    def from_registers(width: int) -> Any:
        def typed(typingctx: Any, sums: Any, i: Any, part: Any, j: Any, b: Any) -> Any:
            return types.void(sums, types.int64, part, types.int64, types.int64), _emit_tf32(width)

        return named(f"wgmma_tf32_{width}", typed, 5)

    def number(name: str, register: str) -> Any:
        def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
            return builder.zext(asm(builder, f"mov.u32 $0, {register};", I32, "=r", [], True), I64)

        return named(name, lambda typingctx: (types.int64(), emit), 0)

    products = {f"wgmma_{n}_{ways}": _emit(n, ways) for n in WIDTHS for ways in WAYS}
    return {
        **{name: product(name, emit) for name, emit in products.items()},
        **{f"wgmma_tf32_{n}": from_registers(n) for n in TF32_WIDTHS},
        "wgmma_fence": order("wgmma_fence", "wgmma.fence.sync.aligned;"),
        "wgmma_commit": order("wgmma_commit", "wgmma.commit_group.sync.aligned;"),
        **{f"wgmma_wait_{n}": order(f"wgmma_wait_{n}", f"wgmma.wait_group.sync.aligned {n};") for n in WAITS},
        **{f"{name}_again": number(f"{name}_again", register) for name, register in NUMBERS.items()},
        "fence_async": order("fence_async", "fence.proxy.async.shared::cta;"),
    }
