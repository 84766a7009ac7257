"""Time and memory of starts: a new process to a compiled training step, kernel cache empty and then warm.

    python -m kernelwright.bench.starts [FOLDER]

Each in a process of its own; seconds include the import and the making of variables, and are also given as those of
the processors, which a shared machine disturbs less (helpers that compile are not among those). A thread draws first
weights meanwhile; what is left of that falls to the first step, whose seconds are given apart. Writes
`<date>-starts.json` to the `results` of `benchmarks`, or of FOLDER.
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

CASES = (
    ("lenet5", 128),
    ("resnet50", 8),
    ("resnet110", 8),
    ("resnet152", 8),
    ("googlenet", 8),
    ("inception_v3", 8),
    ("resnet1202", 8),
)
SCRIPT = """
import time
started = time.perf_counter()
import json, resource, sys
import kernelwright as kw
network, batch = {network!r}, {batch}
imported = time.perf_counter()
model = kw.models.build(network)
images, labels = model.images(), kw.input("labels", (None,), "int32")
loss = kw.cross_entropy(model(images, training=True), labels)
parameters = model.parameters()
optimizer = kw.optim.SGD(0.01, momentum=0.9)
updates = {{**model.net.updates(), **optimizer.updates(parameters, kw.grad(loss, parameters))}}
traced = time.perf_counter()
program = kw.compile([images, labels], loss, updates, typical={{"batch": batch}})
done = time.perf_counter()
result = {{"network": network, "batch": batch, "import": imported - started, "graph": traced - imported,
          "compile": done - traced, "total": done - started, "processor": time.process_time(),
          "kernels": len(program.kernels), "distinct": len({{k.key for k in program.kernels}})}}
import numpy as np
images, labels = np.zeros((batch, *model.input_shape), "float32"), np.zeros(batch, "int32")
ready = time.perf_counter()
program(images, labels)
result["first_step"] = time.perf_counter() - ready
result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(result))
"""


def main() -> None:
    rows = []
    for network, batch in CASES:
        with tempfile.TemporaryDirectory() as cache:
            env = {**os.environ, "KERNELWRIGHT_CACHE": cache}
            code = SCRIPT.format(network=network, batch=batch)
            for start in ("cold", "warm"):
                done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
                rows.append({"start": start, **json.loads(done.stdout)})
                print(rows[-1], flush=True)
    today = datetime.date.today().isoformat()
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "benchmarks") / "results"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{today}-starts.json"
    command = " ".join(["python -m kernelwright.bench.starts", *sys.argv[1:]])
    outcome = {"date": today, "command": command, "machine": machine.describe(), "rows": rows}
    path.write_text(json.dumps(outcome, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
