"""A variational autoencoder of the digits that ship: a bound on what an image costs, and digits that nobody wrote.

    python examples/vae_digits.py --out samples.png

Images are black and white. The encoder gives a normal distribution over 16 numbers, the decoder the chance that each
pixel is black (Kingma and Welling 2014). Prints the negative evidence lower bound, in nats per image, on 1,000 digits
that were not trained on, beside what the digits cost under a model of independent pixels, each with its own chance.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

import kernelwright as kw

LATENT = 16


class VAE(kw.nn.Layer):
    def __init__(self, hidden: int = 256):
        super().__init__()
        self.encoder = kw.nn.Sequential(kw.nn.Flatten(), kw.nn.Dense(hidden), kw.nn.ReLU())
        self.mean, self.log_var = kw.nn.Dense(LATENT), kw.nn.Dense(LATENT)
        self.decoder = kw.nn.Sequential(
            kw.nn.Dense(hidden), kw.nn.ReLU(), kw.nn.Dense(28 * 28), kw.nn.Reshape(1, 28, 28)
        )
        self.noise = kw.Generator(0)

    def forward(self, x: kw.Tensor) -> tuple[kw.Tensor, kw.Tensor, kw.Tensor]:
        h = self.encoder(x)
        mean, log_var = self.mean(h), self.log_var(h)
        z = mean + kw.exp(0.5 * log_var) * self.noise.normal(mean.shape)
        return self.decoder(z), mean, log_var


def negative_elbo(x: kw.Tensor, logits: kw.Tensor, mean: kw.Tensor, log_var: kw.Tensor) -> kw.Tensor:
    """Nats per image: what the pixels cost given the code, and the code's divergence from a standard normal."""
    pixels = (kw.softplus(logits) - x * logits).flatten(start_dim=1).sum(dim=1)
    divergence = -0.5 * (1 + log_var - mean**2 - log_var.exp()).sum(dim=1)
    return (pixels + divergence).mean()


def independent_pixels(train: np.ndarray, test: np.ndarray) -> float:
    """Nats per image of `test` where each pixel is black with its own chance, counted in `train`."""
    chance = (train.sum(0) + 1) / (len(train) + 2)  # Laplace's rule: no pixel is certain
    return float(-(test * np.log(chance) + (1 - test) * np.log(1 - chance)).sum((1, 2, 3)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--count", type=int, default=8500, help="digits to train on")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, help="a PNG of samples (needs pillow)")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    data, rng = kw.data.digits(), np.random.default_rng(0)
    train, test = ((part.images > 0.5).astype("float32") for part in (data.train, data.test))
    train = train[: arguments.count]
    began = time.perf_counter()
    with kw.init.seeded(0):
        model = VAE()
        x, z = kw.input("x", (None, 1, 28, 28)), kw.input("z", (None, LATENT))
        loss = negative_elbo(x, *model(x))
    parameters = model.parameters()
    updates = kw.optim.Adam(0.001).updates(parameters, kw.grad(loss, parameters)) | model.noise.updates()
    step = kw.compile([x], [loss], updates, threads=arguments.threads)
    bound = kw.compile([x], [loss], threads=arguments.threads)
    for _ in range(arguments.epochs):
        order = rng.permutation(len(train))
        for i in range(0, len(order), 100):
            step(train[order[i : i + 100]])
    seconds = time.perf_counter() - began
    outcome = {"bound": float(bound(test)), "independent pixels": independent_pixels(train, test)}
    print(f"at most {outcome['bound']:.1f} nats per image, ", end="")
    print(f"independent pixels {outcome['independent pixels']:.1f}; {seconds:.0f} s")
    if arguments.out:
        chances = kw.compile([z], [kw.sigmoid(model.decoder(z))])(rng.standard_normal((40, LATENT)).astype("float32"))
        kw.vision.save_sheet(arguments.out, chances.reshape(4, 10, 1, 28, 28), scale=2)
    if arguments.json:
        arguments.json.write_text(json.dumps(outcome) + "\n")


if __name__ == "__main__":
    main()
