"""Cubins made elsewhere: who may use them, and what runs without the packages that compile. The stand-in takes source
for cubins."""

import numpy as np
import pytest
from standin import Library, image

import kernelwright as kw
from kernelwright.compiler.targets.cuda import build, compiled, cubin_store, program
from kernelwright.runtime import KernelCache

ARCH = (9, 0)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """A cache of this test's own."""
    monkeypatch.setattr(cubin_store, "kernel_cache", lambda: KernelCache(tmp_path))


def made_by(monkeypatch, versions, missing=()):
    """From here on, the packages installed."""
    monkeypatch.setattr(build, "versions", lambda: versions)
    monkeypatch.setattr(build, "missing_parts", lambda: list(missing))


def network():
    x = kw.input("x", (None, 20))
    return x, kw.softmax(kw.tanh(x))


def keep(output, kernels=slice(None)):
    """Its kernels in the cache, as the stand-in has them; their keys."""
    cubin_store.share()
    found = [image(k, ARCH) for k in program.build_kernels([output[0]], [output[1]], {}).kernels]
    for key, code in found[kernels]:
        cubin_store.keep(key, code, build.Code("", ARCH, "ptx of " + key, code, ""), "source")
    return [key for key, _ in found]


def test_a_process_without_the_packages_runs_what_is_cached(cache, monkeypatch):
    made_by(monkeypatch, "numba-cuda=1")
    x, y = network()
    keep((x, y))
    made_by(monkeypatch, "numba-cuda=none", ["numba-cuda"])
    monkeypatch.setattr(compiled, "absent", lambda index: "")
    monkeypatch.setattr(compiled, "driver", lambda index: Library().gpu)
    value = np.random.default_rng(0).normal(size=(3, 20)).astype("float32")
    running = kw.compile([x], [y], device="cuda")
    np.testing.assert_allclose(running(value), kw.compile([x], [y], device="reference")(value), rtol=1e-5)
    assert running.kernels[0].asm.startswith("ptx of ")


def test_one_kernel_that_is_missing_is_one_line_that_says_what_to_install(cache, monkeypatch):
    x, y = network()
    made_by(monkeypatch, "numba-cuda=1")
    keep((x, y), slice(1, None))
    made_by(monkeypatch, "numba-cuda=none", ["numba-cuda"])
    with pytest.raises(kw.CompileError) as error:
        compiled.CudaCompiled([x], [y], {}, device=Library().gpu)
    text = str(error.value)
    assert "need numba-cuda, not installed here" in text and "pip install" in text and "\n" not in text


def test_other_versions_compile_anew_but_for_a_cache_filled_for_them(cache, monkeypatch):
    made_by(monkeypatch, "numba-cuda=1")
    (key, *_) = keep(network())
    made_by(monkeypatch, "numba-cuda=2")
    assert cubin_store.find(key, cubin_store.makers()) is None
    made_by(monkeypatch, "numba-cuda=1")
    cubin_store.share(everywhere=True)
    made_by(monkeypatch, "numba-cuda=2")
    assert cubin_store.find(key, cubin_store.makers())["ptx"] == "ptx of " + key


def test_what_is_made_here_comes_first(cache, monkeypatch):
    made_by(monkeypatch, "numba-cuda=1")
    (key, *_) = keep(network())
    cubin_store.share(everywhere=True)
    made_by(monkeypatch, "numba-cuda=2")
    cubin_store.keep(key, b"code", build.Code("", ARCH, "newer", b"code", ""), "source")
    assert cubin_store.cubin(cubin_store.kept(key)) == b"code"
    made_by(monkeypatch, "numba-cuda=1")
    assert cubin_store.kept(key)["ptx"] == "ptx of " + key


def test_a_kernel_that_left_the_cache_is_one_error(cache):
    with pytest.raises(kw.KernelwrightError, match="kernel gone is no longer in the cache"):
        cubin_store.kept("gone")


def test_versions_name_the_toolkits_library_where_it_has_no_package(monkeypatch):
    monkeypatch.setattr(build, "_version", lambda package: "none")
    monkeypatch.setattr(build, "_toolkit_nvvm", lambda: "/usr/local/cuda-13.0/nvvm/lib64/libnvvm.so.4:61")
    assert build.versions.__wrapped__().endswith("libnvvm=/usr/local/cuda-13.0/nvvm/lib64/libnvvm.so.4:61")
