"""`kernelwright train` and `kernelwright recipes`: a network trained as a recipe and the options say.

Options win over the recipe, the recipe over what the network has by itself; a resumed run goes on as it began. Leans on
`training` for the parts of it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import DATA, Json, Network, Threads, network_of, write_json


def train(
    network: Network,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="How: `kernelwright recipes` lists them; or a .toml file.")
    ] = None,
    data: Annotated[str | None, typer.Option(help=DATA + " Default: the recipe's, else one for the network.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Its files (default: $KERNELWRIGHT_DATA/<data>).")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs in all (default: the resumed run's, or the recipe's).")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Batch size (default: the recipe's).")] = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", "--lr", help="Learning rate.")] = None,
    threads: Threads = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the weights and the order of examples (default: 0).")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda (or cuda:1, ...), or reference (NumPy, slow).")] = "cpu",
    label_smoothing: Annotated[
        float | None, typer.Option(help="Of a cross-entropy, in training and testing: 0.1 (default: the recipe's).")
    ] = None,
    clip_norm: Annotated[float | None, typer.Option(help="Limit of the gradients' global norm.")] = None,
    ema: Annotated[float | None, typer.Option(help="Decay of averaged weights, used for testing: 0.999.")] = None,
    accumulate: Annotated[int | None, typer.Option(min=1, help="Batches whose gradients make one update.")] = None,
    adversarial: Annotated[
        float | None, typer.Option(help="Half of the loss is of images moved so far to raise it: 0.25.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="Of convolutions and products: float32, bfloat16; tf32 on cuda.")
    ] = None,
    augment: Annotated[
        str | None, typer.Option(help="Random changes of training images: rotate=10,scale=0.1,flip; docs/images.md.")
    ] = None,
    tune: Annotated[bool, typer.Option("--tune", help="First choose tiles by timing them; remembered.")] = False,
    validation: Annotated[
        float | None,
        typer.Option(help="Part of the training data held out to watch the run (default: 0.1); 0 trains on all."),
    ] = None,
    patience: Annotated[
        int | None, typer.Option(min=1, help="Stop once the validation loss has not fallen for so many epochs.")
    ] = None,
    best: Annotated[
        Path | None, typer.Option(help="A file for the epoch of best validation accuracy (or loss), then tested.")
    ] = None,
    log: Annotated[Path | None, typer.Option(help="A .csv or .jsonl file, one line per epoch.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Learning curves: .png, .svg or .pdf.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Saved after each epoch, on Ctrl-C and on SIGTERM.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Continue from a checkpoint, which stays as it is unless --checkpoint names it.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")] = False,
    json_file: Json = None,
) -> None:
    """Train a network: `kernelwright train lenet5`, `kernelwright train mlp --data mnist --epochs 5`."""
    from ..models import callbacks
    from ..models.data import load
    from ..models.trainer import Trainer
    from . import training

    started = time.perf_counter()
    outputs = (("the outcome", json_file), ("the checkpoint", checkpoint), ("the learning curves", plot))
    training.try_outputs(*outputs, ("the best epoch", best))
    begun = training.begun(resume)
    seeded = begun.get("seed", 0) if seed is None else seed
    model = network_of(network, seeded)
    try:
        asked = {"recipe": recipe, "data": data, "validation": validation, "augment": augment}
        run = training.chosen(model, asked, begun, resume)
        if not run.validation and (patience is not None or best is not None):
            raise ValueError("--patience and --best watch validation examples: leave out --validation 0")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    examples = training.divided(load(run.data, folder, model.input_shape), run.validation, seeded)
    model = training.model_for(network, model, examples, seeded)
    try:
        training.train_as(model, run.recipe, begun, resume, learning_rate, label_smoothing)
        updates = {"clip_norm": clip_norm, "ema": ema, "accumulate": accumulate, "precision": precision}
        updates["adversarial"] = adversarial
        options: dict[str, Any] = {key: getattr(run, key) if value is None else value for key, value in updates.items()}
        options["precision"] = None if options["precision"] == "float32" else options["precision"]
        options["augment"] = training.augmented(run.augment, examples, seeded)
        trainer = Trainer(model, None, None, device, threads, seeded, batch, tune=tune, **options)
        watchers: list[Any] = [callbacks.log(log)] if log is not None else []
        watchers += [callbacks.Plot(plot)] if plot is not None else []
        watchers += [callbacks.EarlyStopping(patience=patience)] if patience is not None else []
    except (ValueError, ImportError) as error:
        raise typer.BadParameter(str(error)) from None
    if resume is not None:
        given = {"learning_rate": learning_rate, "batch": batch, "seed": seed, "label_smoothing": label_smoothing}
        training.resume(trainer, resume, examples, given)
    trainer.notes = run.notes()
    if not quiet:
        training.announce(run, trainer, resume)
    try:  # the test set is not within reach of what watches
        history = trainer.fit(
            examples.train, epochs, examples.validation, checkpoint, watchers, progress=not quiet, best=best
        )
    except KeyboardInterrupt as stop:
        source = ["--data", run.data, *([] if folder is None else ["--folder", str(folder)])]
        raise typer.Exit(training.stopped(stop, trainer, network, checkpoint, source)) from None
    epochs_done = trainer.epoch
    measured, which = training.tested(trainer, examples.test, best)
    words, numbers = training.outcome(measured)
    seconds = time.perf_counter() - started
    print(f"{network} on {run.data}: {words} {which}, {seconds:.1f} s in all")
    write_json(
        json_file,
        {
            "network": network,
            **run.notes(),
            **numbers,
            "tested_epoch": trainer.epoch,
            "epochs": epochs_done,
            "seconds": seconds,
            "seed": trainer.seed,
            "history": history,
        },
    )


def recipes(
    name: Annotated[str | None, typer.Argument(metavar="[NAME|FILE]", help="A recipe to show and check.")] = None,
    json_file: Json = None,
) -> None:
    """List the recipes, or print one: `kernelwright recipes lenet5-mnist`."""
    from ..models import recipe_files

    if name is not None:
        settings = recipe_files.read(name)
        print(recipe_files.text(name), end="")
        write_json(json_file, {"name": settings.name, "text": recipe_files.text(name)})
        return
    found = [recipe_files.read(each) for each in recipe_files.names()]
    width = max(len(each.name) for each in found)
    print("\n".join(f"{each.name:{width}}  {recipe_files.described(each)}" for each in found))
    write_json(json_file, {"recipes": [each.name for each in found]})
