"""The report: Markdown tables and SVG charts from results that are made up here."""

import json
from xml.etree import ElementTree

import pytest

from kernelwright.bench import predictions, report
from kernelwright.bench.contenders import BenchError
from kernelwright.bench.svg import bars


def contender(median):
    seconds = {"min": median / 2, "q1": median / 1.1, "median": median, "q3": median * 1.1, "max": median * 2}
    start = {kind: {"import": 0.5, "build": 0.25, "first_call": 1.5} for kind in ("cold", "warm")}
    memory = {"imported": 100e6, "peak": 200e6}
    return {"seconds": seconds, "gflops": 10.0, "of_peak": 0.5, "start": start, "memory": memory, "difference": 1e-7}


def outcome(ours, mode="train", **others):
    others = others or {"torch eager": 0.004}
    best = min(others, key=others.get)
    result = {
        "network": "lenet5", "mode": mode, "batch": 128, "threads": 2, "rounds": 3, "best": "kernelwright",
        "contenders": {"kernelwright": contender(ours), **{name: contender(t) for name, t in others.items()}},
        "best_peer": best, "ratio": others[best] / ours, "ratio_spread": [1.5, 2.5], "skipped": {"jax": "absent"},
    }  # fmt: skip
    machine = {
        "processor": "P",
        "cpu": "znver4",
        "cores": 2,
        "python": "3.11",
        "versions": {"torch": "2", "jax": "not installed"},
    }
    limits = {"2": {"flops": 2e11, "bytes": 3e10}}
    return {
        "date": "2026-01-01",
        "command": "kernelwright bench lenet5",
        "machine": machine,
        "limits": limits,
        "results": [result],
    }


def save(folder, name, what):
    (folder / "results").mkdir(exist_ok=True)
    (folder / "results" / name).write_text(json.dumps(what))


def test_the_newest_race_of_each_kind_is_shown(tmp_path):
    save(tmp_path, "2026-01-01-100000-bench.json", outcome(0.004))
    save(tmp_path, "2026-01-02-100000-bench.json", outcome(0.002))
    save(tmp_path, "2026-01-02-110000-bench.json", outcome(0.001, mode="infer"))
    text = report.write(tmp_path).read_text()
    assert text.count("## lenet5, training step") == 1 and text.count("## lenet5, inference") == 1
    assert "**2.00 (1.50 to 2.50)**" in text and "**1.00" not in text
    assert "- jax: absent" in text and "`kernelwright bench lenet5`" in text
    for chart in ("train-znver4.svg", "infer-znver4.svg"):
        assert chart in text
        ElementTree.parse(tmp_path / chart)


def test_the_chart_has_each_frameworks_fastest_mode(tmp_path):
    others = {"torch eager": 0.004, "torch compiled": 0.003, "jax": 0.006}
    save(tmp_path, "2026-01-01-100000-bench.json", outcome(0.001, **others))
    (result,) = report.newest(tmp_path / "results")["znver4"]
    assert report.fastest(result) == {"kernelwright": "kernelwright", "torch": "torch compiled", "jax": "jax"}
    titles = [e.text for e in ElementTree.fromstring(report.chart("t", [result])).iter() if e.tag.endswith("title")]
    assert [t.split(":")[1].split()[0] for t in titles] == ["3", "1", "0.5"]


def test_processors_are_kept_apart_the_latest_first(tmp_path):
    elsewhere = outcome(0.001)
    elsewhere["machine"] = {**elsewhere["machine"], "processor": "Q", "cpu": "sapphirerapids"}
    save(tmp_path, "2026-01-01-100000-bench.json", elsewhere)
    save(tmp_path, "2026-01-02-100000-bench.json", outcome(0.002))
    text = report.write(tmp_path).read_text()
    assert text.index("## On P (znver4), 2 cores") < text.index("## On Q (sapphirerapids), 2 cores")
    assert text.count("## lenet5, training step") == 2 and "**2.00" in text and "**4.00" in text
    assert {path.name for path in tmp_path.glob("*.svg")} == {"train-znver4.svg", "train-sapphirerapids.svg"}


def test_bars_are_as_long_as_their_values():
    svg = ElementTree.fromstring(bars("a < b", "x", {"g": {"one": 1.0, "two": 2.0}}))
    lengths = [float(e.get("width")) for e in svg.iter() if e.tag.endswith("rect") and e.find("*") is not None]
    assert lengths[1] == pytest.approx(2 * lengths[0])


def test_a_folder_without_results(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["report", str(tmp_path)])
    with pytest.raises(BenchError, match="no folder of results"):
        report.main()


def test_predictions_stand_beside_measurements(tmp_path):
    rows = [
        {"fused": ["contract", "relu"], "seconds": 0.010, "predicted": 0.008},  # within 1.3
        {"fused": ["contract"], "seconds": 0.030, "predicted": 0.020},
        {"fused": ["relu"], "seconds": 0.004, "predicted": 0.003},  # within 1.5
        {"fused": ["add"], "seconds": 0.001, "predicted": 0.002},
    ]
    kinds = predictions.by_kind(rows)
    run = outcome(0.001)
    run["rows"] = [{"network": "lenet5", "batch": 128, "kinds": kinds}]
    run["threads"] = 2
    save(tmp_path, "2026-01-01-predictions.json", run)
    text = report.write(tmp_path).read_text()
    assert "| lenet5, 128 | contractions | 2 | 40 | 28 | 1.43 | 25% |" in text
    assert "| lenet5, 128 | others | 2 | 5 | 5 | 1.00 | 80% |" in text
