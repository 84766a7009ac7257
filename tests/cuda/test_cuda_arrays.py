"""Arrays that lie on the GPU: in and out of programs without a way through the host, for as long as anyone holds them.

Memory of the stand-in's device is the host's. NumPy writes and reads it through DLPack where a test says that the
device's type is the CPU's, so that NumPy's own reading of DLPack checks ours.
"""

import ctypes
import gc

import numpy as np
import pytest
from standin import on

import kernelwright as kw
from kernelwright.runtime.cuda import dlpack

UP, DOWN, WITHIN = "cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2", "cuMemcpyDtoDAsync_v2"
STREAM = 0x51


class Lent:
    """An array of another library in the device's memory: `base` keeps it there, `asked` has what its capsule was asked
    for with."""

    def __init__(self, library, value, dtype=None, number=0):
        self.memory = library.gpu.allocate(value.nbytes)
        ctypes.memmove(self.memory, np.ascontiguousarray(value).ctypes.data, value.nbytes)
        self.value, self.dtype, self.number, self.asked = value, dtype or value.dtype.name, number, []
        self.shape = value.shape

    def __dlpack_device__(self):
        return dlpack.CUDA, self.number

    def __dlpack__(self, **asked):
        self.asked.append(asked)
        return dlpack.capsule(self, self.memory, self.value.shape, self.dtype, (dlpack.CUDA, self.number))


class Old(Lent):
    """Of before DLPack's version 1."""

    def __dlpack__(self, stream=None):
        return super().__dlpack__(stream=stream)


class Interfaced:
    """What has `__cuda_array_interface__` alone."""

    def __init__(self, library, value, **said):
        self.lent = Lent(library, value)
        place = {"data": (self.lent.memory, False), "shape": value.shape, "typestr": value.dtype.str}
        self.__cuda_array_interface__ = {"version": 3, **place, "strides": None, "stream": None, **said}


class Copies:
    """Copies within a `with`: up, down, and within the device."""

    def __init__(self, library):
        self.library = library

    def counts(self):
        return [self.library.log.count(name) for name in (UP, DOWN, WITHIN)]

    def __enter__(self):
        self.before = self.counts()
        return self

    def __exit__(self, *error):
        self.made = [n - b for n, b in zip(self.counts(), self.before)]


@pytest.fixture
def double(library):
    x = kw.input("x", (None, 3))
    return on(library, [x], [x * 2])


VALUE = np.arange(6, dtype="float32").reshape(2, 3)


@pytest.mark.parametrize("kind", [Lent, Old, Interfaced])
def test_an_input_on_the_device_never_goes_through_the_host(library, double, kind):
    given = kind(library, VALUE)
    with Copies(library) as copies:
        np.testing.assert_array_equal(double(given), [[0, 2, 4], [6, 8, 10]])
    assert copies.made == [0, 1, 1]


def test_nothing_goes_through_the_host_where_results_stay_on_the_device(library, double):
    given = Lent(library, VALUE)
    with Copies(library) as copies:
        twice = double.on_device(given)
        four_times = double.on_device(twice)
    assert copies.made == [0, 0, 4]
    assert (twice.shape, twice.dtype, twice.device, twice.nbytes) == ((2, 3), "float32", "cuda:0", 24)
    with Copies(library) as looks:
        np.testing.assert_array_equal(four_times.numpy(), VALUE * 4)
    assert looks.made == [0, 1, 0]


def test_a_capsule_is_asked_for_our_stream(library, double):
    given = Lent(library, VALUE)
    double(given)
    assert given.asked == [{"stream": STREAM, "max_version": (1, 0)}]


@pytest.mark.parametrize("stream, waited", [(None, []), (1, [1]), (0x77, [0x77])])
def test_the_stream_that_an_interface_names_is_waited_for(library, double, stream, waited):
    double(Interfaced(library, VALUE, stream=stream))
    assert library.waited == waited
    assert not any(library.events.values())


