"""The benchmark: what is asked for, what is compared, what is written. Nothing here asserts a time."""

import json

import numpy as np
import pytest

from kernelwright import models
from kernelwright.bench import contenders, ours, peak, race, racer, session
from kernelwright.bench.contenders import BenchError, Setup
from kernelwright.bench.networks import CASES, case
from kernelwright.compiler.targets.cpu.core import core
from kernelwright.compiler.targets.shared.inspect import Roofline
from kernelwright.models.initializers import undrawn


def test_results_that_agree_give_the_differences():
    mine = np.array([1.0, -4.0])
    found = race.agree("n", {"kernelwright": mine, "peer": mine + [0.0, 0.002]})
    assert found["kernelwright"] == 0 and found["peer"] == pytest.approx(0.0005)


@pytest.mark.parametrize("theirs", [[1.0, -4.1], [np.nan, -4.0], [1.0, -4.0, 2.0]])
def test_results_that_disagree_are_an_error(theirs):
    with pytest.raises(race.DisagreementError, match=r"lenet5.*peer"):
        race.agree("lenet5", {"kernelwright": np.array([1.0, -4.0]), "peer": np.array(theirs)})


def test_losses_that_are_no_numbers_do_not_agree_with_themselves():
    with pytest.raises(race.DisagreementError):
        race.agree("n", {"kernelwright": np.array([np.nan]), "peer": np.array([np.nan])})


def test_weights_match_by_order_and_shape():
    weights = [np.zeros((3, 2)), np.zeros(3)]
    contenders.check_weights("n", weights, [("a", (3, 2)), ("b", (3,))])
    with pytest.raises(BenchError, match=r"n: parameter 1 has shape \(3,\).*b has \(2,\)"):
        contenders.check_weights("n", weights, [("a", (3, 2)), ("b", (2,))])
    with pytest.raises(BenchError, match="2 parameters, its definition for the peers 1"):
        contenders.check_weights("n", weights, [("a", (3, 2))])


@pytest.mark.parametrize("name", CASES)
def test_definitions_have_our_parameters(name):
    pytest.importorskip("torch")
    from kernelwright.bench.networks import definition

    if name not in models.names():
        pytest.skip(f"there is no network {name}")
    with undrawn():
        shapes = [tuple(p.shape) for p in ours.network(name).parameters()]
    contenders.check_weights(name, [np.broadcast_to(0, s) for s in shapes], [
        (n, tuple(p.shape)) for n, p in definition(name).named_parameters()
    ])  # fmt: skip


def test_flops_are_those_of_products():
    layers = [2 * 8, 8 * 8, 8 * 2]
    model = ours.network("playground")
    assert ours.flops(model, 5, training=False) == 2 * 5 * sum(layers)
    assert ours.flops(model, 5, training=True) == 2 * 5 * (3 * sum(layers) - layers[0])


def test_limits_of_the_machine():
    found = peak.measure(1, repeats=1)
    assert found.threads == 1 and found.flops > 1e8 and found.bytes > 1e6
    assert found.cycle == pytest.approx(2 * ours_lanes() / found.flops / core().kept_up)
    sizes = [most for most, _ in found.streams]
    assert sizes == sorted(sizes) and min(rate for _, rate in found.streams) > 1e6


def test_what_fits_a_cache_is_fetched_at_the_speed_of_a_stream_as_long():
    limits = Roofline(1, 1.0, 10.0, 1.0, streams=((100, 50.0), (1000, 20.0)))
    assert [limits.fetching(size) for size in (50, 100, 200, 1000, 2000)] == [1.0, 2.0, 10.0, 50.0, 200.0]


def ours_lanes():
    from kernelwright.compiler.targets.cpu.machine import target

    return target().lanes("float32")


