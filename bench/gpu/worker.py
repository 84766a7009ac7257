"""One part in a process of its own: `python -m kernelwright.bench.gpu.worker KIND [CASE]`.

Each row is a line of JSON on standard output, written as soon as it is known; whatever else prints goes to standard
error. Leans on `parts`.
"""

from __future__ import annotations

import faulthandler
import json
import math
import os
import sys
import traceback
from typing import Any

from . import parts


def main() -> None:
    """The command. An error ends the process, its message in one line last on standard error."""
    faulthandler.enable()
    kind, case = sys.argv[1], " ".join(sys.argv[2:])
    reply = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(row: dict[str, Any]) -> None:
        reply.write(json.dumps(_plain(row), allow_nan=False) + "\n")
        reply.flush()

    try:
        getattr(parts.module(kind), parts.KINDS[kind].function)(case, say)
    except Exception as error:
        traceback.print_exc(limit=-3)
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None


def _plain(value: Any) -> Any:
    """None for numbers that JSON does not have: NaN and infinities."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    main()
