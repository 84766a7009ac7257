"""`benchmarks/README.md` and its charts, from the JSON files in `benchmarks/results/`.

The newest result of each network, mode, number of threads and precision counts, for each processor apart.
`python -m kernelwright.bench.report [FOLDER]` renders them again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .contenders import FLOAT32, BenchError
from .networks import CASES
from .svg import bars

HEAD = """# Benchmarks

Written by `kernelwright bench` from the newest results in `results/`; do not edit by hand.

Every contender runs in a process of its own, with the same weights and the same batches, and its results are compared
with ours before anything is timed: the logits of a batch, or the loss of a training step and of the one after it. Then
the contenders take turns for some rounds, and the medians of a step are compared, with lower and upper quartiles. A
ratio above 1 says that Kernelwright, in its faster way of being called, is faster than the fastest mode of any peer.
Only ratios within a race mean something where a machine is shared.

`--against` names the peers, torch,jax,onnxruntime unless told otherwise; pytensor (Theano's successor, for networks
without convolutions) and tinygrad (in its JIT; it compiles with clang, which must be on the path) race where they are
named and installed.

A training step is forward, backward and SGD with momentum, running averages included; dropout is off, so that all
compute the same numbers. In a race in bfloat16 (`--precision bfloat16`), convolutions and matrix products are of that
type on both sides, PyTorch's by autocast; the peak stays that of float32. GFLOP/s count the multiply-adds of dense
and convolutional layers, and are compared with the peak measured at the start: independent vector multiply-adds in
registers. Convolutions count as direct sums, whoever needs fewer products for them, so that more than 100% is
possible. "First call" is from the start of a new process to the end of the first call, less the time to make the
network and read its weights; "cold" with nothing compiled before, "warm" with the framework's own cache on disk.
Memory is the most a process has held (start and imports included), with what was held after the imports in brackets.
"""
MICRO = """## Single kernels

`pytest benchmarks/micro` times them, with GFLOP/s and GB/s: contractions of LeNet-5, an MLP, AlexNet, VGG-16, GoogLeNet
and ResNet (`micro/layer_shapes.py`) with both gradients, elementwise work, reductions, softmax, pooling, calls,
barriers and cold compiles. `-k lenet5` picks some, `--threads 1` sets the threads, `--benchmark-json FILE` keeps the
outcome, and `--benchmark-disable` runs each once. It needs `pip install -e ".[bench,test]"`. No outcome is kept here.
"""
QUICK = """## Has a kernel become slower?

`kernelwright bench --quick` measures single kernels in two minutes: five matrix products, in float32 and, where the CPU
has instructions for it, bfloat16, and the three heaviest contractions of the training steps of an MLP, LeNet-5,
ResNet-20, AlexNet, GoogLeNet, ResNet-18, ResNet-50 and VGG-16 (those of one shape taken together). Names of networks
measure only theirs and the products.

    kernelwright bench --quick --store      # before a change: keep what this machine reaches
    kernelwright bench --quick              # after it: exit code 1 where a kernel lost more than 15%

Every kernel is given as a share of the float32 peak of its threads, measured right before and after each of its turns,
so that a processor that slows down takes the peak with it; Winograd's products may pass 100%. The shares of a machine
are kept in `quick/`, in a file named after its processor and the number of threads. What the table says at the end of
a line:

| mark | the median of the turns | the upper quartile |
| --- | --- | --- |
| LOST | more than 15% below what is stored, also when measured a second time | as well |
| noise | more than 15% below what is stored | not, or fewer than three turns count |
| gained | above by what would be lost on the way back, as is the lower quartile | |
| new | nothing is stored of this kernel | |

