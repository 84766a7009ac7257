"""The benchmark of GPUs, on a stand-in for the driver whose kernels take a millisecond each: parts in processes, what
becomes of those that end badly, the file, the page."""

import importlib.util
import json
import sys
from functools import partial
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from kernelwright.bench.contenders import BenchError
from kernelwright.bench.gpu import __main__ as command
from kernelwright.bench.gpu import cards, check_ops, checks, page, parts, session, turn, worker
from kernelwright.bench.gpu.parts import Part
from kernelwright.bench.gpu.prepare import prepare
from kernelwright.compiler.graph.ops import OPS
from kernelwright.compiler.targets.cuda import build, cubin_store
from kernelwright.runtime import KernelCache

WORKER = (sys.executable, str(Path(__file__).parent / "standin_worker.py"))
RESULTS = Path(__file__).parents[2] / "benchmarks"


def quiet(_):
    pass


def test_a_session_keeps_what_parts_find_and_how_they_end(tmp_path):
    planned = [
        Part("hangs", "", 2),
        Part("dies", "", 30),
        Part("networks", "nothing 2 tf32", 60),
        Part("ceilings", "", 60),
        Part("networks", "playground 2 tf32", 60),
        Part("launches", "", 60),
        *(Part("checks", case, 90) for case in ("contractions", "reductions", "training playground")),
        Part("kernels", "playground 2 tf32", 60),
    ]
    path = session.hold(planned, 5, "the command", tmp_path, WORKER, quiet)
    run = json.loads(path.read_text())
    assert (run["card"], run["arch"], run["cuda"], run["command"]) == ("Stand-in", "sm_90", "13.0", "the command")
    hangs, dies, wrong, ceilings, network, launches, checks, reductions, training, kernels = run["parts"]
    assert (hangs["outcome"], hangs["rows"]) == ("cut off after 2 s", [{"what": "before"}])
    assert (dies["outcome"], dies["rows"]) == ("ended with status -9", [{"what": "before"}])
    assert wrong["outcome"].startswith("BenchError: there is no network 'nothing'")
    assert "Traceback" in wrong["log"] and (tmp_path / "results" / path.name).exists()
    assert [part["outcome"] for part in run["parts"][3:]] == ["done"] * 7
    assert [row["what"] for row in ceilings["rows"]] == ["copy", *(f"product 8 {p}" for p in parts.PRECISIONS)]
    assert ceilings["rows"][0]["value"] == pytest.approx(2 * 4 * 64 / 1e-3 / 1e9)
    assert [row["mode"] for row in network["rows"]] == ["train", "infer"]
    for row in network["rows"]:
        assert row["ms"] == pytest.approx(row["kernels"]) and row["finite"]
    assert [row["us"] for row in launches["rows"]][::2] == pytest.approx([1000, 1000], rel=0.1)
    (row,) = kernels["rows"]
    assert [k["ms"] for k in row["kernels"]] == pytest.approx([1.0] * network["rows"][0]["kernels"])
    assert [len(part["rows"]) for part in (checks, reductions, training)] == [12, 2, 3]
    rows = [row for part in (checks, reductions, training) for row in part["rows"]]
    assert all(row["right"] and row["same_again"] for row in rows), rows
    shown = (tmp_path / "gpu.md").read_text()
    assert "| hangs  | cut off after 2 s |" in shown and "| playground | 2 | training step | tf32 |" in shown


def test_minutes_that_are_over_leave_parts_out(tmp_path):
    path = session.hold([Part("hangs", "", 60), Part("dies", "", 60)], 0, "", tmp_path, WORKER, quiet)
    assert {part["outcome"] for part in json.loads(path.read_text())["parts"]} == {"not begun, the minutes were over"}


def test_without_a_gpu_one_line_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("STANDIN_ABSENT", "an NVIDIA driver (libcuda.so.1 was not found)")
    with pytest.raises(BenchError, match=r"measuring needs an NVIDIA driver .* --prepare"):
        session.hold([], 1, "", tmp_path, WORKER, quiet)
    assert not list(tmp_path.iterdir())


