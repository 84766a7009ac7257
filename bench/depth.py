"""Compile time by depth: chains of dense layers and residual nets, forward, backward and SGD.

    python -m kernelwright.bench.depth [FOLDER]

Each in a new process with an empty kernel cache; writes `<date>-depth.json` to the `results` of `benchmarks`, or of
FOLDER.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from . import machine

CASES = [("chain", n) for n in (10, 100, 300, 1000)] + [("residual", n) for n in (50, 250, 500)]
SCRIPT = """
import json, time, numpy as np, kernelwright as kw
kind, depth = {kind!r}, {depth}
rng = np.random.default_rng(0)
started = time.perf_counter()
x, t = kw.input("x", (None, 16)), kw.input("t", (None,), "int32")
h, parameters = x, []
for i in range(depth):
    w = kw.variable(f"w{{i}}", (rng.normal(size=(16, 16)) / (4 if kind == "chain" else 40)).astype("float32"))
    parameters.append(w)
    h = kw.tanh(h @ w) if kind == "chain" else h + kw.relu(h @ w)
loss = kw.losses.cross_entropy(h, t)
updates = {{p: p - 0.01 * g for p, g in zip(parameters, kw.grad(loss, parameters))}}
built = time.perf_counter()
program = kw.compile([x, t], loss, updates)
done = time.perf_counter()
program(np.zeros((8, 16), "float32"), np.zeros(8, "int32"))
print(json.dumps({{"kind": kind, "depth": depth, "graph": built - started, "compile": done - built,
                   "kernels": len(program.kernels), "distinct": len({{k.key for k in program.kernels}})}}))
"""


def main() -> None:
    rows = []
    for kind, depth in CASES:
        with tempfile.TemporaryDirectory() as cache:
            env = {**os.environ, "KERNELWRIGHT_CACHE": cache}
            code = SCRIPT.format(kind=kind, depth=depth)
            done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout))
        print(rows[-1], flush=True)
    today = datetime.date.today().isoformat()
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "benchmarks") / "results"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{today}-depth.json"
    command = " ".join(["python -m kernelwright.bench.depth", *sys.argv[1:]])
    outcome = {"date": today, "command": command, "machine": machine.describe(), "rows": rows}
    path.write_text(json.dumps(outcome, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
