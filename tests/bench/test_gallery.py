"""The page of the gallery is what its numbers make of it, its pictures are there, other sections are refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import kernelwright
from kernelwright.bench import gallery
from kernelwright.bench.contenders import BenchError

ROOT = Path(kernelwright.__file__).parent


def test_the_page_is_that_of_its_numbers_and_its_pictures_are_there(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "gallery.md").read_text()
    gallery.write(json.loads((ROOT / "benchmarks" / "results" / "gallery.json").read_text()), tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text() == page
    pictures = re.findall(r"\((gallery_\w+\.png)\)", page)
    assert len(pictures) == len(gallery.SECTIONS) == len(gallery.CAPTIONS)
    assert all((ROOT / "docs" / name).is_file() for name in pictures)


def test_other_sections_are_refused() -> None:
    with pytest.raises(BenchError, match="no section 'nightmares'; there are maps, filters"):
        gallery.main(["nightmares"])


def test_a_photograph_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="has no photograph 'coffee'"):
        gallery.Room(tmp_path, tmp_path).photograph("coffee")
