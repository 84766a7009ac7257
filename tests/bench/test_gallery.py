"""The page of the gallery is what its numbers make of it; sections draw what they say; others are refused."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.bench import gallery
from kernelwright.bench.contenders import BenchError
from kernelwright.bench.gallery import halves, looking
from kernelwright.bench.gallery.__main__ import main
from kernelwright.bench.gallery.fooling import amplified
from kernelwright.bench.gallery.page import wrapped

ROOT = Path(kw.__file__).parent
GAP = 4
"""White pixels between the pictures of a sheet."""


def pixels(path: Path) -> np.ndarray:
    """(height, width, 3) bytes of a PNG file."""
    return np.asarray(pytest.importorskip("PIL.Image").open(path))


def test_the_page_is_that_of_its_numbers_and_its_pictures_are_there(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "gallery.md").read_text()
    told = json.loads((ROOT / "benchmarks" / "results" / "gallery.json").read_text())
    gallery.write(told["sections"], tmp_path / "page.md", gallery.SECTIONS)
    assert (tmp_path / "page.md").read_text() == page
    pictures = re.findall(r"\((gallery_\w+\.png)\)", page)
    assert pictures == [f"gallery_{name}.png" for name in gallery.SECTIONS]
    assert all((ROOT / "docs" / name).is_file() for name in pictures)
    prose = re.sub(r"```text\n.*?```", "", page, flags=re.DOTALL)
    assert "\n\n\n" not in page and max(map(len, prose.splitlines())) <= 120
    for name, each in told["sections"].items():
        assert each["command"].endswith(f"kernelwright.bench.gallery {name}")
        assert 0 <= each["machine"] < len(told["machines"])


def test_lines_are_broken_between_words_only() -> None:
    text = wrapped("\n" + "Grad-CAM's " * 12 + "\n\nand so\non\n")
    assert text == ("Grad-CAM's " * 11).strip() + "\nGrad-CAM's\n\nand so on\n"
    assert wrapped("x" * 115 + " 26.2 %") == "x" * 115 + "\n26.2 %\n"  # nor before a per cent sign


def test_the_command_draws_a_section_and_keeps_its_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = {name: kw.models.build(name) for name in ("lenet5", "resnet20")}
    first = kw.get_value(networks["lenet5"].parameters()[0])
    first[:] = 0
    first[1, 0, 0, 4] = 2.0
    kw.set_value(networks["lenet5"].parameters()[0], first)
    monkeypatch.setattr(gallery.Room, "network", lambda self, name, recipe: networks[name])
    for _ in range(2):  # the second time changes nothing but the date
        main(["filters", "--page", str(tmp_path / "docs" / "page.md"), "--folder", str(tmp_path)])
    told = json.loads((tmp_path / "results" / "gallery.json").read_text())
    assert list(told["sections"]) == ["filters"] and len(told["machines"]) == 1
    assert told["sections"]["filters"]["command"] == "python -m kernelwright.bench.gallery filters"
    assert told["machines"][0]["python"] == sys.version.split()[0]
    assert "## First layers\n\n![first layers](gallery_filters.png)\n\nThe" in (tmp_path / "docs/page.md").read_text()
    sheet = pixels(tmp_path / "docs" / "gallery_filters.png")
    assert sheet.shape == (6 * (60 + GAP) + GAP, 4 * (60 + GAP) + GAP, 3)  # 2 rows of 3 filters, 4 rows of 4
    assert (sheet[: 60 + GAP, : 60 + GAP] == 255).all()  # a filter of zeros is white
    second = sheet[GAP : GAP + 60, GAP + 64 : GAP + 124]
    assert (second[:12, 48:] == [191, 20, 38]).all() and (second[12:] == 255).all()  # the red end of the scale


def test_crops_are_black_on_the_side_where_a_field_leaves_its_image(tmp_path: Path) -> None:
    images = np.full((45, 1, 32, 32), 0.2, "float32")
    places = [(0, 0), (31, 31), (0, 12)] + [(16, 16)] * 6
    for k, (row, column) in enumerate(places):
        images[5 * k, 0, row, column] = max(1 - 0.2 * k, 0.4)  # so that they come in this order
    network = kw.nn.Sequential(kw.nn.Conv(16, 3, pad=1, name="stage2_block1"))
    network(kw.input("images", (None, 1, 32, 32)))
    weight, bias = network.parameters()
    values = np.zeros((16, 1, 3, 3), "float32")
    values[:, 0, 1, 1] = 1.0  # each channel sees the pixel itself, and its field is three by three
    kw.set_value(weight, values)
    kw.set_value(bias, np.zeros(16, "float32"))
    room: Any = SimpleNamespace(
        network=lambda name, recipe: network, things=SimpleNamespace(test=SimpleNamespace(images=images))
    )
    assert looking.exciting(room, tmp_path / "sheet.png") == {"images": 9, "side": 3}
    sheet = pixels(tmp_path / "sheet.png")
    assert sheet.shape == (4 * (9 + GAP) + GAP, 9 * (9 + GAP) + GAP, 3)
    crops = [sheet[GAP + 1 : GAP + 9 : 3, GAP + 13 * k + 1 : GAP + 13 * k + 9 : 3, 0] for k in range(4)]
    np.testing.assert_array_equal(crops[0], [[0, 0, 0], [0, 255, 51], [0, 51, 51]])
    np.testing.assert_array_equal(crops[1], [[51, 51, 0], [51, 204, 0], [0, 0, 0]])
    np.testing.assert_array_equal(crops[2], [[0, 0, 0], [51, 153, 51], [51, 51, 51]])
    np.testing.assert_array_equal(crops[3], [[51, 51, 51], [51, 102, 51], [51, 51, 51]])


def test_other_sections_are_refused() -> None:
    with pytest.raises(BenchError, match="no section 'nightmares'; there are maps, occlusion"):
        main(["nightmares"])


def test_a_photograph_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BenchError, match="has no photograph 'coffee'"):
        gallery.Room(tmp_path, tmp_path).photograph("coffee")
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(BenchError, match=r"pip install 'kernelwright\[gallery\]'"):
        gallery.Room(tmp_path).photograph("coffee")


def test_changes_are_amplified_along_their_direction() -> None:
    images = np.full((2, 1, 2, 2), 0.5, "float32")
    made = images.copy()
    made[0, 0, 0, 0], made[1, 0] = 0.7, 0.4  # root mean squares 0.1 and 0.1
    got = amplified(images, made, 0.2)
    np.testing.assert_allclose(got[:, 0], [[[0.9, 0.5], [0.5, 0.5]], [[0.3, 0.3], [0.3, 0.3]]], rtol=1e-6)
    np.testing.assert_array_equal(amplified(images, images, 0.2), images)


def test_each_half_is_seen_by_its_networks_which_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    images, labels = rng.random((256, 1, 28, 28), "float32"), np.tile(np.array([3, 5], "int64"), 128)
    room = gallery.Room(tmp_path)
    room.__dict__["digits"] = SimpleNamespace(train=SimpleNamespace(images=images, labels=labels))
    monkeypatch.setattr(halves, "NETWORKS", {"even": ((4,), 0), "odd": ((4,), 1)})
    trained = halves.halves(room)
    for name, label in (("even", 3), ("odd", 5)):  # all that each has seen
        assert (kw.vision.classified(trained[name], images) == label).all()
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    del room.__dict__["digits"]
    monkeypatch.setattr(gallery.Room, "digits", None)  # nothing is trained a second time
    again = halves.halves(room)
    for name, model in trained.items():
        for a, b in zip(model.parameters(), again[name].parameters(), strict=True):
            np.testing.assert_array_equal(kw.get_value(a), kw.get_value(b))
