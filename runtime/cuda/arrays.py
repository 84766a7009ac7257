"""Arrays on a GPU: results that stay there (`DeviceArray`), and arrays of other libraries, read where they lie.

Both ways go through DLPack and version 3 of the CUDA array interface
(https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html). Leans on `driver` and `dlpack`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, NoReturn

import numpy as np

from . import dlpack
from .driver import Gpu, Memory

INTERFACE = 3
"""The first version of the CUDA array interface that names a stream."""


class DeviceArray:
    """A program's result on GPU `device`, complete when the call that made it returns. It owns its memory, which is
    freed when neither it nor what another library made of it is left.

    shape: sizes. dtype: the element type's name. `torch.from_dlpack(array)`, `cupy.asarray(array)` and programs on the
    same GPU take it without a copy to the host; `numpy()` fetches it.
    """

    def __init__(self, driver: Gpu, memory: Memory, shape: tuple[int, ...], dtype: str) -> None:
        self.shape, self.dtype = shape, dtype
        self._driver, self._memory = driver, memory
        self._stored = np.dtype("uint16" if dtype == "bfloat16" else dtype)

    def named(self, dtype: str) -> DeviceArray:
        """The same memory as elements of `dtype`, which is bfloat16 where these are its words."""
        return DeviceArray(self._driver, self._memory, self.shape, dtype)

    def __repr__(self) -> str:
        return f"<DeviceArray of shape {self.shape}, {self.dtype}, on {self.device}>"

    @property
    def device(self) -> str:
        """As `kw.compile` names it: cuda:0."""
        return f"cuda:{self._driver.index}"

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self._stored.itemsize

    def numpy(self) -> np.ndarray:
        """A copy on the host; bfloat16 as uint16 words. Raises CudaError where the GPU has failed."""
        array = np.empty(self.shape, self._stored)
        self._driver.fetch(array, self._memory.address)
        return array

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        raise TypeError(f"{self!r} is not in the host's memory; its method numpy() copies it there")

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """bfloat16, which the interface has no name for, as uint16 words."""
        place = {"data": (self._memory.address, False), "strides": None, "stream": None}
        return {"version": INTERFACE, "shape": self.shape, "typestr": self._stored.str, **place}

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CUDA, self._driver.index

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """As the array API standard has it. stream: nothing has to wait, the array is complete. dl_device: this GPU,
        or the CPU, which is a copy. Raises BufferError for other devices and for a copy on the GPU."""
        if dl_device is not None and tuple(dl_device) == (dlpack.CPU, 0) and copy is not False:
            host = self.numpy()
            return dlpack.capsule(host, host.ctypes.data, self.shape, self.dtype, (dlpack.CPU, 0))
        if copy or (dl_device is not None and tuple(dl_device) != self.__dlpack_device__()):
            where = f"device {tuple(dl_device)}" if dl_device is not None else "a copy"
            raise BufferError(f"{self!r} is given as it lies, or as a copy on the CPU, not as {where} (copy={copy})")
        return dlpack.capsule(self._memory, self._memory.address, self.shape, self.dtype, self.__dlpack_device__())


@dataclass(frozen=True)
class OnDevice:
    """What a run reads on its GPU, contiguous at `address`; `owner` keeps it there."""

    address: int
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    owner: object


def on_gpu(value: Any) -> bool:
    """Whether an object says that its elements lie in a GPU's memory."""
    if isinstance(value, np.ndarray):
        return False
    if hasattr(value, "__dlpack_device__") and hasattr(value, "__dlpack__"):
        return value.__dlpack_device__()[0] in (dlpack.CUDA, dlpack.CUDA_MANAGED)
    return hasattr(value, "__cuda_array_interface__")


def taken(value: Any, driver: Gpu) -> OnDevice:
    """An array on the driver's GPU as a run reads it; what comes into the GPU's stream next finds it complete. The
    caller has the GPU's turn. Raises BufferError for one that lies elsewhere, or not as C has it, or cannot be given.
    """
    driver.use()
    owner, found = _by_dlpack(value, driver) if hasattr(value, "__dlpack__") else _by_interface(value, driver)
    said = f"got {found.dtype} of shape {found.shape} on GPU {found.device[1]}"
    if found.device[1] != driver.index:
        raise BufferError(
            f"{said}, but the program runs on GPU {driver.index}; move it with .to('cuda:{driver.index}'), or compile "
            f"for device 'cuda:{found.device[1]}'"
        )
    if not found.contiguous:
        raise BufferError(
            f"{said} with the strides {found.strides} (bytes), but elements have to follow each other in C's order; "
            "give .contiguous() of a PyTorch tensor, cupy.ascontiguousarray of a CuPy array"
        )
    return OnDevice(found.address, found.shape, found.dtype, found.nbytes, owner)


def _by_dlpack(value: Any, driver: Gpu) -> tuple[object, dlpack.Described]:
    _, number = value.__dlpack_device__()
    if number != driver.index:  # its stream is another GPU's: it is not asked to wait
        shape = tuple(getattr(value, "shape", ()))
        return value, dlpack.Described(0, shape, (), str(getattr(value, "dtype", "")), 0, (dlpack.CUDA, number))
    capsule = dlpack.asked(value, driver.stream)
    return (capsule, value), dlpack.described(capsule)


def _by_interface(value: Any, driver: Gpu) -> tuple[object, dlpack.Described]:
    said = value.__cuda_array_interface__
    if said["version"] < INTERFACE:
        raise BufferError(
            f"version {said['version']} of __cuda_array_interface__ does not say which stream writes the array; give "
            f"an object with version {INTERFACE}, or with __dlpack__"
        )
    if said.get("mask") is not None:
        raise BufferError("masked arrays on a GPU are not taken; give the values, and the mask as another input")
    dtype, shape, address = np.dtype(said["typestr"]), tuple(said["shape"]), said["data"][0] or 0
    strides = said.get("strides")
    number = driver.owner_of(address) if prod(shape) else driver.index
    if number is None:
        raise BufferError(f"its address {address:#x} is not in the memory of a GPU")
    if number == driver.index and said.get("stream") is not None:
        driver.wait_for(said["stream"])
    name = dtype.name if dtype.isnative else f"{dtype.name} in another byte order"
    strides = dlpack.row_major(shape, dtype.itemsize) if strides is None else tuple(strides)
    return value, dlpack.Described(address, shape, strides, name, dtype.itemsize, (dlpack.CUDA, number))
