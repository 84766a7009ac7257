"""Training steps of the ImageNet networks on photographs: the crops, the command's mistakes, the table."""

from __future__ import annotations

import json

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.bench import imagenet, report
from kernelwright.bench.contenders import BenchError


def photograph(path, size, mode="RGB"):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), "uint8")
    image.fromarray(pixels).convert(mode).save(path)


def test_large_colour_photographs_become_classes(tmp_path):
    for name, size, mode in (("b", (400, 330), "RGB"), ("a", (320, 320), "RGB"), ("c", (400, 319), "RGB")):
        photograph(tmp_path / f"{name}.png", size, mode)
    photograph(tmp_path / "grey.png", (400, 400), "L")
    assert imagenet.crops(tmp_path, tmp_path / "made") == ["a", "b"]
    found = kw.data.image_folder(tmp_path / "made", (3, 24, 24))
    assert len(found.train) == 2 * imagenet.CROPS and len(found.test) == 2


def test_too_few_photographs_are_refused(tmp_path):
    photograph(tmp_path / "a.png", (320, 320))
    with pytest.raises(BenchError, match="two colour photographs of 320 pixels or more are needed, not 1"):
        imagenet.crops(tmp_path, tmp_path / "made")


def test_every_imagenet_network_is_listed_and_others_are_refused(tmp_path, outlined):
    found = [n for n in kw.models.names() if outlined(n).dataset == "imagenet"]
    assert sorted(imagenet.NETWORKS) == found
    with pytest.raises(BenchError, match="no ImageNet network 'resnet19'"):
        imagenet.main([str(tmp_path), "--networks", "resnet19"])


def test_the_newest_steps_of_each_network_are_shown(tmp_path):
    (tmp_path / "results").mkdir()
    row = {"network": "n", "input": [3, 224, 224], "batch": 8, "parameters": 1000, "flops": 2e9, "rate": 0.005}
    row |= {"seconds": [9.0, 0.1], "median": 0.1, "memory": 5e8}
    falls = row | {"losses": [7.0, 6.5], "falls": True}
    rises = row | {"network": "m", "losses": [7.0, 7.5], "falls": False}
    run = {"date": "2026-01-01", "command": "c", "machine": {"cpu": "znver4"}, "threads": 2, "peak_flops": 1e11}
    run |= {"momentum": 0.9, "photographs": ["p", "q"]}
    for day, results in (
        ("01", [rises | {"network": "n"}, rises]),
        ("02", [falls, {"network": "k", "error": "E: no"}]),
    ):
        (tmp_path / "results" / f"2026-01-{day}-imagenet.json").write_text(json.dumps(run | {"results": results}))
    text = report.write(tmp_path).read_text()
    assert "| n | 3x224x224 | 8 | 1,000 | 2 | 0.1 | 20% | 9 | 0.5 | 0.005 | 7.00, 6.50 |" in text
    assert "7.00, 7.50 (does not fall)" in text and text.count("| n |") == 1
    assert "E: no" in text
