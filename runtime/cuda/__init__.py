"""What executes CUDA programs: the driver, memory on the device, and steps as CUDA graphs.

Leans on NVIDIA's driver through ctypes and on nothing that compiles: a process whose kernels are in the cache needs
no package of the extra `cuda`.
"""

from .arrays import DeviceArray, OnDevice, on_gpu, taken
from .driver import Gpu, absent
from .executable import CudaExecutable

__all__ = ["CudaExecutable", "DeviceArray", "Gpu", "OnDevice", "absent", "on_gpu", "taken"]