A turn in which the peak itself moved by more than 10% does not count. Below the table stand the peak before, after and
meanwhile, and how many turns were left out; where most were, the machine was busy and says little. `--store` writes
nothing then, and else makes the exit code 0: what it stores is accepted.
"""
MODES = {"train": "training step", "infer": "inference"}


def write(folder: Path) -> Path:
    """`README.md` and the charts in `folder`, from the files in its `results`."""
    sections = [HEAD]
    by_processor = newest(folder / "results")
    for cpu, found in by_processor.items():
        sections.append(f"## On {processor(found)}\n")
        for mode, title in MODES.items():
            chosen = [r for r in found if r["mode"] == mode and r["ratio"] is not None]
            if chosen:
                (folder / f"{mode}-{cpu}.svg").write_text(chart(title, chosen))
                sections.append(f"![{title}: speed against the fastest mode of each peer]({mode}-{cpu}.svg)\n")
        sections.append(summary(found))
    if by_processor:
        sections.append("## Every race\n")
    sections += [detail(result) for found in by_processor.values() for result in found]
    depth = sorted((folder / "results").glob("*-depth.json"))
    if depth:
        sections.append(depths(json.loads(depth[-1].read_text())))
    starting = sorted((folder / "results").glob("*-starts.json"))
    if starting:
        sections.append(starts(json.loads(starting[-1].read_text())))
    predicted = sorted((folder / "results").glob("*-predictions.json"))
    if predicted:
        sections.append(predictions(json.loads(predicted[-1].read_text())))
    photographs = sorted((folder / "results").glob("*-imagenet.json"))
    if photographs:
        sections.append(imagenet([json.loads(path.read_text()) for path in photographs]))
    sections += [QUICK, MICRO]
    path = folder / "README.md"
    path.write_text("\n".join(sections))
    return path


def newest(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """By LLVM's name of the processor, that of the latest run first: the newest race of each network, mode, number of
    threads and precision, with the run it was in."""
    found: dict[str, dict[tuple[str, str, int, str], dict[str, Any]]] = {}
    for path in sorted(folder.glob("*-bench.json")):
        run = json.loads(path.read_text())
        about = {key: value for key, value in run.items() if key != "results"}
        cpu = run["machine"]["cpu"]
        here = found[cpu] = found.pop(cpu, {})
        for result in run["results"]:
            key = (result["network"], result["mode"], result["threads"], precision(result))
            here[key] = {**result, "run": about, "file": path.name}
    order = list(CASES)

    def place(r: dict[str, Any]) -> tuple[Any, ...]:
        return order.index(r["network"]), r["mode"] == "infer", r["threads"], precision(r) != FLOAT32

    return {cpu: sorted(races.values(), key=place) for cpu, races in reversed(found.items())}


def processor(races: Sequence[dict[str, Any]]) -> str:
    """The machine of these races in words."""
    machine = races[0]["run"]["machine"]
    return f"{machine['processor']} ({machine['cpu']}), {machine['cores']} cores"


def precision(result: dict[str, Any]) -> str:
    """The type of a race's convolutions and matrix products."""
    name: str = result.get("precision", FLOAT32)
    return name


def framework(contender: str) -> str:
    """The framework of a contender: the first word of its name."""
    return contender.partition(" ")[0].strip(",")


def _narrow(result: dict[str, Any]) -> str:
    return "" if precision(result) == FLOAT32 else f", {precision(result)}"


def fastest(result: dict[str, Any]) -> dict[str, str]:
    """The contender of each framework with the least median."""
    best: dict[str, str] = {}
    seconds = {name: c["seconds"]["median"] for name, c in result["contenders"].items()}
    for name in seconds:
        mine = framework(name)
        if mine not in best or seconds[name] < seconds[best[mine]]:
            best[mine] = name
    return best


def chart(title: str, results: Sequence[dict[str, Any]]) -> str:
    """Steps per second relative to the fastest peer, which is 1: a bar for each framework's fastest mode."""
    groups = {}
    for r in results:
        base = r["contenders"][r["best_peer"]]["seconds"]["median"]
        label = f"{r['network']}, {threads(r)}{_narrow(r)}"
        groups[label] = {f: base / r["contenders"][name]["seconds"]["median"] for f, name in fastest(r).items()}
    return bars(f"Speed, {title}", "relative to the fastest peer", groups)


