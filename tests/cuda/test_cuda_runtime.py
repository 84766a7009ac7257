"""The CUDA runtime on a stand-in for the driver: memory, graphs, steps, variables, and errors of one line."""

import numpy as np
import pytest
from standin import Library, on

import kernelwright as kw
from kernelwright.compiler.targets.cuda import compiled, cubin_store, program
from kernelwright.compiler.targets.shared.workers import FEW
from kernelwright.runtime import IndexLimitError, KernelCache
from kernelwright.runtime.cuda import Gpu, absent


def test_a_program_gives_what_the_reference_gives_for_any_batch(library):
    x, w = kw.input("x", (None, 20)), kw.variable("w", np.random.default_rng(0).normal(size=(20, 7)).astype("float32"))
    y = kw.softmax(kw.tanh(x @ w))
    program = on(library, [x], [y, y.sum()])
    reference = kw.compile([x], [y, y.sum()], device="reference")
    for batch in (3, 64, 1, 3, 0):
        value = np.random.default_rng(batch).normal(size=(batch, 20)).astype("float32")
        for got, want in zip(program(value), reference(value)):
            assert (got.shape, got.dtype) == (want.shape, want.dtype)
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_a_step_is_captured_once_and_replayed(library):
    x = kw.input("x", (None, 8))
    program = on(library, [x], [kw.exp(x) / kw.exp(x).sum(1, keepdims=True)])
    value = np.ones((4, 8), "float32")
    for _ in range(3):
        program(value)
    assert library.log.count("cuStreamBeginCapture_v2") == 1
    assert library.log.count("cuGraphLaunch") == 3


def test_many_steps_in_one_call_move_through_inputs_and_outputs(library):
    x, w = kw.input("x", (2,)), kw.variable("counter", np.zeros(2, "float32"))
    program = on(library, [x], [w * 10 + x], {w: w + x})
    value = np.arange(8, dtype="float32").reshape(4, 2)
    (got,) = program.run([value], steps=4, per_step=[0])
    before = np.cumsum(value, 0) - value
    np.testing.assert_array_equal(got, before * 10 + value)
    np.testing.assert_array_equal(w.attrs.state.get(), value.sum(0))


def test_variables_changed_on_the_host_are_seen_by_the_next_run(library):
    x, w = kw.input("x", (3,)), kw.variable("scale", np.ones(3, "float32"))
    program = on(library, [x], [x * w])
    w.attrs.state.set(np.full(3, 5, "float32"))
    np.testing.assert_array_equal(program(np.ones(3, "float32")), [5, 5, 5])


def test_variables_cross_only_when_they_have_changed(library):
    x, w = kw.input("x", (3,)), kw.variable("kept", np.ones(3, "float32"))
    predict, step = on(library, [x], [x * w]), on(library, [x], [x.sum()], {w: w * 2})
    value = np.ones(3, "float32")

    def transfers(program):
        before = {name: library.log.count(name) for name in ("cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2")}
        program(value)
        return [library.log.count(name) - n for name, n in before.items()]

    assert transfers(predict) == [2, 1]  # the input and the variable there, the output back
    assert transfers(predict) == [1, 1]
    assert transfers(step) == [1, 1]
    assert transfers(predict) == [1, 1]
    w.attrs.state.set(2 * value)
    assert transfers(step) == [2, 1]
    np.testing.assert_array_equal(predict(value), [4, 4, 4])


def test_variables_changed_by_the_cpu_are_seen_by_the_next_run(library):
    x, w = kw.input("x", (2,)), kw.variable("shared", np.ones(2, "float32"))
    program = on(library, [x], [x * w])
    value = np.ones(2, "float32")
    program(value)
    kw.compile([x], [x.sum()], {w: w + x}, threads=1)(value)
    np.testing.assert_array_equal(program(value), [2, 2])


def test_a_network_trains_as_the_reference_does(library):
    rng = np.random.default_rng(1)
    images, labels = rng.normal(size=(3, 4, 1, 12, 12)).astype("float32"), rng.integers(0, 5, (3, 4)).astype("int32")
    x, t = kw.input("x", (None, 1, 12, 12)), kw.input("t", (None,), "int32")
    net = kw.nn.Sequential(kw.nn.Conv(3, 3, pad=1), kw.relu, kw.nn.MaxPool(2), kw.nn.Flatten(), kw.nn.Dense(5))
    loss = kw.losses.cross_entropy(net(x), t)
    updates = kw.optim.Adam(0.01).updates(net.parameters(), kw.grad(loss, net.parameters()))
    start = {v: v.attrs.state.get() for v in updates}
    want = kw.compile([x, t], [loss], updates, device="reference").run([images, labels], steps=3, per_step=[0, 1])
    after = {v: v.attrs.state.get() for v in updates}
    for v, value in start.items():
        v.attrs.state.set(value)
    got = on(library, [x, t], [loss], updates).run([images, labels], steps=3, per_step=[0, 1])
    np.testing.assert_allclose(got[0], want[0], rtol=1e-5)
    for v, value in after.items():
        np.testing.assert_allclose(v.attrs.state.get(), value, rtol=1e-4, atol=1e-5, err_msg=str(v))


