"""`kernelwright see untangle`: how well a linear classifier tells the classes apart after each layer."""

from __future__ import annotations

from ..judging import Weights
from ..options import Json, Threads, write_json
from .asked import Among, DataSet, Folder, NetworkOption, Plot, Seed, opened, test_images, working


def untangle(
    data: DataSet,
    network: NetworkOption,
    weights: Weights,
    among: Among = 1000,
    seed: Seed = 0,
    folder: Folder = None,
    threads: Threads = None,
    out: Plot = None,
    json_file: Json = None,
) -> None:
    """How far classes have come apart after each layer: `kernelwright see untangle mnist --network mlp --weights F`.

    A linear classifier is made from seven tenths of the test images, and measured on the others.
    """
    from ...models import vision
    from ...models.vision.figures import check

    if out is not None:
        check(out)
    model = opened(network, weights, None, json_file, out)
    pixels, labels = test_images(data, model, folder, among)
    with working(f"linear classifiers of {len(pixels)} images"):
        found = vision.untangling(model, pixels, labels, seed=seed, threads=threads)
    rows = list(zip(found.layers, found.sizes, found.training.tolist(), found.held_out.tolist(), strict=True))
    width = max(map(len, found.layers))
    for layer, size, _, held_out in rows:
        print(f"{layer:{width}}  {size:8d} numbers  {held_out:6.1%}")
    print(f"{'most frequent class':{width}}  {found.chance:.1%}")
    if out is not None:
        vision.plot(out, found)
    layers = [dict(zip(("layer", "size", "training", "held_out"), row, strict=True)) for row in rows]
    write_json(json_file, {"what": "untangle", "network": model.name, "chance": found.chance, "layers": layers})
