"""Everything there is to know of a GPU, in one command for whoever has one for some minutes.

    python -m kernelwright.bench.gpu [--only PART[:WORD...],...] [--minutes N] [--folder benchmarks]
    python -m kernelwright.bench.gpu --prepare sm_90
    python -m kernelwright.bench.gpu --predict sm_90
    python -m kernelwright.bench.gpu --render | --join

Writes `results/<date>-<time>-gpu.json` and `gpu.md` in the folder. Parts run in order of importance, each in a process
of its own with a time limit, until the minutes are over; some build at once, one measures at a time.
`--only networks:resnet50,torch:resnet50:tf32` chooses cases by their words. It needs the extra `cuda` and an NVIDIA
GPU, and PyTorch to compare with where it is installed. --prepare needs the extra alone: it compiles all kernels into
the kernel cache (the folder of KERNELWRIGHT_CACHE), which a session elsewhere then starts from.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ...runtime.errors import KernelwrightError
from . import page, predict, session
from .parts import KINDS, planned
from .prepare import prepare

TORCH = ("torch", "compiled")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command. Raises BenchError for parts that there are not, and where nothing can be measured."""
    parser = argparse.ArgumentParser(
        prog="python -m kernelwright.bench.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="parts:\n" + "\n".join(f"  {name}: {kind.what}" for name, kind in KINDS.items()),
    )
    parser.add_argument("--only", default="", metavar="PART[:WORD...],...", help="These; default: all.")
    parser.add_argument("--minutes", type=float, default=15, help="For all parts together (default: 15).")
    parser.add_argument("--folder", type=Path, default=Path("benchmarks"), help="Where results/ and gpu.md are.")
    parser.add_argument("--prepare", metavar="ARCH", help="Only compile all kernels for sm_80, sm_90, ...")
    parser.add_argument("--predict", metavar="ARCH", help="Only say what networks should take on a card of this kind.")
    parser.add_argument("--render", action="store_true", help="Only write gpu.md again.")
    parser.add_argument("--at-once", type=int, metavar="N", help="Parts that build at once (default: by cores).")
    parser.add_argument("--join", action="store_true", help="Only add the day's earlier sessions to the newest file.")
    given = parser.parse_args(arguments)
    if given.join:
        print(page.join(given.folder))
    if given.render or given.join:
        print(page.write(given.folder))
        return
    only = [name.strip() for name in given.only.split(",") if name.strip()]
    parts = [part for part in planned(only) if part.kind not in TORCH or find_spec("torch") is not None]
    if given.prepare:
        prepare(parts, given.prepare)
        return
    if given.predict:
        rows = predict.predictions(parts, given.predict)
        print(predict.shown(rows, page.newest(given.folder)))
        return
    command = " ".join(["python -m kernelwright.bench.gpu", *(sys.argv[1:] if arguments is None else arguments)])
    signal.signal(signal.SIGTERM, _stop)  # so that a limit of time on the whole ends the parts too
    print(session.hold(parts, given.minutes, command, given.folder, at_once=given.at_once))


def _stop(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    try:
        main()
    except (KernelwrightError, OSError) as error:
        print(f"{' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None
