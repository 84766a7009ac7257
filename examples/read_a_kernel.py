"""A program's kernels and, for one of them, every form it has on the way to the machine.

python examples/read_a_kernel.py
"""

from __future__ import annotations

import numpy as np

import kernelwright as kw


def main() -> None:
    x = kw.input("x", (None, 64))
    weight = kw.variable("weight", np.eye(64, dtype="float32"))
    bias = kw.variable("bias", np.zeros(64, "float32"))
    program = kw.compile([x], [kw.relu(x @ weight + bias)])

    for k in program.kernels:
        print(f"{k.name}: {', '.join(k.fused)}; {k.flops(batch=32):,} flops, {k.bytes(batch=32):,} bytes at batch 32")

    kernel = max(program.kernels, key=lambda k: k.flops(batch=32))
    for title, text in [
        ("written at", "\n".join(kernel.lines)),
        ("why these ops share a kernel", "\n".join(kernel.reasons)),
        ("buffers", "\n".join(kernel.buffers)),
        ("loop form", kernel.loops),
        ("schedule", kernel.schedule),
        ("source", kernel.source),
    ]:
        print(f"\n--- {title}\n{text}")
    for title, text in [("optimised LLVM IR", kernel.llvm), ("assembly", kernel.asm)]:
        lines = text.splitlines()
        fused = [line.strip() for line in lines if "fma" in line and not line.lstrip().startswith(("declare", "."))]
        print(f"\n--- {title}: {len(lines)} lines, {len(fused)} with a fused multiply-add; the first:")
        print(fused[0] if fused else "none")


if __name__ == "__main__":
    main()