def summary(results: Sequence[dict[str, Any]]) -> str:
    """One row per race."""
    rows = [
        [
            r["network"],
            MODES[r["mode"]],
            str(r["batch"]),
            str(r["threads"]),
            precision(r),
            milliseconds(r["contenders"][r["best"]]),
            f"{r['best_peer']}: {milliseconds(r['contenders'][r['best_peer']])}" if r["best_peer"] else "none",
            ratio(r),
            f"{r['contenders'][r['best']]['of_peak']:.0%}",
        ]
        for r in results
    ]
    head = [
        "network",
        "",
        "batch",
        "threads",
        "precision",
        "Kernelwright, ms",
        "fastest peer, ms",
        "ratio",
        "of the peak",
    ]
    return table(head, rows)


def detail(result: dict[str, Any]) -> str:
    """Every contender of one race."""
    run = result["run"]
    rows = []
    for name, c in result["contenders"].items():
        start = [sum(c["start"][kind][part] for part in ("import", "first_call")) for kind in ("cold", "warm")]
        memory = f"{c['memory']['peak'] / 1e6:.0f} ({c['memory']['imported'] / 1e6:.0f})"
        speed = [f"{c['gflops']:.1f}", f"{c['of_peak']:.0%}"]
        rows.append([name, milliseconds(c), *speed, *(f"{s:.1f}" for s in start), memory, f"{c['difference']:.0e}"])
    what = f"{result['network']}, {MODES[result['mode']]}, batch {result['batch']}"
    title = f"### {what}, {threads(result)}{_narrow(result)}, {run['machine']['cpu']}"
    peer = f"Ratio to {result['best_peer']}: **{ratio(result)}**." if result["best_peer"] else "No peer ran."
    versions = ", ".join(f"{k} {v}" for k, v in run["machine"]["versions"].items() if v != "not installed")
    peak = run["limits"][str(result["threads"])]
    about = (
        f"{run['date']}, {run['machine']['processor']} ({run['machine']['cpu']}), {run['machine']['cores']} cores; "
        f"measured peak {peak['flops'] / 1e9:.0f} GFLOP/s, {peak['bytes'] / 1e9:.0f} GB/s; Python "
        f"{run['machine']['python']}, {versions}; {result['rounds']} rounds; `{run['command']}` ({result['file']})"
    )
    heads = ["", "ms", "GFLOP/s", "of the peak", "first call cold, s", "warm, s", "memory, MB", "difference"]
    skipped = [f"- {name}: {why}" for name, why in result["skipped"].items()]
    return "\n".join(
        [title, "", peer, "", table(heads, rows), *(["Skipped:", "", *skipped, ""] if skipped else []), about, ""]
    )


def depths(result: dict[str, Any]) -> str:
    """Compile time by depth."""
    keys = ("kind", "depth", "graph", "compile", "kernels", "distinct")
    rows = [[f"{r[k]:.2f}" if isinstance(r[k], float) else str(r[k]) for k in keys] for r in result["rows"]]
    head = ["network", "layers", "graph and gradient, s", "compile, s", "kernels", "distinct"]
    title = "## Compile time by depth (empty kernel cache)"
    about = f"{result['date']}, {result['machine']['cpu']}, {result['machine']['cores']} cores; `{result['command']}`"
    return "\n".join([title, "", table(head, rows), about, ""])


def starts(result: dict[str, Any]) -> str:
    """Seconds and memory of new processes up to a compiled training step."""
    keys = (
        "network",
        "batch",
        "start",
        "import",
        "graph",
        "compile",
        "total",
        "first_step",
        "kernels",
        "distinct",
        "peak_mb",
    )
    rows = [[f"{r[k]:.2f}" if isinstance(r[k], float) else str(r[k]) for k in keys] for r in result["rows"]]
    head = ["network", "batch", "kernel cache", "import, s", "graph and gradient, s", "compile, s", "total, s"]
    head += ["then the first step, s", "kernels", "distinct", "memory after a step, MB"]
    title = "## New process to a compiled training step"
    about = f"{result['date']}, {result['machine']['cpu']}, {result['machine']['cores']} cores; `{result['command']}`"
    return "\n".join([title, "", table(head, rows), about, ""])


