"""What torchvision calls the layers of networks that are also ours, as data.

A network's row has torchvision's names of the layers that hold values, in the order of ours; `load_weights` reads
torchvision's files by them. The names are those of `torchvision.models` 0.28.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..model import Model
from ..named_state import holding
from ..scaling import Scaling

HEADS = {"inception_v3": ("AuxLogits",)}
"""The auxiliary classifiers, which `heads=False` leaves out."""

NEVER = {"googlenet_torchvision": ("aux1", "aux2")}
"""Those of torchvision's that our network never has."""

IMAGENET = Scaling((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
FROM_TENSORFLOW = Scaling((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""What images from 0 to 1 are scaled by, and where values came from TensorFlow (torchvision's `transform_input`)."""


def scaling_of(network: str) -> Scaling:
    """How images were scaled that torchvision's network of this name was trained on."""
    return FROM_TENSORFLOW if network in ("inception_v3", "googlenet_torchvision") else IMAGENET


def paths(model: Model) -> dict[str, str]:
    """For each layer that holds values, by its path here, its name in torchvision; empty where none are known."""
    name = model.built_by[0] if model.built_by else ""
    if name not in LAYERS:
        return {}
    here = holding(model.net)
    there = [layer for layer in LAYERS[name] if not _left_out(layer, model)]
    return dict(zip(here, there, strict=True))


def without_heads(model: Model, names: Sequence[str]) -> list[str]:
    """The names of values but those of auxiliary classifiers that the network was built without."""
    return [name for name in names if not _left_out(name, model)]


def _left_out(name: str, model: Model) -> bool:
    network, options = model.built_by or ("", {})
    absent = NEVER.get(network, ()) + (HEADS.get(network, ()) if options.get("heads") is False else ())
    return name.split(".")[0] in absent


def _normed(layers: str, prefix: str = "") -> Iterator[str]:
    """Each a convolution with its batch norm."""
    for layer in layers.split():
        yield from (f"{prefix}{layer}.conv", f"{prefix}{layer}.bn")


def _vgg(*depths: int) -> Iterator[str]:
    place = 0
    for depth in depths:
        yield from (f"features.{place + 2 * k}" for k in range(depth))
        place += 2 * depth + 1
    yield from ("classifier.0", "classifier.3", "classifier.6")


def _resnet(convolutions: int, *depths: int) -> Iterator[str]:
    """Blocks of so many convolutions; the first of a stage projects its shortcut where the shape changes."""
    yield from ("conv1", "bn1")
    for stage, depth in enumerate(depths, 1):
        for block in range(depth):
            name = f"layer{stage}.{block}"
            for k in range(1, convolutions + 1):
                yield from (f"{name}.conv{k}", f"{name}.bn{k}")
            if block == 0 and (stage > 1 or convolutions == 3):
                yield from (f"{name}.downsample.0", f"{name}.downsample.1")
    yield "fc"


FIGURE_5 = "branch1x1 branch5x5_1 branch5x5_2 branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3 branch_pool"
FIGURE_6 = (
    "branch1x1 branch7x7_1 branch7x7_2 branch7x7_3 "
    "branch7x7dbl_1 branch7x7dbl_2 branch7x7dbl_3 branch7x7dbl_4 branch7x7dbl_5 branch_pool"
)
FIGURE_7 = (
    "branch1x1 branch3x3_1 branch3x3_2a branch3x3_2b "
    "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3a branch3x3dbl_3b branch_pool"
)
INCEPTION_V3 = {
    "Mixed_5b.": FIGURE_5,
    "Mixed_5c.": FIGURE_5,
    "Mixed_5d.": FIGURE_5,
    "Mixed_6a.": "branch3x3 branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3",
    "Mixed_6b.": FIGURE_6,
    "Mixed_6c.": FIGURE_6,
    "Mixed_6d.": FIGURE_6,
    "Mixed_6e.": FIGURE_6,
    "AuxLogits.": "conv0 conv1",
    "Mixed_7a.": "branch3x3_1 branch3x3_2 branch7x7x3_1 branch7x7x3_2 branch7x7x3_3 branch7x7x3_4",
    "Mixed_7b.": FIGURE_7,
    "Mixed_7c.": FIGURE_7,
}


def _inception_v3() -> Iterator[str]:
    yield from _normed("Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 Conv2d_3b_1x1 Conv2d_4a_3x3")
    for module, layers in INCEPTION_V3.items():
        yield from _normed(layers, module)
        if module == "AuxLogits.":
            yield "AuxLogits.fc"
    yield "fc"


def _googlenet() -> Iterator[str]:
    yield from _normed("conv1 conv2 conv3")
    for module in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        yield from _normed("branch1 branch2.0 branch2.1 branch3.0 branch3.1 branch4.1", f"inception{module}.")
    yield "fc"


ALEXNET = [f"features.{k}" for k in (0, 3, 6, 8, 10)] + [f"classifier.{k}" for k in (1, 4, 6)]

LAYERS: Mapping[str, Sequence[str]] = {
    "alexnet_torchvision": ALEXNET,
    "googlenet_torchvision": list(_googlenet()),
    "inception_v3": list(_inception_v3()),
    "resnet18": list(_resnet(2, 2, 2, 2, 2)),
    "resnet34": list(_resnet(2, 3, 4, 6, 3)),
    "resnet50": list(_resnet(3, 3, 4, 6, 3)),
    "resnet101": list(_resnet(3, 3, 4, 23, 3)),
    "resnet152": list(_resnet(3, 3, 8, 36, 3)),
    "vgg11": list(_vgg(1, 1, 2, 2, 2)),
    "vgg13": list(_vgg(2, 2, 2, 2, 2)),
    "vgg16": list(_vgg(2, 2, 3, 3, 3)),
    "vgg19": list(_vgg(2, 2, 4, 4, 4)),
}
"""For each of our networks, torchvision's names of its layers with values, in order."""
