"""What the examples count and measure, against numbers from hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def outcome(folder: Path, name: str, *arguments: str) -> Any:
    """What the example writes as JSON."""
    path = folder / "outcome.json"
    command = [sys.executable, str(ROOT / "examples" / name), *arguments, "--json", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return json.loads(path.read_text())


def test_parameters_are_those_counted_by_hand(tmp_path: Path) -> None:
    found = outcome(tmp_path, "parameters.py", "--sizes", "16", "8")
    assert found["sizes"] == [8, 16]
    layers, networks = found["parameters of one layer"], found["parameters of a network"]
    assert layers["dense"] == [(3 * 64) * (16 * 64) + 16 * 64, (3 * 256) * (16 * 256) + 16 * 256]
    assert layers["locally connected"] == [64 * 16 * (27 + 1), 256 * 16 * (27 + 1)]
    assert layers["convolution"] == [16 * 27 + 16] * 2
    assert networks["dense"] == [(3 * n + 1) * 512 + 513 * 10 for n in (64, 256)]
    convolutions = (27 + 1) * 16 + (16 * 9 + 1) * 32 + (32 * 9 + 1) * 64
    assert networks["convolutions, dense"] == [convolutions + (64 * n + 1) * 512 + 513 * 10 for n in (1, 4)]
    assert networks["convolutions, mean"] == [convolutions + 65 * 10] * 2


@pytest.mark.slow
def test_a_trained_networks_features_need_fewer_examples(tmp_path: Path) -> None:
    found = outcome(tmp_path, "svm_features.py", "--epochs", "1", "--counts", "20", "--threads", "1")
    assert found["counts"] == [20]
    (pixels,), (trained,) = (found["test_accuracy"][name] for name in ("pixels", "trained features"))
    assert 0.3 < pixels < trained - 0.1


@pytest.mark.slow
def test_a_transformer_learns_to_sort(tmp_path: Path) -> None:
    found = outcome(tmp_path, "transformer_sort.py", "--epochs", "4", "--count", "6400", "--threads", "1")
    assert found["digits"] > 0.98 and found["sequences"] > 0.9  # a place of ten by chance: 0.1


@pytest.mark.slow
def test_an_lstm_learns_to_add(tmp_path: Path) -> None:
    found = outcome(tmp_path, "character_lstm.py", "--threads", "1")
    assert found["characters"] > 0.98 and found["sums"] > 0.95  # a digit by chance: 0.1


@pytest.mark.slow
def test_a_u_net_learns_which_pixels_show_what(tmp_path: Path) -> None:
    found = outcome(tmp_path, "unet_shapes.py", "--epochs", "8", "--count", "600", "--threads", "1")
    assert found["pixels"] > 0.95 and found["intersection over union"] > 0.7  # all background: 0.82 and 0.27


@pytest.mark.slow
def test_an_autoencoder_bounds_what_digits_cost(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    sheet = tmp_path / "samples.png"
    found = outcome(tmp_path, "vae_digits.py", "--epochs", "10", "--threads", "1", "--out", str(sheet))
    assert 195 < found["independent pixels"] < 220
    assert 80 < found["bound"] < 125
    assert sheet.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_embeddings_find_the_traits_behind_the_words_of_a_table(tmp_path: Path) -> None:
    found = outcome(tmp_path, "table_embeddings.py", "--threads", "1")
    assert found["least squares"] + 0.5 < found["network"] < found["ceiling"] < 0.95
    assert found["network"] > found["ceiling"] - 0.05


@pytest.mark.slow
def test_statistics_measured_anew_undo_a_change_of_light() -> None:
    """A normalisation behind a convolution without padding undoes contrast and brightness exactly, but for rounding."""
    command = [sys.executable, str(ROOT / "examples" / "covariate_shift.py"), "1"]
    text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
    rows = [[float(word.rstrip("%")) for word in line.split()] for line in text.splitlines()[1:]]
    (_, _, usual, _), *changed, negative = rows
    anew = [after for _, _, _, after in rows[:-1]]
    assert max(anew) - min(anew) <= 0.2  # two of the 1,000 test images
    assert changed[-1][2] < usual - 10 and changed[-1][3] > usual - 5
    assert negative[3] < usual - 10