def test_a_result_outlives_the_next_call_and_its_program(library):
    x = kw.input("x", (3,))
    program = on(library, [x], [x + 1, x.sum()])
    first, total = program.on_device(np.zeros(3, "float32"))
    program.on_device(np.ones(3, "float32"))
    np.testing.assert_array_equal(first.numpy(), [1, 1, 1])
    del program
    gc.collect()
    library.gpu.tidy()
    np.testing.assert_array_equal(first.numpy(), [1, 1, 1])
    assert (total.shape, float(total.numpy())) == ((), 0)
    assert len(library.blocks) == 2
    del first, total
    gc.collect()
    library.gpu.tidy()
    assert library.blocks == {}


@pytest.fixture
def as_cpu(monkeypatch):
    """DLPack's type of the stand-in's device is the CPU's, whose memory it is."""
    monkeypatch.setattr(dlpack, "CUDA", dlpack.CPU)


def test_numpy_reads_a_result_in_place_which_lives_as_long(library, double, as_cpu):
    result = double.on_device(Lent(library, VALUE))
    with Copies(library) as copies:
        seen = np.from_dlpack(result)
    assert copies.made == [0, 0, 0]
    address = result.__cuda_array_interface__["data"][0]
    assert seen.ctypes.data == address and library.inside(address, 24)
    del result, double
    gc.collect()
    library.gpu.tidy()
    np.testing.assert_array_equal(seen, VALUE * 2)
    assert library.inside(address, 24)
    del seen
    gc.collect()
    library.gpu.tidy()
    assert not library.inside(address, 24)


def test_pytorch_reads_results_in_place(library, as_cpu):
    torch = pytest.importorskip("torch")
    x, y = kw.input("x", (2, 3)), kw.input("y", (3,), "bfloat16")
    program = on(library, [x, y], [x * 2, y + y])
    numbers, words = program.on_device(VALUE, kw.to_bfloat16([1.0, -2.5, 3.0]))
    seen = torch.from_dlpack(numbers)
    assert (seen.dtype, seen.data_ptr()) == (torch.float32, numbers.__cuda_array_interface__["data"][0])
    assert seen.tolist() == [[0, 2, 4], [6, 8, 10]]
    seen = torch.from_dlpack(words)
    assert (seen.dtype, seen.tolist()) == (torch.bfloat16, [2, -5, 6])


def test_tensors_of_pytorch_are_read_where_they_lie(library, as_cpu):
    torch = pytest.importorskip("torch")
    x = kw.input("x", (2, 3), "bfloat16")
    program = on(library, [x], [x + x])
    lent = NumPys(library, np.zeros((2, 3), "uint16"))
    lent.array = torch.from_dlpack(lent.array.view("int16")).view(torch.bfloat16)
    lent.array[...] = torch.tensor([[0.5, 1, 2], [3, -4, 5]])
    np.testing.assert_array_equal(kw.from_bfloat16(program(lent)), [[1, 2, 4], [6, -8, 10]])


class NumPys:
    """An array of NumPy as one of the device: `np.ndarray.__dlpack__` makes the capsules."""

    def __init__(self, library, value, view=lambda array: array):
        self.memory = library.gpu.allocate(value.nbytes)
        whole = np.ctypeslib.as_array((ctypes.c_uint8 * value.nbytes).from_address(self.memory))
        whole[...] = np.frombuffer(value.tobytes(), np.uint8)
        self.array = view(whole.view(value.dtype).reshape(value.shape))

    def __dlpack_device__(self):
        return dlpack.CUDA, 0

    def __dlpack__(self, stream=None, max_version=None):
        return self.array.__dlpack__(max_version=max_version)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int32", "int64", "uint8", "bool"])
def test_capsules_that_numpy_made_are_read(library, dtype, as_cpu):
    x = kw.input("x", (None, 3), dtype)
    value = np.array([[0, 1, 1], [1, 0, 1]], dtype)
    (got,) = on(library, [x], [kw.flip(x, 1)]).run([NumPys(library, value)])
    np.testing.assert_array_equal(got, value[:, ::-1])
    assert got.dtype == dtype


