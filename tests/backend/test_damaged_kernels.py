"""Entries of the kernel cache that are whole as files and yet hold no code of theirs: dropped, and compiled again."""

import gc

import llvmlite.binding as llvm
import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.targets.shared.store import kernel_cache
from kernelwright.runtime import CacheWarning, host_machine, loader

ONES = np.ones((2, 3), "float32")


def program(c):
    x = kw.input("x", (None, 3))
    return kw.compile([x], [kw.tanh(x * c)])


def key_of(c):
    (kernel,) = program(c).kernels
    return kernel.key


def refill(key, **changed):
    parts = dict(kernel_cache().get(key))
    kernel_cache().put(key, {**parts, **changed})


@pytest.mark.parametrize("damage", ["another's", "no object", "not bytes", "cut", "nothing"])
def test_an_object_that_lacks_its_symbol(damage):
    key, other = key_of(31.0), key_of(32.0)
    code = kernel_cache().get(key)["object"]
    if damage == "no object":
        kernel_cache().put(key, {"source": "def kernel(): ..."})
    else:
        bad = {"another's": kernel_cache().get(other)["object"], "not bytes": "text", "cut": code[:200], "nothing": b""}
        refill(key, object=bad[damage])
    with pytest.warns(CacheWarning, match=f"dropped {key} .* does not define kw_{key}"):
        again = program(31.0)
    np.testing.assert_allclose(again(ONES), np.full((2, 3), np.tanh(np.float32(31))), rtol=1e-6)
    assert kernel_cache().get(key)["object"] == code


def test_an_object_that_does_not_link():
    """It defines its symbol, and calls a function that nobody has."""
    key = key_of(33.5)
    code = kernel_cache().get(key)["object"]
    text = f"declare void @nobody()\ndefine void @kw_{key}(i64 %a, i64 %b, i64 %c) {{ call void @nobody() ret void }}"
    refill(key, object=host_machine().emit_object(llvm.parse_assembly(text)))
    gc.collect()
    assert all(name[0] != key for name in loader._libraries)  # so that it has to be linked anew
    with pytest.warns(CacheWarning, match=f"dropped {key} .* does not link"):
        again = program(33.5)
    np.testing.assert_allclose(again(ONES), np.full((2, 3), np.tanh(np.float32(33.5))), rtol=1e-6)
    assert kernel_cache().get(key)["object"] == code
