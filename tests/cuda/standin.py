"""A stand-in for libcuda: the driver's functions over the host's memory, whose "cubins" are kernel source.

It takes the same ctypes arguments as the library and runs launches in lockstep, so that layouts, argument order,
graphs and steps of the runtime are tested. It is no evidence of how the real driver behaves.
"""

import ctypes
import json
from functools import cached_property
from types import SimpleNamespace

import numpy as np

from kernelwright.compiler.targets.cuda import compiled, lockstep
from kernelwright.runtime.cuda import Gpu

INVALID_VALUE, OUT_OF_MEMORY, INVALID_IMAGE = 1, 2, 200


def image(kernel, arch):
    """(key, "cubin") of a kernel for the stand-in."""
    key = compiled.kernel_key(kernel, arch)
    source = {"text": kernel.source.text, "kinds": kernel.source.kinds, "symbol": f"kw_{key}"}
    return key, json.dumps(source).encode()


def on(library, inputs, outputs, updates=None):
    """The program on a GPU whose driver is `library`."""
    outputs = outputs if isinstance(outputs, list) else [outputs]
    return compiled.CudaCompiled(inputs, outputs, updates or {}, device=library.gpu)


def put(reference, value):
    reference._obj.value = value
    return 0


class Library:
    """`cuMemAlloc_v2` and the others; `log` has the names of the calls in order."""

    def __init__(self, memory=1 << 28, devices=1):
        self.log, self.room, self.devices = [], memory, devices
        self.blocks, self.modules, self.graphs = {}, {}, {}
        self.recording = None
        self.launched, self.events, self.allowed = 0, {}, {}
        self.recorded, self.waited = {}, []  # by event, the stream it was recorded in; those that ours waited for

    @cached_property
    def gpu(self):
        """The one handle of GPU 0, as a process has it."""
        return Gpu(0, self)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        function = getattr(type(self), "_" + name)

        def call(*args):
            self.log.append(name)
            return function(self, *args)

        return call

    def _cuInit(self, flags):
        return 0

    def _cuDeviceGetCount(self, count):
        return put(count, self.devices)

    def _cuDeviceGet(self, device, index):
        return put(device, index)

    def _cuDevicePrimaryCtxRetain(self, context, device):
        return put(context, 0xC0)

    def _cuCtxSetCurrent(self, context):
        return 0 if context.value == 0xC0 else INVALID_VALUE

    def _cuStreamCreate(self, stream, flags):
        return put(stream, 0x51)

    def _cuDeviceGetAttribute(self, value, which, device):
        return put(value, {75: 9, 76: 0}[which])

    def _cuGetErrorName(self, status, name):
        return put(name, {1: b"CUDA_ERROR_INVALID_VALUE", 200: b"CUDA_ERROR_INVALID_IMAGE"}.get(status, b"CUDA_ERROR"))

    def _cuDeviceGetName(self, text, size, device):
        text.value = b"Stand-in"
        return 0

    def _cuDriverGetVersion(self, version):
        return put(version, 13000)

    def _cuMemAlloc_v2(self, address, size):
        if size.value > self.room - sum(map(len, self.blocks.values())):
            return OUT_OF_MEMORY
        raw = np.full(size.value + 256, 0xCD, np.uint8)
        start = -raw.ctypes.data % 256
        block = raw[start : start + size.value]
        self.blocks[block.ctypes.data] = block
        return put(address, block.ctypes.data)

    def _cuMemFree_v2(self, address):
        return 0 if self.blocks.pop(address.value, None) is not None else INVALID_VALUE

    def _cuMemGetInfo_v2(self, free, total):
        put(total, self.room)
        return put(free, self.room - sum(map(len, self.blocks.values())))

    def inside(self, address, size):
        return any(start <= address and address + size <= start + len(b) for start, b in self.blocks.items())

    def move(self, target, source, size, *owned):
        if self.recording is not None or not all(self.inside(a, size) for a in owned):
            return INVALID_VALUE
        ctypes.memmove(target, source, size)
        return 0

    def _cuMemcpyHtoDAsync_v2(self, target, source, size, stream):
        return self.move(target.value, source.value, size.value, target.value)

    def _cuMemcpyDtoHAsync_v2(self, target, source, size, stream):
        return self.move(target.value, source.value, size.value, source.value)

    def _cuMemcpyDtoDAsync_v2(self, target, source, size, stream):
        return self.move(target.value, source.value, size.value, target.value, source.value)

    def _cuModuleLoadData(self, module, image):
        try:
            found = json.loads(image.value)
        except ValueError:
            return INVALID_IMAGE
        self.modules[len(self.modules) + 1] = SimpleNamespace(**found)
        return put(module, len(self.modules))

    def _cuModuleGetFunction(self, function, module, symbol):
        found = self.modules[module.value]
        return put(function, module.value) if found.symbol == symbol.value.decode() else INVALID_VALUE

    def _cuFuncSetAttribute(self, function, attribute, value):
        if attribute != 8 or value.value > 227 << 10:
            return INVALID_VALUE
        self.allowed[function.value] = value.value
        return 0

    def _cuLaunchKernel(self, function, gx, gy, gz, bx, by, bz, shared, stream, places, extra):
        if not gx.value or (gy.value, gz.value, by.value, bz.value) != (1, 1, 1, 1):
            return INVALID_VALUE
        if shared.value > self.allowed.get(function.value, 48 << 10):
            return INVALID_VALUE
        kinds = self.modules[function.value].kinds
        values = [ctypes.c_int64.from_address(places[i]).value for i in range(len(kinds))]
        launch = (function.value, gx.value, bx.value, values)
        if self.recording is None:
            return self.start(*launch)
        self.recording.append(launch)
        return 0

    def start(self, function, blocks, threads, values):
        module = self.modules[function]
        self.launched += 1
        given = [self.view(v, k) if "*" in k else v for v, k in zip(values, module.kinds)]
        lockstep.run(module.text, threads, blocks, given, at=lambda a, kind: self.view(a, kind + "*"))
        return 0

    def view(self, address, kind):
        """The rest of the allocation that `address` lies in."""
        dtype = np.dtype(kind.rstrip("*?"))
        boundary = dtype.itemsize if kind.endswith("?") else 16
        for start, block in self.blocks.items():
            if start <= address < start + len(block) and address % boundary == 0:
                rest = block[address - start :]
                return rest[: rest.size // dtype.itemsize * dtype.itemsize].view(dtype)
        raise AssertionError(f"address {address:#x} is not memory of the device on a boundary of {boundary} bytes")

    def _cuStreamBeginCapture_v2(self, stream, mode):
        self.recording = []
        return 0

    def _cuStreamEndCapture(self, stream, graph):
        self.graphs[len(self.graphs) + 1] = self.recording
        self.recording = None
        return put(graph, len(self.graphs))

    def _cuGraphInstantiateWithFlags(self, runnable, graph, flags):
        return put(runnable, graph.value)

    def _cuGraphDestroy(self, graph):
        return 0

    def _cuGraphExecDestroy(self, graph):
        return 0 if self.graphs.pop(graph.value, None) is not None else INVALID_VALUE

    def _cuGraphLaunch(self, graph, stream):
        for launch in self.graphs[graph.value]:
            self.start(*launch)
        return 0

    def _cuStreamSynchronize(self, stream):
        return 0

    def _cuEventCreate(self, event, flags):
        self.events[number := len(self.events) + 1] = None
        return put(event, number)

    def _cuEventRecord(self, event, stream):
        if self.recording is not None:
            return INVALID_VALUE
        self.events[event.value], self.recorded[event.value] = self.launched, stream.value
        return 0

    def _cuStreamWaitEvent(self, stream, event, flags):
        if self.recording is not None or stream.value != 0x51 or event.value not in self.recorded:
            return INVALID_VALUE
        self.waited.append(self.recorded[event.value])
        return 0

    def _cuPointerGetAttribute(self, value, which, address):
        return put(value, 0) if which.value == 9 and self.inside(address.value, 1) else INVALID_VALUE

    def _cuEventSynchronize(self, event):
        return 0

    def _cuEventElapsedTime(self, milliseconds, start, end):
        """Every kernel takes a millisecond."""
        return put(milliseconds, float(self.events[end.value] - self.events[start.value]))

    def _cuEventDestroy_v2(self, event):
        self.events[event.value] = None
        return 0
