"""Where a result comes from: the processor, its cores, the versions of everything that is compared."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..compiler.targets.cpu.machine import target

PACKAGES = (
    "kernelwright",
    "numba",
    "llvmlite",
    "numpy",
    "torch",
    "jax",
    "jaxlib",
    "onnxruntime",
    "pytensor",
    "tinygrad",
)


def describe(more: Sequence[str] = ()) -> dict[str, Any]:
    """The machine and the versions, of these packages too, as plain data."""
    versions = {}
    for name in (*PACKAGES, *more):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "processor": _processor(),
        "cpu": target().cpu,
        "vector_bytes": target().vector_bytes,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
    }


def _processor() -> str:
    """The processor's name as the kernel tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.processor()