def test_a_part_that_lies_together_is_taken_where_it_begins(library, double, as_cpu):
    tall = np.arange(12, dtype="float32").reshape(4, 3)
    np.testing.assert_array_equal(double(NumPys(library, tall, lambda a: a[1:3])), tall[1:3] * 2)


def test_axes_of_size_one_have_any_stride(library, double, as_cpu):
    np.testing.assert_array_equal(double(NumPys(library, VALUE, lambda a: a[::2])), VALUE[:1] * 2)


def test_no_elements_need_no_memory(library, double):
    empty = np.zeros((0, 3), "float32")
    assert double(Interfaced(library, empty, data=(0, False))).shape == (0, 3)
    result = double.on_device(empty)
    assert (result.shape, result.numpy().shape) == ((0, 3), (0, 3))


def test_a_result_on_the_device_is_copied_to_the_cpu_where_a_library_asks(library, double):
    result = double.on_device(VALUE)
    with Copies(library) as copies:
        seen = np.from_dlpack(result, device="cpu")
    assert copies.made == [0, 1, 0]
    np.testing.assert_array_equal(seen, VALUE * 2)
    with pytest.raises(BufferError, match=r"not as device \(2, 7\)"):
        result.__dlpack__(dl_device=(2, 7))
    with pytest.raises(BufferError, match="a copy"):
        result.__dlpack__(copy=True)


def test_a_capsule_that_nobody_takes_frees_its_memory(library, double):
    result = double.on_device(VALUE)
    address = result.__cuda_array_interface__["data"][0]
    with pytest.raises((RuntimeError, BufferError)):  # NumPy does not read a GPU's memory
        np.from_dlpack(result)
    del result
    gc.collect()
    library.gpu.tidy()
    assert not library.inside(address, 24)


def test_bfloat16_crosses_as_dlpacks_own_type_or_as_words(library):
    x = kw.input("x", (3,), "bfloat16")
    program = on(library, [x], [x + x])
    words = kw.to_bfloat16([1.0, -2.5, 3.0])
    for given in (words, Lent(library, words, "bfloat16"), Interfaced(library, words)):
        result = program.on_device(given)
        assert result.dtype == "bfloat16"
        np.testing.assert_array_equal(kw.from_bfloat16(result.numpy()), [2, -5, 6])
        found = dlpack.described(result.__dlpack__())
        assert (found.dtype, found.shape, found.itemsize, found.device) == ("bfloat16", (3,), 2, (2, 0))
    np.testing.assert_array_equal(kw.from_bfloat16(program(result)), [4, -10, 12])
    assert result.__cuda_array_interface__["typestr"] == "<u2"


def test_steps_read_arrays_on_the_device_row_by_row(library):
    x, w = kw.input("x", (2,)), kw.variable("counter", np.zeros(2, "float32"))
    program = on(library, [x], [w * 10 + x], {w: w + x})
    value = np.arange(8, dtype="float32").reshape(4, 2)
    given = Lent(library, value)
    program.run([given], steps=4, per_step=[0])
    kw.set_value(w, np.zeros(2, "float32"))
    with Copies(library) as copies:
        result = program.on_device(given, steps=4, per_step=[0])
    assert copies.made == [1, 0, 4 + 4 + 1]  # the variable; rows in, rows out, the output
    before = np.cumsum(value, 0) - value
    np.testing.assert_array_equal(result.numpy(), before * 10 + value)


def test_labels_on_the_device_are_checked(library):
    t = kw.input("t", (None,), "int32")
    program = on(library, [t], [kw.one_hot(t, 3)])
    with Copies(library) as copies:
        result = program.on_device(Lent(library, np.array([2, 0], "int32")))
    assert copies.made == [0, 1, 2]
    np.testing.assert_array_equal(result.numpy(), [[0, 0, 1], [1, 0, 0]])
    with pytest.raises(kw.IndexLimitError, match=r"input 't' holds 3 at position \[1\]"):
        program.on_device(Lent(library, np.array([2, 3], "int32")))


