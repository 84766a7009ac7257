"""The page of training results, drawn from the files that `results` wrote: tables, the errors over the years, mistakes.

Leans on matplotlib, an extra, for the pictures, and on `published` for the runs and what their authors reached.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..models.evaluation import figures
from ..models.evaluation.result import Evaluation
from ..models.recipe_files import read
from .published import RUNS, Run

SHOWN = {"resnet20-cifar10-short": "resnet20_cifar10_mistakes.png", "resnet20-mnist": "resnet20_mnist_mistakes.png"}
"""The runs whose worst mistakes the page shows, and the picture beside it that has them."""
YEARS = "results.svg"
TITLES = {
    "mnist": "Digits: MNIST, 60,000 + 10,000",
    "usps": "Zip codes: USPS, 7,291 + 2,007",
    "fashion-mnist": "Clothing: Fashion-MNIST, 60,000 + 10,000",
    "cifar10": "Colour images: CIFAR-10, 50,000 + 10,000",
}
NOTES = {
    "cifar10": "The files were JPEG copies of quality 75 with colour at half resolution (32x32 pixels in 920 bytes on "
    "average), which cost accuracy: after 36 epochs 93.5 % of the training images were right."
}
"""What has to be known of the data of the runs above, by data set."""
HEAD = """# Results

What the networks of this history reach here, beside what their authors published. Made by

```sh
python -m kernelwright.bench.results
```

which trains each recipe on all training images, without a look at the test images before the end, and goes on where it
was stopped. Each row is one run with seed 0, and has the command that repeats it; the recipes are in `models/recipes/`.
An error is given with the 95 % interval of its count (Wilson 1927). Minutes are those of training, without compiling
and reading; the machine was shared, so they are no measure of speed. The numbers are in `benchmarks/results/training/`.
"""


def write(outcomes: Path, page: Path) -> int:
    """Write the page and its pictures from the files in `outcomes`; returns how many runs there are."""
    done = {path.stem: json.loads(path.read_text()) for path in sorted(outcomes.glob("*.json"))}
    finished = [(run, done[run.name]) for run in RUNS if run.name in done]
    if not finished:
        return 0
    draw_years(finished, page.parent / YEARS)
    parts = [HEAD]
    machines = sorted({_machine(told) for _, told in finished})
    parts.append("Machine: " + "; ".join(machines) + ".\n")
    for data, title in TITLES.items():
        rows = [(run, told) for run, told in finished if read(run.recipe).data == data]
        if rows:
            parts += [f"## {title}\n", table(rows)]
            if data in NOTES:
                parts.append(NOTES[data] + "\n")
        if data == "mnist" and rows:
            parts += ["## The errors over the years\n", f"![test errors by the year of the network]({YEARS})\n"]
    for name, picture in SHOWN.items():
        if name in done and (page.parent / picture).exists():
            parts += [
                f"## The surest mistakes of `{name}`\n",
                f"![what was said, how sure, and what it is]({picture})\n",
            ]
    page.write_text("\n".join(parts))
    return len(finished)


def table(rows: Iterable[tuple[Run, dict[str, Any]]]) -> str:
    """A row for each run."""
    lines = [
        "| network | year | test error | published | epochs | minutes | parameters | command |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for run, told in rows:
        low, high = (100 * (1 - edge) for edge in reversed(told["test"]["top1"]["interval"]))
        published = "" if run.error is None else f"{run.error:g} % ({run.source})"
        cells: Sequence[str] = (
            run.title,
            str(run.year),
            f"**{error(told):.2f} %** ({low:.2f} to {high:.2f})",
            published,
            str(told["epochs"]),
            f"{told['training_seconds'] / 60:.1f}",
            f"{told['parameters']:,}",
            f"`{told['command']}`",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def error(told: dict[str, Any]) -> float:
    """Per cent of the test images."""
    return 100.0 * (1.0 - float(told["test"]["top1"]["value"]))


def draw_years(finished: Sequence[tuple[Run, dict[str, Any]]], path: Path) -> None:
    """The test errors on MNIST over the years of the networks, ours and the published ones, on a logarithmic scale."""
    from matplotlib.figure import Figure

    rows = [(run, told) for run, told in finished if read(run.recipe).data == "mnist"]
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    for run, told in rows:
        ours = error(told)
        if run.error is not None:
            axes.plot([run.year, run.year], [ours, run.error], color="lightgrey", zorder=1)
            axes.plot(run.year, run.error, "o", color="tab:grey", fillstyle="none", zorder=2)
        axes.plot(run.year, ours, "o", color="tab:blue", zorder=3)
        axes.annotate(
            f"{run.name.removesuffix('-mnist')}  {ours:.2f} %",
            (run.year, ours),
            xytext=(6, 2),
            textcoords="offset points",
            fontsize=8,
        )
    best, years = [], sorted({run.year for run, _ in rows})
    for year in years:
        best.append(min(error(told) for run, told in rows if run.year <= year))
    axes.step(years, best, where="post", color="tab:blue", linewidth=1, alpha=0.5)
    axes.plot([], [], "o", color="tab:blue", label="here")
    axes.plot([], [], "o", color="tab:grey", fillstyle="none", label="published")
    axes.set(yscale="log", xlabel="year of the network", ylabel="test error, per cent of MNIST", xlim=(1953, 2026))
    axes.set_yticks([0.25, 0.5, 1, 2, 5, 10, 20], ["0.25", "0.5", "1", "2", "5", "10", "20"])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, metadata={"Date": None})


def draw_mistakes(found: Evaluation, path: Path) -> None:
    """The mistakes that the network was surest of."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.6), layout="constrained")
    figures.draw_mistakes(figure, found)
    figure.savefig(path, dpi=80)


def _machine(told: dict[str, Any]) -> str:
    where = told["machine"]
    return f"{where['processor']}, {told['threads']} threads, {told['date']}"
