"""The command: draws sections, keeps their numbers and where they come from, writes the page."""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import machine
from ..contenders import BenchError
from . import SECTIONS, Room, __doc__, write


def main(arguments: Sequence[str] | None = None) -> None:
    """The command. Raises BenchError for a section that there is not."""
    title = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m kernelwright.bench.gallery", description=title)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="Default: those that are not drawn yet.")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"))
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--page", type=Path, default=Path("docs/gallery.md"))
    parser.add_argument("--folder", type=Path, default=Path("benchmarks"))
    chosen = parser.parse_args(arguments)
    if strange := [name for name in chosen.sections if name not in SECTIONS]:
        raise BenchError(f"there is no section {strange[0]!r}; there are {', '.join(SECTIONS)}")
    room, kept = Room(chosen.checkpoints, chosen.photographs), chosen.folder / "results" / "gallery.json"
    for folder in (kept.parent, chosen.page.parent):
        folder.mkdir(parents=True, exist_ok=True)
    for name, section in SECTIONS.items():
        picture = chosen.page.parent / f"gallery_{name}.png"
        if name in chosen.sections or not (chosen.sections or (picture.exists() and name in stored(kept)["sections"])):
            numbers, told = section.draw(room, picture), stored(kept)  # read afterwards: others may draw other sections
            told["sections"][name] = {**origin(name, told["machines"]), "numbers": numbers}
            kept.write_text(json.dumps(told, indent=1) + "\n")
            print(name, flush=True)
    write(stored(kept)["sections"], chosen.page, SECTIONS)


def stored(kept: Path) -> dict[str, Any]:
    """The machines, and by name what is known of each section."""
    told: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {"machines": [], "sections": {}}
    return told


def origin(name: str, machines: list[dict[str, Any]]) -> dict[str, Any]:
    """A section's command, today, and the place in `machines` of this machine, which is added where it is new."""
    here = machine.describe()
    if here not in machines:
        machines.append(here)
    return {
        "command": f"python -m kernelwright.bench.gallery {name}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machines.index(here),
    }


if __name__ == "__main__":
    main()
