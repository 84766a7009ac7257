"""NVIDIA's driver through ctypes: one device with its context and a stream; memory, modules, launches, graphs.

Function names, their `_v2` suffixes and constants are those of the CUDA Driver API reference (CUDA 12 and 13). Every
call's result is checked. What is freed waits for the next allocation or run: objects end at any moment, also while a
graph is captured. Leans on the standard library and NumPy.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import CudaError, DeviceMemoryError
from ..locks import fork_safe_lock

LIBRARY = "libcuda.so.1"
SUCCESS, OUT_OF_MEMORY = 0, 2
NON_BLOCKING = 1
CAPTURE_THREAD_LOCAL = 1
NO_TIMING = 2
POINTER_DEVICE = 9
COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR = 75, 76
MAX_DYNAMIC_SHARED = 8
SHARED = 48 << 10
"""Bytes of shared memory that a block may have without being allowed more."""


def _library() -> Any:
    return ctypes.CDLL(LIBRARY)


def absent(index: int = 0, library: Any = None) -> str:
    """What is missing to use GPU number `index`, in a few words; empty where nothing is."""
    try:
        found = library or _library()
    except OSError:
        return f"an NVIDIA driver ({LIBRARY} was not found)"
    status = found.cuInit(0)
    if status != SUCCESS:
        return f"a working NVIDIA driver ({_describe(found, status)})"
    count = ctypes.c_int()
    found.cuDeviceGetCount(ctypes.byref(count))
    if index >= count.value:
        return f"an NVIDIA GPU of index {index} ({count.value} found)"
    return ""


def _describe(library: Any, status: int) -> str:
    name = ctypes.c_char_p()
    known = library.cuGetErrorName(status, ctypes.byref(name)) == SUCCESS and name.value
    return f"{name.value.decode()}" if known and name.value else f"error {status}"


class Gpu:
    """GPU number `index`, with a context and a stream of its own. `turn` is held during a run. Raises CudaError where a
    call fails."""

    def __init__(self, index: int = 0, library: Any = None) -> None:
        self.index = index
        self.turn = fork_safe_lock()
        self._quiet = fork_safe_lock()  # no thread captures and another one waits for the stream
        self._left: list[tuple[Callable[[Any], None], Any]] = []
        self._cuda = library or _library()
        self._call("cuInit", 0)
        device = ctypes.c_int()
        self._call("cuDeviceGet", ctypes.byref(device), index)
        self._context = ctypes.c_void_p()
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), device)
        self.use()
        self._stream = ctypes.c_void_p()
        self._call("cuStreamCreate", ctypes.byref(self._stream), NON_BLOCKING)
        self.arch = self._attribute(COMPUTE_CAPABILITY_MAJOR, device), self._attribute(COMPUTE_CAPABILITY_MINOR, device)
        self._device = device

    @property
    def name(self) -> str:
        """What NVIDIA calls the device."""
        text = ctypes.create_string_buffer(256)
        self._call("cuDeviceGetName", text, ctypes.c_int(len(text)), self._device)
        return text.value.decode()

    @property
    def version(self) -> tuple[int, int]:
        """The newest CUDA that the driver takes."""
        found = ctypes.c_int()
        self._call("cuDriverGetVersion", ctypes.byref(found))
        return found.value // 1000, found.value % 1000 // 10

    def use(self) -> None:
        """Make this device the calling thread's; every entry from Python starts with it."""
        self._call("cuCtxSetCurrent", self._context)

    def allocate(self, nbytes: int) -> int:
        """The address of new memory, on a boundary of at least 256 bytes. Raises DeviceMemoryError."""
        self.tidy()
        address = ctypes.c_uint64()
        status = self._cuda.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(max(nbytes, 1)))
        if status == OUT_OF_MEMORY:
            free, total = ctypes.c_size_t(), ctypes.c_size_t()
            self._call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
            raise DeviceMemoryError(
                f"GPU {self.index}: {nbytes} bytes asked for, {free.value} of {total.value} bytes are free"
            )
        self._check("cuMemAlloc", status)
        return address.value

    def free(self, address: int) -> None:
        self._call("cuMemFree_v2", ctypes.c_uint64(address))

    def with_end_of(self, owner: object, free: Callable[[Any], None], handle: Any) -> None:
        """Call `free(handle)` at the first `tidy` after `owner` has ended."""
        weakref.finalize(owner, self._left.append, (free, handle)).atexit = False

    def tidy(self) -> None:
        """Free what nothing uses any more."""
        while self._left:
            free, handle = self._left.pop()
            free(handle)

    def upload(self, address: int, array: np.ndarray) -> None:
        """A contiguous array to the device, in the stream's order; keep it until `synchronize`."""
        if array.nbytes:
            source = ctypes.c_void_p(array.ctypes.data)
            size = ctypes.c_size_t(array.nbytes)
            self._call("cuMemcpyHtoDAsync_v2", ctypes.c_uint64(address), source, size, self._stream)

    def download(self, array: np.ndarray, address: int) -> None:
        """Memory of the device to a contiguous array, complete after `synchronize`."""
        if array.nbytes:
            target = ctypes.c_void_p(array.ctypes.data)
            size = ctypes.c_size_t(array.nbytes)
            self._call("cuMemcpyDtoHAsync_v2", target, ctypes.c_uint64(address), size, self._stream)

    def fetch(self, array: np.ndarray, address: int) -> None:
        """As `download`, from any thread and complete when this returns."""
        with self._quiet:
            self.use()
            self.download(array, address)
            self.synchronize()

    def copy(self, target: int, source: int, nbytes: int) -> None:
        """From device to device, in the stream's order."""
        if nbytes:
            addresses = ctypes.c_uint64(target), ctypes.c_uint64(source)
            self._call("cuMemcpyDtoDAsync_v2", *addresses, ctypes.c_size_t(nbytes), self._stream)

    @property
    def stream(self) -> int:
        """The stream's handle, for other libraries."""
        return self._stream.value or 0

    def wait_for(self, stream: int) -> None:
        """What comes into our stream next waits for what another one has (1: the legacy default stream, 2: the calling
        thread's), without the host."""
        with self._event(NO_TIMING) as event:
            self._call("cuEventRecord", event, ctypes.c_void_p(stream))
            self._call("cuStreamWaitEvent", self._stream, event, ctypes.c_uint(0))

    def owner_of(self, address: int) -> int | None:
        """The number of the GPU in whose memory an address lies; None where it lies in none's."""
        found = ctypes.c_int()
        given = ctypes.c_int(POINTER_DEVICE), ctypes.c_uint64(address)
        status = self._cuda.cuPointerGetAttribute(ctypes.byref(found), *given)
        return found.value if status == SUCCESS else None

    def function(self, cubin: bytes, symbol: str, shared: int = 0) -> Any:
        """The kernel `symbol` of a cubin, loaded into the context for good; its blocks may have `shared` bytes of
        dynamic shared memory."""
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(cubin))
        self._call("cuModuleGetFunction", ctypes.byref(function), module, ctypes.c_char_p(symbol.encode()))
        if shared > SHARED:
            self._call("cuFuncSetAttribute", function, MAX_DYNAMIC_SHARED, ctypes.c_int(shared))
        return function

    def launch(self, function: Any, blocks: int, threads: int, arguments: Sequence[int], shared: int = 0) -> None:
        """Start a kernel with 64-bit arguments (sizes and addresses) and `shared` bytes of dynamic shared memory."""
        values = (ctypes.c_int64 * max(len(arguments), 1))(*arguments)
        base = ctypes.addressof(values)
        places = (ctypes.c_void_p * max(len(arguments), 1))(*(base + 8 * i for i in range(len(arguments))))
        grid = [ctypes.c_uint(n) for n in (blocks, 1, 1, threads, 1, 1, shared)]
        self._call("cuLaunchKernel", function, *grid, self._stream, places, ctypes.c_void_p())

    def capture(self, record: Callable[[], None]) -> Any:
        """What `record` launches, as a graph to `replay`; nothing runs yet."""
        graph, runnable = ctypes.c_void_p(), ctypes.c_void_p()
        with self._quiet:
            self._call("cuStreamBeginCapture_v2", self._stream, CAPTURE_THREAD_LOCAL)
            try:
                record()
            finally:
                status = self._cuda.cuStreamEndCapture(self._stream, ctypes.byref(graph))
        self._check("cuStreamEndCapture", status)
        self._call("cuGraphInstantiateWithFlags", ctypes.byref(runnable), graph, ctypes.c_uint64(0))
        self._call("cuGraphDestroy", graph)
        return runnable

    def replay(self, graph: Any) -> None:
        """Run a graph, in the stream's order."""
        self._call("cuGraphLaunch", graph, self._stream)

    def forget(self, graph: Any) -> None:
        """Free a graph."""
        self._call("cuGraphExecDestroy", graph)

    def synchronize(self) -> None:
        """Wait for the stream; an error of a kernel comes out here."""
        self._call("cuStreamSynchronize", self._stream)

    def seconds(self, run: Callable[[], None]) -> float:
        """What the device takes for all that `run` puts into the stream; waits for it."""
        with self._event() as start, self._event() as end:
            self._call("cuEventRecord", start, self._stream)
            run()
            self._call("cuEventRecord", end, self._stream)
            self._call("cuEventSynchronize", end)
            elapsed = ctypes.c_float()
            self._call("cuEventElapsedTime", ctypes.byref(elapsed), start, end)
        return elapsed.value / 1e3  # it tells milliseconds

    @contextmanager
    def _event(self, flags: int = 0) -> Iterator[ctypes.c_void_p]:
        """A place in streams, of which others tell the time or for which they wait; freed in the end."""
        event = ctypes.c_void_p()
        self._call("cuEventCreate", ctypes.byref(event), ctypes.c_uint(flags))
        try:
            yield event
        finally:
            self._call("cuEventDestroy_v2", event)

    def _attribute(self, which: int, device: ctypes.c_int) -> int:
        found = ctypes.c_int()
        self._call("cuDeviceGetAttribute", ctypes.byref(found), which, device)
        return found.value

    def _call(self, name: str, *args: Any) -> None:
        self._check(name, getattr(self._cuda, name)(*args))

    def _check(self, name: str, status: int) -> None:
        if status != SUCCESS:
            raise CudaError(f"GPU {self.index}: {name.removesuffix('_v2')} failed: {_describe(self._cuda, status)}")


class Memory:
    """New memory on a GPU at `address`, freed once nothing holds this."""

    def __init__(self, gpu: Gpu, nbytes: int) -> None:
        self.address = gpu.allocate(nbytes)
        gpu.with_end_of(self, gpu.free, self.address)