def test_options_become_races():
    planned = session.races(["mlp", "lenet5"], "torch", threads=1, mode="both", rounds=4)
    assert [(r.network, r.training) for r in planned] == [
        ("mlp", True), ("mlp", False), ("lenet5", True), ("lenet5", False)
    ]  # fmt: skip
    assert all((r.batch, r.threads, r.rounds, r.peers) == (128, 1, 4, ("torch",)) for r in planned)
    assert {r.network for r in session.races([], mode="train")} == set(CASES)


@pytest.mark.parametrize("options, words", [
    ({"networks": ["lenet"]}, "lenet5"),
    ({"networks": [], "against": "torch,mxnet"}, "'mxnet'.*torch, jax, onnxruntime"),
    ({"networks": [], "mode": "test"}, "'test'.*train, infer, both"),
    ({"networks": [], "threads": 10_000}, "10000 threads"),
])  # fmt: skip
def test_mistakes_are_errors(options, words):
    with pytest.raises(BenchError, match=words):
        session.races(**options)


def test_channels_last_is_for_images_and_many_steps_for_small_networks():
    names = {c.name for c in contenders.entered(["torch", "jax"], images=False, many=False)}
    assert names == {"kernelwright", "torch eager", "torch compiled", "jax jit"}
    assert len(contenders.entered(contenders.PEERS, images=True, many=True)) == len(contenders.CONTENDERS)


def test_a_peer_without_convolutions_races_dense_networks_only(monkeypatch):
    monkeypatch.setattr(contenders, "find_spec", lambda name: True)
    unfit = {name: race._unfit(contenders.named("pytensor"), race.Race(name, True, 4, 1)) for name in ("mlp", "lenet5")}
    assert unfit == {"mlp": None, "lenet5": "dense networks only"}


def test_a_worker_that_fails_says_why(tmp_path):
    with pytest.raises(racer.WorkerError, match=r"kernelwright failed.*nothing"):
        racer.Racer(Setup("kernelwright", "nothing", True, 1, 1, 0.1, str(tmp_path)), tmp_path / "cache")


def test_absent_peers_are_skipped_and_said_so(tmp_path, monkeypatch):
    monkeypatch.setattr(contenders, "find_spec", lambda name: None)
    said = []
    planned = session.races(["playground"], "torch,jax", batch=4, threads=1, mode="infer", rounds=2)
    session.hold(planned, "kernelwright bench playground", tmp_path, said.append)
    (path,) = (tmp_path / "results").glob("*-bench.json")
    outcome = json.loads(path.read_text())
    assert {"date", "command", "machine", "limits", "results"} <= set(outcome) and "1" in outcome["limits"]
    (result,) = outcome["results"]
    assert result["ratio"] is None and set(result["contenders"]) == {"kernelwright", "kernelwright many steps"}
    assert set(result["skipped"]) == {"torch eager", "torch compiled", "jax jit", "jax many steps"}
    assert "pip install torch" in result["skipped"]["torch eager"]
    assert any("torch eager: skipped, not installed" in line for line in said)
    mine = result["contenders"]["kernelwright"]
    assert mine["seconds"]["min"] <= mine["seconds"]["median"] <= mine["seconds"]["max"] and mine["gflops"] > 0
    assert set(mine["start"]) == {"cold", "warm"} and mine["memory"]["peak"] >= mine["memory"]["imported"] > 1e7
    assert "playground, inference, batch 4, 1 thread, " in (tmp_path / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name, training", [("playground", False), ("lenet5", True)])
def test_every_peer_agrees_with_us(name, training):
    pytest.importorskip("torch")
    found = race.run(race.Race(name, training, 4, 1, rounds=1), peak.measure(1), lambda line: None)
    assert found["best_peer"] in found["contenders"] and found["ratio"] > 0
    installed = [c for c in contenders.CONTENDERS if c.missing() is None]
    images = case(name).convolutional
    fit = [c for c in installed if images >= c.channels_last and c.trains >= training and c.convolves >= images]
    expected = {c.name for c in fit}
    assert set(found["contenders"]) == expected, found["skipped"]
    assert all(c["difference"] < 1e-5 for c in found["contenders"].values())
