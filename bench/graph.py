"""A network's definition as a plain list of operations, for peers that are no PyTorch: traced once, kept as JSON.

Leans on torch.fx; what reads the list needs no torch.
"""

from __future__ import annotations

import json
import operator
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from .contenders import BenchError
from .networks import definition

FUNCTIONS = {
    operator.add: "add",
    torch.add: "add",
    torch.cat: "concat",
    torch.flatten: "flatten",
    torch.relu: "relu",
    functional.relu: "relu",
    torch.tanh: "tanh",
    operator.getitem: "slice",
    functional.pad: "pad",
}


def write(network: str, training: bool, folder: Path) -> None:
    """`graph.json` in `folder`: {"nodes": [...], "outputs": [names]}.

    A node has a name, an op, the names of its inputs, the positions of its parameters in the network's list (a
    BatchNorm's statistics are counted apart, in order), and attributes.
    """
    net = definition(network).train(training)
    positions = {id(p): i for i, p in enumerate(net.parameters())}
    norms = 0
    nodes: list[dict[str, Any]] = []
    outputs: list[str] = []
    for node in fx.symbolic_trace(net).graph.nodes:
        if node.op == "output":
            found = node.args[0] if isinstance(node.args[0], (tuple, list)) else [node.args[0]]
            outputs = [x.name for x in found]
            continue
        row: dict[str, Any] = {"name": node.name, "inputs": [x.name for x in node.all_input_nodes], "parameters": []}
        if node.op == "placeholder":
            row["op"] = "input"
        elif node.op == "call_module":
            module = net.get_submodule(node.target)
            row |= _module(module)
            row["parameters"] = [positions[id(p)] for p in module.parameters()]
            if row["op"] == "batchnorm":
                row["statistics"], norms = norms, norms + 1
        elif node.op == "call_function" and node.target in FUNCTIONS:
            row["op"] = FUNCTIONS[node.target]
            row |= _arguments(row["op"], node)
        else:
            raise BenchError(f"{network}: {node.format_node()} has no translation for other frameworks")
        nodes.append(row)
    (folder / "graph.json").write_text(json.dumps({"nodes": nodes, "outputs": outputs}))


def _module(module: nn.Module) -> dict[str, Any]:
    """The op and attributes of a module."""
    match module:
        case nn.Conv2d():
            return {"op": "conv", "stride": _pair(module.stride), "pad": _pair(module.padding), "groups": module.groups}
        case nn.Linear():
            return {"op": "linear"}
        case nn.BatchNorm2d():
            return {"op": "batchnorm", "eps": module.eps, "momentum": module.momentum}
        case nn.MaxPool2d() | nn.AvgPool2d():
            kind = "maxpool" if isinstance(module, nn.MaxPool2d) else "avgpool"
            window, stride = _pair(module.kernel_size), _pair(module.stride)
            shape = {"window": window, "stride": stride, "pad": _pair(module.padding)}
            return {"op": kind, **shape, "ceil": module.ceil_mode}
        case nn.AdaptiveAvgPool2d() if module.output_size in (1, (1, 1)):
            return {"op": "globalavgpool"}
        case nn.LocalResponseNorm():
            return {"op": "lrn", "size": module.size, "alpha": module.alpha, "beta": module.beta, "k": module.k}
        case nn.Flatten():
            return {"op": "flatten"}
        case nn.ReLU():
            return {"op": "relu"}
        case nn.Tanh():
            return {"op": "tanh"}
        case nn.Dropout() | nn.Identity():
            return {"op": "identity"}
    raise BenchError(f"{type(module).__name__} has no translation for other frameworks")


def _arguments(op: str, node: fx.Node) -> dict[str, Any]:
    """The attributes of a function's call: the steps of a slice, the zeros of a pad."""
    if op == "slice":
        return {"steps": [[s.start, s.stop, s.step] for s in node.args[1]]}  # type: ignore[union-attr]
    if op == "pad":
        return {"zeros": list(node.args[1])}  # type: ignore[arg-type]
    return {}


def _pair(what: Any) -> list[int]:
    return [what, what] if isinstance(what, int) else list(what)