def test_parts_are_chosen_by_name():
    assert {part.kind for part in parts.planned(["networks"])} == {"networks"}
    assert parts.planned(["networks"])[0].case == "resnet50 64 tf32"
    assert len(parts.planned(["networks"])) == 3 * 6
    assert {part.kind for part in parts.planned()} == set(parts.KINDS)
    with pytest.raises(BenchError, match="no part 'nets'; there are card, "):
        parts.planned(["nets"])
    aimed = parts.planned(["torch:resnet50:tf32", "networks:resnet50", "networks:64:resnet50:tf32"])
    assert [(part.kind, part.case) for part in aimed] == [
        ("torch", "resnet50 64 tf32"),
        *(("networks", f"resnet50 64 {p}") for p in parts.PRECISIONS),
    ]
    with pytest.raises(BenchError, match=r"no part 'kernels:float32'; kernels has resnet50 64 tf32, "):
        parts.planned(["kernels:float32"])


def test_a_kernel_takes_the_longer_of_its_bytes_and_its_flops():
    card = cards.of_name("NVIDIA H100 80GB HBM3")
    assert card.seconds(494.7e9, 1, "tf32") == pytest.approx(1e-3)
    assert card.seconds(1, 3e9, "tf32") == pytest.approx(1e-3)
    assert cards.of_arch((9, 0)) is card
    assert cards.of_name("NVIDIA GeForce GT 710") is None
    with pytest.raises(BenchError, match="no card of sm_12 is known; known are sm_80, sm_90"):
        cards.of_arch((1, 2))


def test_the_page_compares_with_the_fastest_mode_of_pytorch():
    about = {"network": "mlp", "batch": 8, "mode": "train", "precision": "tf32"}
    rows = [
        {**about, "by": by, "ms": ms} for by, ms in (("kernelwright", 3.0), ("torch", 2.0), ("torch compiled", 1.5))
    ]
    assert "| mlp | 8 | training step | tf32 | 3 |  | 1.5 | torch compiled | 2.00 |" in page.networks(rows)


def test_the_page_in_the_repository_is_that_of_the_newest_file():
    assert (RESULTS / "gpu.md").read_text() == page.text(page.newest(RESULTS))


def test_rendering_needs_a_file(tmp_path):
    with pytest.raises(BenchError, match=r"no file that ends with -gpu\.json"):
        command.main(["--render", "--folder", str(tmp_path)])


@pytest.fixture
def few(monkeypatch):
    """Small programs for the parts that compile."""
    monkeypatch.setattr(parts, "NETWORKS", {"playground": (2,)})
    monkeypatch.setattr(parts, "PRECISIONS", ("tf32",) * 2 + ("float32",))


def test_what_is_prepared_is_not_compiled_again(few, tmp_path, monkeypatch):
    if importlib.util.find_spec("numba_cuda") is None:
        pytest.skip("needs the extra cuda (numba-cuda)")
    monkeypatch.setattr(cubin_store, "kernel_cache", partial(KernelCache, tmp_path))
    chosen = [Part("networks", "playground 2 tf32", 60), Part("torch", "playground 2 tf32", 60)]
    assert prepare(chosen, "sm_90", quiet) > 5
    assert prepare(chosen, "sm_90", quiet) == 0
    monkeypatch.setattr(build, "versions", lambda: "others")
    assert prepare(chosen, "sm_90", quiet) == 0


def test_predictions_stand_beside_what_was_measured(few, tmp_path, capsys):
    rows = [
        {"network": "playground", "batch": 2, "mode": "train", "precision": "tf32", "by": "kernelwright", "ms": 7.0}
    ]
    (tmp_path / "results").mkdir()
    run = {"parts": [{"kind": "networks", "case": "", "outcome": "done", "rows": rows}]}
    (tmp_path / "results" / "2000-01-01-gpu.json").write_text(json.dumps(run))
    command.main(["--predict", "sm_90", "--only", "networks", "--folder", str(tmp_path)])
    lines = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| playground")]
    assert [line[-2].strip() for line in lines if line[4].strip() == "tf32" and "training" in line[3]] == ["7"]
    assert all(0 < float(line[6]) < 1 for line in lines)


