"""`kernelwright.bench.gpu.worker` on the stand-in for the driver, at small sizes and without PyTorch; and parts that
end badly. A test gives it to `session` in place of the worker."""

import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "cuda"))
sys.modules["torch"] = None
kind = sys.argv[1]
if kind in ("hangs", "dies"):
    print('{"what": "before"}', flush=True)
    print('{"what": "half', end="", flush=True)
    time.sleep(60 if kind == "hangs" else 0)
    os.kill(os.getpid(), signal.SIGKILL)

from standin import Library, image  # noqa: E402

from kernelwright.bench.gpu import card, ceilings, check_contractions, check_training, launches, parts, worker  # noqa: E402
from kernelwright.compiler.targets.cuda import compiled  # noqa: E402
from kernelwright.runtime.cuda import Gpu  # noqa: E402

gpu = Gpu(0, Library())
compiled.driver = lambda index: gpu
card.absent = lambda index: os.environ.get("STANDIN_ABSENT", "")
compiled.cubins = lambda kernels, arch: dict(image(k, arch) for k in kernels)
ceilings.ELEMENTS, ceilings.SIDES = 64, (8,)
check_contractions.PRODUCTS = ((20, 17, 24), (33, 18, 16))
check_contractions.CONVOLUTIONS = [((1, 16, 4, 5), (16, 16, 3, 3), {"stride": stride, "pad": 1}) for stride in (1, 2)]
check_contractions.REDUCED = ((5, 40), (40, 33))
check_training.BATCHES["playground"], parts.NETWORKS["playground"] = 3, (10,)
launches.TURNS, launches.CALLS = 20, 3
worker.main()