def test_inputs_of_another_order_and_labels_out_of_range(library):
    x, t = kw.input("x", (2, 3)), kw.input("t", (2,), "int32")
    program = on(library, [x, t], [kw.one_hot(t, 3) * x])
    value = np.arange(6, dtype="float32").reshape(3, 2).T
    np.testing.assert_array_equal(program(value, np.array([0, 2], "int32")), value * [[1, 0, 0], [0, 0, 1]])
    with pytest.raises(IndexLimitError, match="0 to 2"):
        program(value, np.array([0, 3], "int32"))


def test_too_little_memory_names_what_was_asked_for(library):
    library.room = 1000
    x = kw.input("pictures", (None, 100))
    with pytest.raises(kw.KernelwrightError, match=r"bytes asked for, .*pictures.*smaller batch") as error:
        on(library, [x], [x * 2])(np.ones((64, 100), "float32"))
    assert isinstance(error.value, MemoryError) and "\n" not in str(error.value)


def test_a_failing_call_names_itself_and_the_drivers_error(library):
    with pytest.raises(kw.KernelwrightError, match="cuModuleLoadData failed: CUDA_ERROR_INVALID_IMAGE"):
        Gpu(0, library).function(b"nonsense", "kernel")


def test_what_is_absent_is_named():
    assert absent(0, Library()) == ""
    assert "index 2 (1 found)" in absent(2, Library())
    assert absent(0, type("Broken", (Library,), {"_cuInit": lambda self, flags: 1})()).startswith("a working")


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_without_a_driver_one_line_says_what_is_missing(device, without_driver):
    x = kw.input("x", (3,))
    with pytest.raises(kw.CompileError) as error:
        kw.compile([x], [x * 2], device=device)
    text = str(error.value)
    assert "NVIDIA driver" in text and "libcuda.so.1" in text and "\n" not in text


def test_a_device_that_is_none_is_refused():
    x = kw.input("x", (3,))
    with pytest.raises(kw.CompileError, match="there is no device 'cuda:x'"):
        kw.compile([x], [x * 2], device="cuda:x")


def test_kernels_can_be_read(toolkit):
    x = kw.input("x", (None, 64))
    program = compiled.CudaCompiled([x], [kw.tanh(x)], {}, device=Gpu(0, _Modules()))
    (kernel,) = program.kernels
    assert "def tanh(" in kernel.source and "per thread" in kernel.schedule
    assert ".entry" in kernel.asm and "registers" in kernel.resources
    assert "tanh" in str(program)


def test_kernels_are_compiled_on_all_cores_and_kept(toolkit, monkeypatch, tmp_path):
    monkeypatch.setattr(cubin_store, "kernel_cache", lambda: KernelCache(tmp_path))
    monkeypatch.setenv("KERNELWRIGHT_HELPERS", "1")
    x = kw.input("x", (None, 64))
    kernels = program.build_kernels(
        [x], [kw.exp(x).sum(i) + i for i in (0, 1)] + [kw.tanh(x), kw.softmax(x)], {}
    ).kernels
    found = compiled.cubins(kernels, (9, 0))
    assert len(found) >= FEW and all(code[:4] == b"\x7fELF" for code in found.values())
    monkeypatch.setattr(compiled, "build_all", None)
    assert compiled.cubins(kernels, (9, 0)) == found


class _Modules(Library):
    """Takes real cubins, which it cannot run."""

    def _cuModuleLoadData(self, module, image):
        return 0

    def _cuModuleGetFunction(self, function, module, symbol):
        return 0


def test_a_step_is_timed_on_the_device_and_variables_stay(library):
    """The stand-in's kernels take a millisecond each."""
    x, w = kw.input("x", (None, 300)), kw.variable("timed", np.ones(300, "float32"))
    program = on(library, [x], [kw.exp(x).sum(), kw.tanh(x).sum(1)], {w: w + 1})
    value = np.ones((3, 300), "float32")
    kernels = len(program.kernels)
    assert kernels > 1
    np.testing.assert_allclose(program.step_seconds(value, rounds=3, calls=4), [kernels * 1e-3] * 3)
    np.testing.assert_allclose(program.profile(value, repeats=5), [1e-3] * kernels)
    np.testing.assert_array_equal(w.attrs.state.get(), np.ones(300))
    program(value)
    np.testing.assert_array_equal(w.attrs.state.get(), np.full(300, 2))
    assert not any(library.events.values())


def test_a_kernel_of_a_loop_is_timed_over_all_its_turns(library):
    x = kw.input("x", (None, 4))
    last, _ = kw.scan(lambda h, row: (h * 0.5 + row, None), kw.as_tensor(np.zeros(4, "float32")), x)
    program = on(library, [x], last)
    seconds = program.profile(np.ones((7, 4), "float32"), repeats=2)
    assert [s for s, k in zip(seconds, program.kernels) if k.times is not None] == pytest.approx([7e-3])


def test_a_device_tells_its_name_and_its_cuda(library):
    gpu = Gpu(0, library)
    assert (gpu.name, gpu.version) == ("Stand-in", (13, 0))
