"""The networks at a small size, each with what builds the same one in PyTorch.

Shared by `make_network_numbers`, which runs PyTorch, and by `test_networks_numbers`, which does not need it. Leans on
`torch_networks` and `torch_inception`, imported when one is built.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import kernelwright as kw


@dataclass(frozen=True)
class Case:
    """name, options: for `kw.models.build`; theirs: () -> the network in PyTorch; slow: more than half a second."""

    name: str
    options: dict[str, Any]
    theirs: Callable[[], Any]
    slow: bool = True
    training: bool = True
    batch: int = 2

    def build(self):
        """Our network in float64, of the weights of seed 0."""
        with kw.init.precision("float64"):
            return kw.models.build(self.name, **self.options)


def _networks(kind, *arguments, **options):
    def make():
        import torch_networks

        return getattr(torch_networks, kind)(*arguments, **options)

    return make


def _inception(kind, **options):
    def make():
        import torch_inception

        return getattr(torch_inception, kind)(5, **options)

    return make


def _dense(*sizes, between="Tanh", end=None):
    """Layers of these sizes on the flattened image."""

    def make():
        from torch import nn

        layers = [nn.Flatten()]
        for a, b in pairwise(sizes):
            layers += [nn.Linear(a, b), getattr(nn, between)()]
        return nn.Sequential(*layers[:-1], *([getattr(nn, end)()] if end else []))

    return make


def _two_classes(features):
    """(0, score): the linear SVM."""

    def make():
        from torch import nn

        return nn.Sequential(nn.Flatten(), nn.Linear(features, 1), nn.ConstantPad1d((1, 0), 0.0))

    return make


def _lenet5():
    from torch import nn

    pixels = [nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh()]
    dense = [nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)]
    return nn.Sequential(*pixels, nn.AvgPool2d(2), nn.Flatten(), *dense)


GREY = {"classes": 4, "input_shape": (1, 5, 6)}
QUIET = {"classes": 5, "dropout": 0.0}
VGG = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
RESNETS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}


def _plan(depths):
    return [what for width, n in zip((64, 128, 256, 512, 512), depths) for what in (*[width] * n, "M")]


CASES = [
    Case("perceptron", GREY, _dense(30, 4), slow=False),
    Case("rosenblatt", GREY, _dense(30, 4), slow=False),
    Case("svm", GREY, _dense(30, 4), slow=False),
    Case("linear_svm", {"input_shape": (1, 5, 6)}, _two_classes(30), slow=False),
    Case("mlp1986", GREY, _dense(30, 64, 4, between="Sigmoid", end="Sigmoid"), slow=False),
    Case("mlp", GREY, _dense(30, 512, 512, 4, between="ReLU"), slow=False),
    Case("playground", {}, _dense(2, 8, 8, 2), slow=False),
    Case("lenet5", {}, _lenet5, slow=False),
    Case("alexnet", {**QUIET, "input_shape": (3, 67, 67)}, _networks("AlexNet", 5, 1)),
    Case("zfnet", {**QUIET, "input_shape": (3, 64, 68)}, _networks("ZFNet", 5, 1)),
    *(
        Case(name, {**QUIET, "input_shape": (3, 32, 32)}, _networks("VGG", _plan(depths), 5, 1))
        for name, depths in VGG.items()
    ),
    Case(
        "googlenet",
        {**QUIET, "head_dropout": 0.0, "input_shape": (3, 80, 80)},
        _networks("GoogLeNet", 5, 1),
    ),
    *(
        Case(
            name,
            {"classes": 5, "input_shape": (3, 40, 40)},
            _networks("ResNet", depths, 5, bottleneck=name not in ("resnet18", "resnet34")),
        )
        for name, depths in RESNETS.items()
    ),
    *(
        Case(
            f"resnet{depth}",
            {"classes": 5, "input_shape": (3, 12, 8)},
            _networks("CifarResNet", depth, 5),
            slow=depth > 32,
        )
        for depth in (20, 32, 44, 56, 110)
    ),
    Case("resnet164_preact", {"classes": 5, "input_shape": (3, 8, 8)}, _networks("PreactivatedResNet", 164, 5)),
    Case("bn_inception", {"classes": 5, "input_shape": (3, 40, 40)}, _inception("bn_inception")),
    Case(
        "inception_v3",
        {**QUIET, "heads": False, "input_shape": (3, 107, 107)},
        _inception("inception_v3", heads=False),
        batch=3,
    ),
    *(
        Case(name, {**QUIET, "input_shape": (3, 107, 107)}, _inception(name), batch=3)
        for name in ("inception_v4", "inception_resnet_v1", "inception_resnet_v2")
    ),
]


def digest(arrays):
    """What is kept of (outputs..., gradients...): small arrays whole, of the others the norm and five elements."""
    import numpy as np

    rows = []
    for a in arrays:
        flat = np.asarray(a, "float64").ravel()
        picked = flat if flat.size <= 20 else flat[np.linspace(0, flat.size - 1, 5).astype(int)]
        rows.append({"shape": list(a.shape), "norm": float(np.linalg.norm(flat)), "elements": picked.tolist()})
    return rows


def kept(model, arrays, training):
    """The outputs, the gradient by the image, and those by the first two and last two parameters, digested; and the
    norm of all gradients by parameters."""
    import numpy as np

    outputs = 1 + (len(model.net.heads()) if training else 0)
    parameters = arrays[outputs + 1 :]
    total = float(np.sqrt(sum(np.vdot(g, g) for g in parameters)))
    chosen = [*arrays[: outputs + 1], *parameters[:2], *parameters[-2:]]
    return {"parameters": len(parameters), "total": total, "arrays": digest(chosen)}
