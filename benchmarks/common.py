"""What every benchmark records: the machine, versions, date and command; and where results go."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("numba", "llvmlite", "numpy", "torch", "jax")


def machine() -> dict[str, Any]:
    """The processor, its cores, and the versions of what is compared."""
    from kernelwright.compiler.codegen.target import target

    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {"cpu": target().cpu, "vector_bytes": target().vector_bytes, "cores": os.cpu_count(),
            "system": platform.platform(), "python": platform.python_version(), "versions": versions}  # fmt: skip


def quartiles(values: list[float]) -> dict[str, float]:
    """min, lower quartile, median, upper quartile, max."""
    low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
    return {"min": min(values), "q1": low, "median": statistics.median(values), "q3": high, "max": max(values)}


def save(name: str, outcome: dict[str, Any]) -> Path:
    """Write `outcome` with date and command to `results/<date>-<name>.json`."""
    today = datetime.date.today().isoformat()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{today}-{name}.json"
    command = " ".join(["python", "benchmarks/" + Path(sys.argv[0]).name, *sys.argv[1:]])
    path.write_text(json.dumps({"date": today, "command": command, **outcome}, indent=1) + "\n")
    return path
