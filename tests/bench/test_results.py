"""The results page: runs of recipes that ship, trained by the command, not repeated, and told as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kernelwright.bench import results, results_page
from kernelwright.bench.contenders import BenchError
from kernelwright.bench.published import RUNS, Run
from kernelwright.models import recipe_files


def test_every_run_is_a_recipe_that_ships_and_its_data_have_a_section() -> None:
    for run in RUNS:
        assert recipe_files.read(run.recipe).data in results_page.TITLES
        assert bool(run.source) == (run.error is not None)
    assert len({run.recipe for run in RUNS}) == len(RUNS)
    assert set(results_page.SHOWN) <= {run.recipe for run in RUNS}


def test_a_recipe_without_a_run_is_refused() -> None:
    with pytest.raises(BenchError, match="no run 'mlp-digits'; there are perceptron-mnist"):
        results.main(["mlp-digits"])


def test_a_run_is_trained_tested_told_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    recipe = tmp_path / "small.toml"
    text = recipe_files.text("perceptron-mnist")
    recipe.write_text(text.replace('data = "mnist"', 'data = "digits"').replace("epochs = 10", "epochs = 2"))
    monkeypatch.setattr(results, "RUNS", (Run(str(recipe), "Perceptron", 1958, 12.0, "somebody"),))
    monkeypatch.setattr(results_page, "RUNS", results.RUNS)
    monkeypatch.setattr(results_page, "TITLES", {"digits": "Digits"})
    places = ["--folder", str(tmp_path), "--page", str(tmp_path / "page.md"), "--checkpoints", str(tmp_path / "kept")]
    results.main([*places, "--minutes", "0"])
    assert "the minutes are over" in capsys.readouterr().out
    results.main(places)
    told = json.loads((tmp_path / "results" / "training" / "small.json").read_text())
    assert told["epochs"] == len(told["history"]) == 2 and told["parameters"] == 7850
    assert told["test"]["examples"] == 1000 and told["command"].endswith("--validation 0")
    page = (tmp_path / "page.md").read_text()
    right = told["test"]["top1"]["right"]
    assert f"**{100 - right / 10:.2f} %**" in page and "12 % (somebody)" in page
    stamp = (tmp_path / "kept" / "small.safetensors").stat().st_mtime_ns
    results.main(places)
    assert (tmp_path / "kept" / "small.safetensors").stat().st_mtime_ns == stamp