def test_parts_run_at_once_and_stay_in_order(tmp_path):
    planned = [Part("hangs", "", 2), Part("dies", "", 30), Part("launches", "", 60)]
    path = session.hold(planned, 5, "", tmp_path, WORKER, quiet, at_once=3)
    assert [part["kind"] for part in json.loads(path.read_text())["parts"]] == ["hangs", "dies", "launches"]


def test_one_measures_while_the_others_wait(tmp_path, monkeypatch):
    monkeypatch.setenv(turn.FOLDER, str(tmp_path))
    said = []

    def other():
        with turn.beside():
            said.append("beside")

    thread = Thread(target=other)
    with turn.alone():
        thread.start()
        thread.join(0.2)
        said.append("alone")
    thread.join()
    assert said == ["alone", "beside"]
    with turn.beside(), turn.beside():
        said.append("two beside")


def test_numbers_that_json_has_not_become_none():
    assert worker._plain({"a": [float("nan"), 1.5, {"b": float("-inf")}], "c": "x"}) == {
        "a": [None, 1.5, {"b": None}],
        "c": "x",
    }


def test_what_is_wrong_is_said_so():
    right = [np.array([1.0, np.nan, np.inf], "float32"), np.array([3])]
    assert checks.compared("all", right, right, right, 0.0) == {
        "what": "all",
        "right": True,
        "error": 0.0,
        "same_again": True,
    }
    near = [right[0] + np.float32(1e-3), right[1]]
    row = checks.compared("near", near, right, right, 1e-3)
    assert row["right"] and row["error"] == pytest.approx(5e-4, rel=1e-3) and not row["same_again"]
    assert not checks.compared("too far", near, right, near, 1e-4)["right"]
    assert checks.off(np.array([1.0]), np.array([1.0], "float32")) == np.inf
    assert checks.off(np.array([1, 2]), np.array([1])) == np.inf
    assert not checks.off(np.array([np.nan]), np.array([1.0])) <= 1e9


def test_every_op_with_samples_is_checked_with_its_gradients():
    works = [work for share in range(check_ops.SHARES) for work in check_ops.programs(str(share))]
    assert {work.name for work in works} == {f"op {name}" for name, op in OPS.items() if op.samples}
    (tanh,) = [work for work in works if work.name == "op tanh"]
    assert len(tanh.outputs) == 2 * len(OPS["tanh"].samples)
    assert all([x.shape for x in work.inputs] == [v.shape for v in work.arrays()] for work in works)


def test_sessions_of_a_day_are_joined_the_newest_part_first(tmp_path):
    def session_of(name, day, card, *parts, outcome="done"):
        rows = [{"network": "mlp", "batch": 4, "mode": "train", "precision": "tf32", "by": name, "ms": 1.0}]
        kept = [{"kind": "networks", "case": c, "outcome": outcome, "rows": rows} for c in parts]
        about = {"date": day, "card": card, "arch": "sm_90", "cuda": "13.0", "command": name}
        about["machine"] = {"versions": {}, "cores": 16}
        (tmp_path / "results" / f"{name}-gpu.json").write_text(json.dumps({**about, "parts": kept}))

    (tmp_path / "results").mkdir()
    session_of("1", "day", "H100", "a", "b")
    session_of("2", "day", "A100", "z")
    session_of("3", "day", "H100", "b", "c")
    session_of("4", "day", "H100", "c", "d")
    session_of("5", "day", "H100", "a", "e", outcome="cut off")
    command.main(["--join", "--folder", str(tmp_path)])
    run = page.newest(tmp_path)
    assert run["command"] == "1; 3; 4; 5"
    found = {p["case"]: (p["outcome"], [row["by"] for row in p["rows"]]) for p in run["parts"]}
    want = {"a": ("done", ["5", "1"]), "b": ("done", ["3"]), "c": ("done", ["4"]), "d": ("done", ["4"])}
    assert found == want | {"e": ("cut off", ["5"])}  # what was cut off keeps its rows, and has the rest from before
    assert "| networks e | cut off |" in (tmp_path / "gpu.md").read_text()
