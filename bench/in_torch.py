"""PyTorch as a contender: eager or compiled, with or without channels last. Leans on torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from .contenders import BFLOAT16, HEAD_WEIGHT, MOMENTUM, Contender, Setup, check_weights
from .networks import definition


def loaded(setup: Setup) -> nn.Module:
    """The network's definition with our weights, dropout off, in training or evaluation mode."""
    net = definition(setup.network)
    weights = setup.weights()
    check_weights(setup.network, weights, [(name, tuple(p.shape)) for name, p in net.named_parameters()])
    with torch.no_grad():
        for p, w in zip(net.parameters(), weights, strict=True):
            p.copy_(torch.from_numpy(w))
    net.train(setup.training)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    built: nn.Module = net
    return built


class Torch:
    """Forward, backward and SGD; or logits without gradients."""

    def __init__(self, contender: Contender, setup: Setup):
        torch.set_num_threads(setup.threads)
        net = loaded(setup)
        images, labels = setup.batches()
        self.images = [torch.from_numpy(x) for x in images]
        self.labels = [torch.from_numpy(t.astype("int64")) for t in labels]
        if contender.channels_last:
            net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.images = [x.to(memory_format=torch.channels_last) for x in self.images]
        self.training, self.at, self.narrow = setup.training, 0, setup.precision == BFLOAT16
        self.optimizer = torch.optim.SGD(net.parameters(), setup.rate, momentum=MOMENTUM, fused=True)

        def forward(x: Any, t: Any) -> Any:
            with torch.autocast("cpu", torch.bfloat16, enabled=self.narrow):
                answers = net(x)
            if not setup.training:
                return answers.float()
            logits, *heads = (y.float() for y in (answers if isinstance(answers, tuple) else (answers,)))
            loss = nn.functional.cross_entropy(logits, t)
            for head in heads:
                loss = loss + HEAD_WEIGHT * nn.functional.cross_entropy(head, t)
            return loss

        self.forward = torch.compile(forward) if contender.compiled else forward

    def call(self) -> np.ndarray:
        result: np.ndarray = self._step().detach().numpy()
        return np.atleast_1d(result)

    def repeat(self, calls: int) -> None:
        for _ in range(calls):
            self._step()

    def _step(self) -> Any:
        x, t = self.images[self.at], self.labels[self.at]
        self.at = (self.at + 1) % len(self.images)
        if not self.training:
            with torch.no_grad():
                return self.forward(x, t)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.forward(x, t)
        loss.backward()
        self.optimizer.step()
        return loss


def build(contender: Contender, setup: Setup) -> Torch:
    """PyTorch's contender, its network built."""
    return Torch(contender, setup)
