"""ONNX Runtime as a contender, for inference: the network's graph as an ONNX model, run in one session.

Leans on onnx and onnxruntime, and on the network's graph as `graph.py` wrote it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto, TensorProto, helper, numpy_helper

from .contenders import Contender, Setup

OPSET, FORMAT = 17, 8
SAME = {"relu": "Relu", "tanh": "Tanh", "identity": "Identity", "add": "Add", "globalavgpool": "GlobalAveragePool"}


class Translation:
    """The graph's nodes as ONNX nodes, with the weights as initializers."""

    def __init__(self, graph: dict[str, Any], weights: list[np.ndarray]):
        self.weights = weights
        self.constants: list[TensorProto] = []
        self.nodes = [made for node in graph["nodes"] if (made := self._node(node)) is not None]

    def _node(self, node: dict[str, Any]) -> Any:
        if node["op"] == "input":
            return None
        own = [self._constant(f"{node['name']}.{i}", self.weights[i]) for i in node["parameters"]]
        kind, more, attributes = SAME.get(node["op"], ""), [], {}
        if not kind:
            kind, more, attributes = getattr(self, "_" + node["op"])(node)
        return helper.make_node(kind, [*node["inputs"], *own, *more], [node["name"]], **attributes)

    def _constant(self, name: str, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _conv(self, node: Any) -> Any:
        return "Conv", [], {"strides": node["stride"], "pads": node["pad"] * 2, "group": node["groups"]}

    def _linear(self, node: Any) -> Any:
        return "Gemm", [], {"transB": 1}

    def _batchnorm(self, node: Any) -> Any:
        """With the statistics that training starts from."""
        count = self.weights[node["parameters"][0]].shape
        mean = self._constant(f"{node['name']}.mean", np.zeros(count, "float32"))
        var = self._constant(f"{node['name']}.var", np.ones(count, "float32"))
        return "BatchNormalization", [mean, var], {"epsilon": node["eps"]}

    def _maxpool(self, node: Any) -> Any:
        shape = {"kernel_shape": node["window"], "strides": node["stride"], "pads": node["pad"] * 2}
        return "MaxPool", [], {**shape, "ceil_mode": int(node["ceil"])}

    def _avgpool(self, node: Any) -> Any:
        _, more, attributes = self._maxpool(node)
        return "AveragePool", more, {**attributes, "count_include_pad": 1}

    def _lrn(self, node: Any) -> Any:
        return "LRN", [], {"size": node["size"], "alpha": node["alpha"], "beta": node["beta"], "bias": node["k"]}

    def _flatten(self, node: Any) -> Any:
        return "Flatten", [], {}

    def _concat(self, node: Any) -> Any:
        return "Concat", [], {"axis": 1}

    def _slice(self, node: Any) -> Any:
        cuts = [(start or 0, np.iinfo("int64").max if stop is None else stop, step or 1)
                for start, stop, step in node["steps"]]  # fmt: skip
        starts, stops, steps = (np.array(column, "int64") for column in zip(*cuts, strict=True))
        parts = {"starts": starts, "stops": stops, "axes": np.arange(len(cuts)), "steps": steps}
        return "Slice", [self._constant(f"{node['name']}.{key}", v) for key, v in parts.items()], {}

    def _pad(self, node: Any) -> Any:
        zeros = node["zeros"] + [0] * (8 - len(node["zeros"]))  # of the last axis first
        before, after = zeros[::2][::-1], zeros[1::2][::-1]
        return "Pad", [self._constant(f"{node['name']}.pads", np.array(before + after, "int64"))], {}

    def model(self, shape: tuple[int, ...], entry: str, output: str) -> ModelProto:
        """The whole as a model from images of this shape to logits."""
        images = helper.make_tensor_value_info(entry, TensorProto.FLOAT, shape)
        logits = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "network", [images], [logits], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=FORMAT)


class Onnx:
    """A session and the batches."""

    def __init__(self, contender: Contender, setup: Setup):
        graph = json.loads((Path(setup.folder) / "graph.json").read_text())
        self.images, _ = setup.batches()
        self.entry = next(node["name"] for node in graph["nodes"] if node["op"] == "input")
        model = Translation(graph, setup.weights()).model(self.images[0].shape, self.entry, graph["outputs"][0])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = setup.threads
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        self.at = 0

    def call(self) -> np.ndarray:
        i, self.at = self.at, (self.at + 1) % len(self.images)
        logits: np.ndarray = self.session.run(None, {self.entry: self.images[i]})[0]
        return logits

    def repeat(self, calls: int) -> None:
        for _ in range(calls):
            self.call()


def build(contender: Contender, setup: Setup) -> Onnx:
    """ONNX Runtime's contender, its session made."""
    return Onnx(contender, setup)
