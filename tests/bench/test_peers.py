"""Networks as the peers make them from the list of operations, against PyTorch's own; for peers that are installed."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from kernelwright.bench import graph  # noqa: E402


class Dense(nn.Module):
    """The operations of dense networks."""

    def __init__(self):
        super().__init__()
        self.flat, self.first, self.last = nn.Flatten(), nn.Linear(12, 8), nn.Linear(8, 5, bias=False)

    def forward(self, x):
        y = self.first(self.flat(x))
        return self.last(torch.relu(y) + torch.tanh(y))


class Everything(nn.Module):
    """The operations of the networks with images that are raced."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), nn.BatchNorm2d(6)
        self.lrn = nn.LocalResponseNorm(3, alpha=0.5, beta=0.75, k=2.0)
        self.largest = nn.MaxPool2d(3, 2, padding=1, ceil_mode=True)
        self.mean, self.whole = nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1)
        self.plain, self.last = nn.Conv2d(6, 4, 1, bias=False), nn.Linear(10, 5)

    def forward(self, x):
        y = functional.relu(self.norm(self.conv(x)))
        a = self.largest(self.lrn(y))
        b = functional.pad(self.plain(y)[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1))
        c = torch.cat([self.mean(a), self.mean(torch.tanh(b))[:, :4]], 1)
        return self.last(torch.flatten(self.whole(c), 1))


@pytest.fixture
def traced(monkeypatch, tmp_path):
    """A module of a class in training mode and the list of its operations."""

    def make(kind):
        torch.manual_seed(0)
        net = kind()
        monkeypatch.setattr(graph, "definition", lambda name: net)
        graph.write("made up", True, tmp_path)
        return net, json.loads((tmp_path / "graph.json").read_text())

    return make


def arrays(net):
    return [p.detach().numpy() for p in net.parameters()]


def test_pytensor_computes_what_torch_does(traced):
    pytensor = pytest.importorskip("pytensor")
    from kernelwright.bench import in_pytensor

    net, operations = traced(Dense)
    x = np.random.default_rng(0).standard_normal((3, 3, 2, 2), "float32")
    given = pytensor.tensor.tensor("x", dtype="float32", shape=(None, 3, 2, 2))
    (y,) = in_pytensor.outputs(operations, [pytensor.shared(w) for w in arrays(net)], given)
    np.testing.assert_allclose(pytensor.function([given], y)(x), net(torch.tensor(x)).detach(), rtol=0, atol=1e-6)


def test_pytensor_says_what_it_does_not_have(traced):
    pytest.importorskip("pytensor")
    from kernelwright.bench import in_pytensor
    from kernelwright.bench.contenders import BenchError

    net, operations = traced(Everything)
    with pytest.raises(BenchError, match="PyTensor has no conv"):
        in_pytensor.outputs(operations, arrays(net), None)


def test_tinygrad_computes_what_torch_does(traced, monkeypatch):
    monkeypatch.setenv("DEV", "CPU")
    tinygrad = pytest.importorskip("tinygrad")
    from kernelwright.bench import in_tinygrad

    net, operations = traced(Everything)
    x = np.random.default_rng(0).standard_normal((3, 4, 15, 15), "float32")
    weights = [tinygrad.Tensor(w) for w in arrays(net)]
    made = in_tinygrad.Network(operations, weights, True)
    (y,) = made(tinygrad.Tensor(x))
    np.testing.assert_allclose(y.numpy(), net(torch.tensor(x)).detach(), rtol=0, atol=1e-5)
    running = [found.numpy() for found in made.statistics[0]]
    for mine, theirs in zip(running, (net.norm.running_mean, net.norm.running_var), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5)