def test_indices_that_kernels_compute_are_checked_where_results_stay(library):
    x, table = kw.input("x", (2,), "int32"), kw.input("table", (4,))
    program = on(library, [x, table], [kw.gather(table, x + 1)])
    rows = np.arange(4, dtype="float32")
    np.testing.assert_array_equal(program.on_device(np.array([0, 2], "int32"), rows).numpy(), [1, 3])
    with pytest.raises(kw.IndexLimitError, match="4 at position"):
        program.on_device(np.array([0, 3], "int32"), rows)


def test_a_program_is_timed_on_arrays_of_the_device(library, double):
    assert len(double.profile(Lent(library, VALUE))) == len(double.kernels)


def test_arrays_of_the_device_and_of_the_host_go_together(library):
    x, y = kw.input("x", (2, 3)), kw.input("y", (2, 3))
    with Copies(library) as copies:
        np.testing.assert_array_equal(on(library, [x, y], [x - y])(Lent(library, VALUE), VALUE), np.zeros((2, 3)))
    assert copies.made == [1, 1, 1]


def test_a_tensor_of_pytorch_on_the_cpu_is_taken_as_numpys(library, double):
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(double(torch.from_numpy(VALUE)), VALUE * 2)


class Unwilling(Lent):
    def __dlpack__(self, **asked):
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")


def refused(program, given):
    with pytest.raises(kw.InputError) as error:
        program(given)
    assert "\n" not in str(error.value) and "input 'x' takes float32(" in str(error.value)
    return str(error.value)


def test_what_cannot_be_read_where_it_lies_is_refused_with_a_way_out(library, double):
    said = refused(double, Lent(library, VALUE.astype("float64")))
    assert "got float64 of shape (2, 3) on GPU 0" in said and ".to(torch.float32)" in said
    said = refused(double, Lent(library, VALUE, number=1))
    assert "got float32 of shape (2, 3) on GPU 1" in said and ".to('cuda:0')" in said
    said = refused(double, Interfaced(library, VALUE, strides=(4, 8)))
    assert "strides (4, 8)" in said and ".contiguous()" in said
    assert "tensor.detach()" in refused(double, Unwilling(library, VALUE))
    assert "version 2" in refused(double, Interfaced(library, VALUE, version=2))
    assert "masked" in refused(double, Interfaced(library, VALUE, mask=VALUE))
    assert "is not in the memory of a GPU" in refused(double, Interfaced(library, VALUE, data=(64, False)))
    with pytest.raises(kw.KernelwrightError, match=r"input 'x': expected shape .*got \(3, 2\)"):
        double(Lent(library, VALUE.reshape(3, 2)))


def test_a_transposed_capsule_is_refused(library, double, as_cpu):
    square = np.arange(9, dtype="float32").reshape(3, 3)
    assert "strides (4, 12)" in refused(double, NumPys(library, square, lambda a: a.T))


def test_a_device_without_memory_of_its_own_says_so():
    x = kw.input("x", (3,))
    with pytest.raises(kw.CompileError, match="device 'cuda' has its own"):
        kw.compile([x], [x * 2], device="reference").on_device(np.ones(3, "float32"))


def test_a_result_is_not_fetched_by_accident(library, double):
    result = double.on_device(VALUE)
    with pytest.raises(TypeError, match=r"method numpy\(\)"):
        np.asarray(result)
    x = kw.input("x", (None, 3))
    with pytest.raises(kw.InputError, match=r"method numpy\(\)"):
        kw.compile([x], [x * 2], threads=1)(result)
    assert repr(result) == "<DeviceArray of shape (2, 3), float32, on cuda:0>"


def test_too_little_memory_for_results_is_said_before_a_step_runs(library):
    x, w = kw.input("x", (1000,)), kw.variable("moving", np.zeros((), "float32"))
    program = on(library, [x], [x * 2], {w: w + 1})
    program(np.zeros(1000, "float32"))
    library.room = sum(map(len, library.blocks.values())) + 100
    with pytest.raises(kw.KernelwrightError, match="for the output"):
        program.on_device(np.zeros(1000, "float32"))
    assert float(kw.get_value(w)) == 1
