"""Registers, spills and occupancy of CUDA kernels, read without a GPU."""

import pytest

import kernelwright as kw
from kernelwright.compiler.targets.cuda.compiled import CudaListing
from kernelwright.compiler.targets.cuda.resources import KernelResources, parse, resource_rows, resource_table

LOG = """ptxas info    : Compiling entry function 'k' for 'sm_90'
ptxas info    : Function properties for k
ptxas         .     16 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 72 registers, used 1 barriers, 16 bytes cumulative stack size, 8192 bytes smem
"""


def test_a_log_of_ptxas_is_read():
    assert parse(LOG) == KernelResources(registers=72, shared=8192, stack=16, spills=12)
    with pytest.raises(kw.CompileError, match="counted by ptxas"):
        parse("nvJitLink is not installed: PTX only")


@pytest.mark.parametrize(
    "registers, shared, threads, arch, want",
    [
        (32, 0, 256, (8, 0), 1.0),  # 8 blocks of 8 warps
        (128, 0, 256, (9, 0), 0.25),  # registers for 16 warps
        (33, 0, 1024, (9, 0), 0.5),  # given in units of 256, so 40 for a thread
        (16, 40 << 10, 128, (8, 0), 0.25),  # shared memory for 4 blocks of 4 warps, with 1 KB reserved for each
        (16, 0, 32, (9, 0), 0.5),  # 32 blocks of one warp
    ],
)
def test_occupancy_is_what_the_scarcest_resource_allows(registers, shared, threads, arch, want):
    assert KernelResources(registers, shared, 0, 0).occupancy(threads, arch) == want


def test_limits_of_unknown_architectures_are_one_error():
    with pytest.raises(kw.CompileError, match="sm_70 are not known; known are sm_80"):
        KernelResources(32, 0, 0, 0).occupancy(128, (7, 0))


def test_every_kernel_of_a_program_has_its_row(toolkit):
    x = kw.input("x", (None, 64))
    listing = CudaListing([x], [kw.softmax(kw.tanh(x) * 2)], {}, "sm_90")
    found = resource_rows(listing, batch=32)
    assert all(0 < r["occupancy"] <= 1 and r["spills"] == 0 and r["flops"] > 0 and r["bytes"] > 0 for r in found)
    assert "occupancy" in resource_table(found) and "0 of them with spills" in resource_table(found)
