"""Programs of many seeds compared with PyTorch: `python tests/fuzz/against_torch.py 0 2000` prints what differs.

`--store FILE SEEDS` writes what PyTorch gives for the seeds that the tests use, as projections. A difference is larger
than what a change of the inputs in their last places makes of PyTorch's own result.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

import kernelwright as kw

sys.path.insert(0, str(Path(__file__).parent))
from twins import Twins, outputs, projections, their_outputs, twins


def allowed(seed: int, torch: Any, want: list[np.ndarray], step: float) -> list[np.ndarray]:
    """How far each result may be from PyTorch's: what moving the inputs by parts of `step` changes, ten times."""
    bounds = [step * 10 * np.max(np.abs(w), initial=1e-3, where=np.isfinite(w)) for w in want]
    for trial in range(3):
        moved = _moved(seed, torch, step, trial)
        for i, (m, w) in enumerate(zip(their_outputs(moved), want)):
            finite = np.isfinite(m) & np.isfinite(w)
            bounds[i] = np.maximum(bounds[i], 10 * np.max(np.abs(m - w), initial=0.0, where=finite))
    return bounds


def _moved(seed: int, torch: Any, step: float, trial: int) -> Twins:
    """The same program on inputs that are moved a little."""
    rng = np.random.default_rng(trial)

    class Moved:
        def __getattr__(self, name: str) -> Any:
            return getattr(torch, name)

        @staticmethod
        def tensor(array: np.ndarray, requires_grad: bool) -> Any:
            if requires_grad:
                array = (array * (1 + step * rng.uniform(-1, 1, array.shape))).astype(array.dtype)
            return torch.tensor(array, requires_grad=requires_grad)

    return twins(seed, Moved())


def differences(seed: int, torch: Any, threads: int = 2) -> list[str]:
    """What differs in the program of a seed; empty where nothing does."""
    t = twins(seed, torch)
    with np.errstate(all="ignore"):
        want = their_outputs(t)
        got = kw.compile([v.ours for v in t.inputs], outputs(t), threads=threads).run(t.arrays)
        if t.kind == "integers":
            bounds: list[Any] = [0] * len(want)
        elif t.kind == "extreme":
            bounds = [1e-12 * np.abs(np.where(np.isfinite(w), w, 0)) + 5e-324 for w in want]
        else:
            bounds = allowed(seed, torch, want, 1e-6 if t.kind == "graph32" else 1e-12)
    if t.kind == "extreme":  # a gradient can exist where a factor of PyTorch's is infinite
        pairs = zip(got[t.results :], want[t.results :])
        want[t.results :] = [np.where(np.isfinite(w), w, g) for g, w in pairs]
    out = []
    for i, (g, w, bound) in enumerate(zip(got, want, bounds, strict=True)):
        if g.shape != w.shape:
            out.append(f"result {i}: shape {g.shape}, PyTorch {w.shape}")
            continue
        with np.errstate(all="ignore"):
            same = (g == w) | (np.isnan(g) & np.isnan(w)) | (np.abs(g - w) <= bound) if g.dtype.kind == "f" else g == w
        if not np.all(same):
            at = tuple(int(p[0]) for p in np.nonzero(~same))
            out.append(f"result {i}{at}: {g[at]!r}, PyTorch {w[at]!r}, allowed {np.max(bound):.3g}")
    return [f"{t.kind} batch {t.batch} {t.made}", *out] if out else []


def main() -> None:
    """Print every seed whose program differs, and how many there were."""
    import torch

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--store", type=Path)
    asked = parser.parse_args()
    if asked.store:
        stored = {}
        for seed in range(asked.first, asked.last):
            found = their_outputs(twins(seed, torch))
            bound = [float(np.max(b, initial=0)) for b in allowed(seed, torch, found, 1e-6 if seed % 6 == 2 else 1e-12)]
            stored[seed] = {"shapes": [w.shape for w in found], "sums": list(projections(found)), "allowed": bound}
        asked.store.write_text(json.dumps(stored))
        return
    wrong = 0
    for seed in range(asked.first, asked.last):
        try:
            found = differences(seed, torch)
        except Exception:
            found = [f"{twins(seed).kind} {twins(seed).made}", traceback.format_exc(limit=-3)]
        if found:
            wrong += 1
            print(f"seed {seed}:", "\n  ".join(found), flush=True)
        if (seed + 1) % 100 == 0:
            print(f"{seed + 1 - asked.first} programs, {wrong} differ", file=sys.stderr, flush=True)
    print(f"{asked.last - asked.first} programs, {wrong} differ")


if __name__ == "__main__":
    main()
