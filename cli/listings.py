"""The commands `kernelwright models` and `kernelwright cache`: what there is.

Leans on typer; everything that takes time to import is imported by the command. `app` adds them.
"""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Json, write_json


def models(json_file: Json = None) -> None:
    """List the networks."""
    from ..compiler.targets.shared.inspect import grid
    from ..models import build, names
    from ..models.initializers import undrawn

    with undrawn():
        found = [build(name) for name in names()]
    cells = [("network", "input", "classes", "parameters", "data")]
    cells += [
        (m.name, "x".join(map(str, m.input_shape)), str(m.classes), f"{m.size():,}", m.dataset or "") for m in found
    ]
    print(grid(cells, right=(2, 3)))
    write_json(
        json_file,
        {
            "models": [
                {
                    "name": m.name,
                    "input_shape": list(m.input_shape),
                    "classes": m.classes,
                    "parameters": m.size(),
                    "data": m.dataset,
                }
                for m in found
            ]
        },
    )


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove every entry.")] = False, json_file: Json = None
) -> None:
    """Say where the kernel cache is and how big; `--clear` empties it."""
    from ..runtime import KernelCache

    store = KernelCache()
    entries, size = len(store.entries()), store.size()
    if clear:
        store.clear()
        print(f"removed {entries} entries, {size / 1e6:.1f} MB, from {store.folder}")
    else:
        print(f"{store.folder}: {entries} entries, {size / 1e6:.1f} MB")
    write_json(json_file, {"folder": str(store.folder), "entries": entries, "bytes": size, "cleared": clear})