def predictions(run: dict[str, Any]) -> str:
    """Predicted beside measured seconds, by network and kind of kernel."""
    rows = [
        [
            f"{r['network']}, {r['batch']}",
            kind,
            str(k["kernels"]),
            _three(k["seconds"] * 1e3),
            _three(k["predicted"] * 1e3),
            f"{k['seconds'] / k['predicted']:.2f}",
            f"{k['within']:.0%}",
        ]
        for r in run["rows"]
        for kind, k in r["kinds"].items()
    ]
    head = ["network, batch", "kernels of a training step", "", "measured, ms", "predicted, ms", "ratio"]
    head.append("of the time, within 1.3 (contractions) or 1.5 of what was predicted")
    about = f"{run['date']}, {run['machine']['cpu']}, {threads(run)}; `{run['command']}`"
    return "\n".join(["## Predicted and measured", "", table(head, rows), about, ""])


def imagenet(runs: Sequence[dict[str, Any]]) -> str:
    """The newest training steps of each ImageNet network on photographs; `runs` from the oldest to the newest."""
    found = {r["network"]: (r, run) for run in runs for r in run["results"]}
    head = ["network", "input", "batch", "parameters", "GFLOP a step", "s a step", "of the peak", "first step, s"]
    head += ["memory, GB", "rate", "loss, step by step"]
    rows = []
    for name, (r, run) in found.items():
        if "error" in r:
            rows.append([name, *[""] * (len(head) - 2), r["error"]])
            continue
        size, work = "x".join(map(str, r["input"])), f"{r['flops'] / 1e9:.0f}"
        share = f"{r['flops'] / r['median'] / run['peak_flops']:.0%}"
        losses = ", ".join(f"{loss:.2f}" for loss in r["losses"]) + ("" if r["falls"] else " (does not fall)")
        rest = [_three(r["median"]), share, _three(r["seconds"][0]), f"{r['memory'] / 1e9:.1f}", str(r["rate"]), losses]
        rows.append([name, size, str(r["batch"]), f"{r['parameters']:,}", work, *rest])
    run = runs[-1]
    commands = ", ".join(f"`{each}`" for each in dict.fromkeys(run["command"] for _, run in found.values()))
    about = (
        f"Training steps on crops of {len(run['photographs'])} photographs through the image folder reader, from "
        f"random weights, with the recipe's loss and SGD with momentum {run['momentum']}; networks whose losses jump "
        "about at the rate of the others take a tenth of it. Every step has a new batch, so that losses are noisy. The "
        "first step includes compiling; the time is the median of the others, with nothing else started beside it. "
        f"{run['date']}, {run['machine']['cpu']}, {threads(run)}; {commands}"
    )
    return "\n".join(["## ImageNet networks on photographs", "", table(head, rows), about, ""])


def milliseconds(contender: dict[str, Any]) -> str:
    """Median and quartiles."""
    low, middle, high = (_three(contender["seconds"][key] * 1e3) for key in ("q1", "median", "q3"))
    return f"{middle} ({low} to {high})"


def _three(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def threads(result: dict[str, Any]) -> str:
    """The number of threads in words."""
    return f"{result['threads']} thread{'s' * (result['threads'] > 1)}"


def ratio(result: dict[str, Any]) -> str:
    """The ratio to the fastest peer with the quartiles over the rounds."""
    if result["ratio"] is None:
        return ""
    low, high = result["ratio_spread"]
    return f"{result['ratio']:.2f} ({low:.2f} to {high:.2f})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "benchmarks")
    if not (folder / "results").is_dir():
        raise BenchError(f"{folder} has no folder of results; run `kernelwright bench` first")
    print(write(folder))


if __name__ == "__main__":
    main()
