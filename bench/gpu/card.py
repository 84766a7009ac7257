"""The part `card`: which GPU, driver and versions. Leans on the runtime's driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...compiler.targets.cuda import compiled
from ...runtime.cuda import absent
from .. import machine
from ..contenders import BenchError

MORE = ("numba-cuda", "cuda-core", "cuda-bindings", "nvidia-nvjitlink", "nvidia-nvvm")


def run(case: str, say: Callable[[dict[str, Any]], None]) -> None:
    """One row: the card. Raises BenchError where there is none to use."""
    missing = absent(0)
    if missing:
        raise BenchError(f"measuring needs {missing}; --prepare, --predict and --render do without")
    gpu = compiled.driver(0)
    about = machine.describe(MORE)
    arch = "sm_{}{}".format(*gpu.arch)
    say({"card": gpu.name, "arch": arch, "cuda": "{}.{}".format(*gpu.version), "machine": about})
