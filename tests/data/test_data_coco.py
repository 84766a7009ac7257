"""COCO's annotations as classes of images, and its captions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernelwright.models.data import DataError, coco, coco_captions, coco_instances

IMAGES = [{"id": 30, "file_name": "c.png"}, {"id": 10, "file_name": "a.png"}, {"id": 20, "file_name": "b.png"}]
CATEGORIES = [{"id": 90, "name": "toothbrush"}, {"id": 1, "name": "person"}, {"id": 18, "name": "dog"}]


def box(image: int, category: int, width: float, height: float) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": [0, 0, width, height], "iscrowd": 0}


BOXES = [box(10, 18, 3, 4), box(10, 1, 2, 5), box(10, 1, 1, 3), box(30, 90, 2, 2), box(30, 18, 4, 1)]


def write(folder: Path, annotations: Any = None, part: str = "train2017", name: str = "instances") -> Path:
    """The annotations of `part` and its empty image files."""
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    (folder / part).mkdir(exist_ok=True)
    for image in IMAGES:
        (folder / part / image["file_name"]).touch()
    path = folder / "annotations" / f"{name}_{part}.json"
    whole = {"images": IMAGES, "annotations": BOXES, "categories": CATEGORIES}
    path.write_text(json.dumps(whole if annotations is None else annotations))
    return path


def test_one_class_is_the_one_with_the_greatest_area(tmp_path: Path) -> None:
    """Image 10 has 13 of person and 12 of dog; in image 30 dog and toothbrush cover 4 each; image 20 has nothing."""
    files, classes = coco_instances(write(tmp_path), tmp_path / "train2017", (3, 8, 8))
    assert classes == ("person", "dog", "toothbrush")
    assert [p.name for p in files.paths] == ["a.png", "c.png"]
    assert files.labels.tolist() == [0, 1] and files.labels.dtype == np.int32


def test_several_classes(tmp_path: Path) -> None:
    files, _ = coco_instances(write(tmp_path), tmp_path / "train2017", several=True)
    assert [p.name for p in files.paths] == ["a.png", "b.png", "c.png"]
    assert files.labels.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 1]] and files.labels.dtype == np.uint8


def test_an_empty_box_still_counts(tmp_path: Path) -> None:
    path = write(tmp_path, {"images": IMAGES, "annotations": [box(20, 18, 0, 5)], "categories": CATEGORIES})
    files, _ = coco_instances(path, tmp_path / "train2017")
    assert [p.name for p in files.paths] == ["b.png"] and files.labels.tolist() == [1]


def test_the_usual_layout(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(DataError, match=r"instances_val2017\.json: no such file; COCO needs annotations/"):
        coco(tmp_path)
    other = {"images": IMAGES, "annotations": BOXES, "categories": [*CATEGORIES, {"id": 91, "name": "x"}]}
    write(tmp_path, other, "val2017")
    with pytest.raises(DataError, match="the categories of train2017 and val2017 differ"):
        coco(tmp_path)
    write(tmp_path, None, "val2017")
    found = coco(tmp_path, (1, 4, 5))
    assert found.name == "coco" and found.input_shape == (1, 4, 5) and len(found.test) == 2
    assert found.test.paths[0] == tmp_path / "val2017" / "a.png"


def test_missing_images_are_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "train2017" / "c.png").unlink()
    with pytest.raises(DataError, match=r"c\.png: no such file; 1 of the 2 images of .*instances_train2017"):
        coco_instances(path, tmp_path / "train2017")
    with pytest.raises(DataError, match=r"there is no folder .*elsewhere with the images of"):
        coco_instances(path, tmp_path / "elsewhere")


def test_captions(tmp_path: Path) -> None:
    texts = [
        {"image_id": 10, "caption": "A dog."},
        {"image_id": 20, "caption": "Grass"},
        {"image_id": 10, "caption": "Ü"},
    ]
    path = write(tmp_path, {"images": IMAGES, "annotations": texts}, name="captions")
    assert coco_captions(path) == {"c.png": (), "a.png": ("A dog.", "Ü"), "b.png": ("Grass",)}


@pytest.mark.parametrize(
    "change, message",
    [
        ([], "no list of images"),
        ({"images": IMAGES, "annotations": BOXES}, "no list of categories"),
        ({"images": IMAGES, "annotations": 5, "categories": []}, "no list of annotations"),
        ({"images": [{"id": 1}], "annotations": [], "categories": []}, "no 'file_name' in it"),
        ({"images": IMAGES, "annotations": [box(7, 1, 1, 1)], "categories": CATEGORIES}, "no 7 in it, or none with"),
        ({"images": IMAGES, "annotations": [box(10, 7, 1, 1)], "categories": CATEGORIES}, "no 7 in it, or none with"),
        ({"images": IMAGES, "annotations": [{**BOXES[0], "bbox": [1]}], "categories": CATEGORIES}, "not COCO's"),
        ({"images": IMAGES, "annotations": [None], "categories": CATEGORIES}, "not COCO's"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    path = write(tmp_path, change)
    with pytest.raises(DataError, match=message) as caught:
        coco_instances(path, tmp_path / "train2017")
    assert str(caught.value).startswith(f"{path}: ")


def test_every_cut_off_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        for read in (lambda: coco_instances(path, tmp_path), lambda: coco_captions(path)):
            with pytest.raises(DataError, match=r"truncated or damaged JSON: .*again"):
                read()
