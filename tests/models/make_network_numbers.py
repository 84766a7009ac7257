"""Writes `network_numbers.json`: outputs and gradients of every network's second definition, in PyTorch and float64.

    python tests/models/make_network_numbers.py [NAME...]

Weights, images and what is differentiated are those of `agreement.problem`, from seed 0. Without names, all cases of
`network_cases`; with names, these are added or replaced.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from agreement import problem, theirs
from network_cases import CASES, kept

PATH = Path(__file__).with_name("network_numbers.json")


def main(names: list[str]) -> None:
    found = json.loads(PATH.read_text()) if names and PATH.exists() else {}
    for case in CASES:
        if names and case.name not in names:
            continue
        model = case.build()
        image, weight = problem(model, case.batch)
        model(model.images(), case.training)
        found[case.name] = kept(model, theirs(model, case.theirs(), image, weight, case.training), case.training)
        print(case.name, f"{found[case.name]['total']:.6g}", flush=True)
    lines = (f" {json.dumps(name)}: {json.dumps(found[name])}" for name in sorted(found))
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
