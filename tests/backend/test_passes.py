"""Passes leave a trace, can be printed and left out; options that a target does not take are refused in one line."""

import json
from pathlib import Path

import numpy as np
import pytest

import kernelwright as kw

X = np.linspace(-2, 2, 15, dtype="float32").reshape(3, 5)
CPU = [
    "simplify",
    "fast_convolutions",
    "sorted_sums",
    "part_joins",
    "recompute",
    "strided_gradients",
    "moments",
    "set_orders",
    "set_plane_gaps",
    "long_sums",
    "shared_reads",
    "order_kernels",
    "merge_axes",
    "schedule",
    "tune",
    "override_schedules",
    "numbers_from_memory",
]


def program(shift):
    """A new graph for each number, which no cache holds."""
    x = kw.input("x", (None, 5))
    return [x], [kw.exp(x * 1.0 + shift).sum(1)]


def test_every_pass_leaves_a_step_with_the_rules_it_applied():
    trace = kw.compile(*program(0.17)).trace
    assert [step.name for step in trace.steps] == CPU
    first = trace.steps[0]
    assert first.hits["x * 1"] == 1 and first.after < first.before
    assert "x * 1" in str(trace) and "set_orders" in str(trace)


def test_a_trace_as_data_says_where_each_rule_stands():
    steps = kw.compile(*program(0.171)).trace.data()
    assert json.loads(json.dumps(steps)) == steps and [s["pass"] for s in steps] == CPU
    (rule,) = [r for r in steps[0]["rules"] if r["rule"] == "x * 1"]
    file, line = rule["source"].split(":")
    assert rule["count"] == 1 and file.startswith("compiler/rewriting/rules/")
    written = (Path(kw.__file__).parent / file).read_text().splitlines()
    assert "x * 1" in "".join(written[int(line) - 1 : int(line) + 2])


def test_a_pass_is_printed_where_the_settings_say_so(monkeypatch, capfd):
    monkeypatch.setenv("KERNELWRIGHT_PRINT", "after:set_orders")
    kw.compile(*program(0.18))
    printed = capfd.readouterr().err
    assert printed.startswith("# after set_orders\n") and "exp(" in printed and "order (0, 1)" in printed
    monkeypatch.setenv("KERNELWRIGHT_PRINT", "set_orders")
    with pytest.raises(kw.CompileError, match="must be after:PASS"):
        kw.compile(*program(0.18))


@pytest.mark.parametrize("last", ["simplify", "recompute", "set_orders", "merge_axes"])
def test_later_passes_can_be_left_out(last, monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_STOP_AFTER", last)
    compiled = kw.compile(*program(0.19))
    ran = [step.name for step in compiled.trace.steps]
    needed = {"part_joins", "set_orders", "order_kernels", "schedule", "tune", "override_schedules"}
    assert ran == [name for i, name in enumerate(CPU) if i <= CPU.index(last) or name in needed]
    np.testing.assert_allclose(compiled(X), np.exp(X + 0.19).sum(1), rtol=1e-6)


def test_a_pass_that_there_is_not_is_refused(monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_STOP_AFTER", "simplfy")
    with pytest.raises(kw.CompileError, match="STOP_AFTER=simplfy names no pass; there are simplify, fast_conv"):
        kw.compile(*program(0.2))


@pytest.mark.parametrize(
    ("device", "options"),
    [
        ("cuda", {"schedules": {"*": "loops i0"}}),
        ("cuda", {"tune": True}),
        ("reference", {"schedules": {"*": "loops i0"}}),
        ("reference", {"tune": True}),
        ("reference", {"precision": "tf32"}),
        ("cpu", {"precision": "tf32"}),
    ],
)
def test_options_of_other_targets_are_refused(device, options):
    (name,) = options
    with pytest.raises(kw.CompileError, match=name) as refused:
        kw.compile(*program(0.21), device=device, **options)
    assert "\n" not in str(refused.value) and repr(device) in str(refused.value)
