"""Pictures of image space: what networks trained here see, dream, imitate and get wrong, as a page with its numbers.

    python -m kernelwright.bench.gallery [SECTION ...] [--checkpoints FOLDER] [--photographs FOLDER]

Weights are those that `bench.results` leaves in its checkpoints. Photographs are the JPEG and PNG files of a folder, by
default those that ship in scikit-image (the extra `gallery`). A section whose picture is there is not drawn again
unless it is named. Numbers are kept in `results/gallery.json` of `--folder`. Each section is a function that draws its
picture and gives the numbers of its caption, in one file per kind; `room` has what they draw from, `page` writes the
page.
Leans on `kw.vision` for all of it.
"""

from __future__ import annotations

from . import fooling, looking, making, placing
from .page import write
from .room import Room, Section

SECTIONS: dict[str, Section] = {**looking.SECTIONS, **making.SECTIONS, **fooling.SECTIONS, **placing.SECTIONS}
"""By the name of its picture, `gallery_NAME.png`, in the order of the page."""
__all__ = ["SECTIONS", "Room", "Section", "write"]
