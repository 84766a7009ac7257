"""LeNet-5 on the digits that ship with the package, written in the DSL from variables to updates.

    python examples/train_lenet5.py [epochs]

Nothing of `kw.nn`, `kw.optim` or `kw.Trainer` is used: the network is a function of variables, the optimizer is one
line, and an epoch is one native call of many steps.
"""

from __future__ import annotations

import math
import sys
import time

import numpy as np

import kernelwright as kw

BATCH = 64
RATE, MOMENTUM = 0.05, 0.9


def glorot(rng: np.random.Generator, name: str, *shape: int) -> kw.Tensor:
    """A weight (outputs, inputs, *window), uniform with variance 2 / (fan in + fan out)."""
    window = math.prod(shape[2:])
    limit = math.sqrt(6 / ((shape[0] + shape[1]) * window))
    return kw.variable(name, rng.uniform(-limit, limit, shape).astype("float32"))


def parameters(rng: np.random.Generator) -> dict[str, kw.Tensor]:
    shapes = {"conv1": (6, 1, 5, 5), "conv2": (16, 6, 5, 5), "fc1": (120, 400), "fc2": (84, 120), "fc3": (10, 84)}
    made = {}
    for name, shape in shapes.items():
        made[f"{name}_weight"] = glorot(rng, f"{name}_weight", *shape)
        made[f"{name}_bias"] = kw.variable(f"{name}_bias", np.zeros(shape[0], "float32"))
    return made


def lenet5(p: dict[str, kw.Tensor], images: kw.Tensor) -> kw.Tensor:
    """Logits (batch, 10) of images (batch, 1, 28, 28)."""

    def conv(x: kw.Tensor, name: str, pad: int = 0) -> kw.Tensor:
        y = kw.conv(x, p[f"{name}_weight"], pad=pad) + p[f"{name}_bias"].reshape(-1, 1, 1)
        return kw.avg_pool(kw.tanh(y), 2)

    def dense(x: kw.Tensor, name: str) -> kw.Tensor:
        return x @ p[f"{name}_weight"].T + p[f"{name}_bias"]

    x = kw.flatten(conv(conv(images, "conv1", pad=2), "conv2"))
    return dense(kw.tanh(dense(kw.tanh(dense(x, "fc1")), "fc2")), "fc3")


def main(epochs: int) -> None:
    rng = np.random.default_rng(0)
    data = kw.data.digits()
    p = parameters(rng)

    images, labels = kw.input("images", (None, 1, 28, 28)), kw.input("labels", (None,), "int32")
    loss = kw.cross_entropy(lenet5(p, images), labels)
    updates = {}
    for weight, g in zip(p.values(), kw.grad(loss, list(p.values())), strict=True):
        velocity = kw.variable("velocity", np.zeros(weight.shape, "float32"))
        new = MOMENTUM * velocity + g
        updates |= {velocity: new, weight: weight - RATE * new}

    started = time.perf_counter()
    step = kw.compile([images, labels], [loss], updates)
    predict = kw.compile([images], [kw.argmax(lenet5(p, images), -1)])
    print(f"compiled {len(step.kernels)} + {len(predict.kernels)} kernels in {time.perf_counter() - started:.2f} s")

    steps = len(data.train.labels) // BATCH
    for epoch in range(1, epochs + 1):
        order = rng.permutation(len(data.train.labels))[: steps * BATCH]
        x = data.train.images[order].reshape(steps, BATCH, 1, 28, 28)
        t = data.train.labels[order].reshape(steps, BATCH)
        started = time.perf_counter()
        (losses,) = step.run([x, t], steps=steps, per_step=(0, 1))  # the whole epoch: one native call
        seconds = time.perf_counter() - started
        right = predict(data.test.images) == data.test.labels
        speed = f"{steps / seconds:.0f} steps/s"
        print(f"epoch {epoch}: loss {losses.mean():.4f}, test accuracy {right.mean():.3f}, {speed}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
