"""A Transformer encoder learns to sort digits: embeddings, attention with several heads, norms, residual connections.

    python examples/transformer_sort.py

Sequences of 8 random digits go in, the same digits in order come out: for each place a choice among ten (Vaswani et al.
2017, the encoder; norms stand before attention, as in GPT-2). Prints the part of digits and of whole sequences that is
right, of 1,000 sequences that were not trained on.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

import kernelwright as kw

LENGTH = 8


class Block(kw.nn.Layer):
    def __init__(self, features: int, heads: int):
        super().__init__()
        self.norm1, self.attention = kw.nn.LayerNorm(), kw.nn.MultiHeadAttention(heads)
        self.norm2 = kw.nn.LayerNorm()
        self.mlp = kw.nn.Sequential(kw.nn.Dense(4 * features), kw.nn.GELU(), kw.nn.Dense(features))

    def forward(self, x: kw.Tensor) -> kw.Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Sorter(kw.nn.Layer):
    def __init__(self, features: int = 32, heads: int = 4, blocks: int = 2):
        super().__init__()
        self.digits = kw.nn.Embedding(10, features)
        self.places = kw.nn.Embedding(LENGTH, features)
        self.blocks = [Block(features, heads) for _ in range(blocks)]
        self.norm, self.head = kw.nn.LayerNorm(), kw.nn.Dense(10)

    def forward(self, digits: kw.Tensor) -> kw.Tensor:
        x = self.digits(digits) + self.places(kw.iota(LENGTH))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--count", type=int, default=12800, help="sequences to train on")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    rng = np.random.default_rng(0)
    unsorted = rng.integers(0, 10, (arguments.count + 1000, LENGTH))
    train, test = unsorted[:-1000], unsorted[-1000:]
    began = time.perf_counter()
    with kw.init.seeded(0):
        steps = arguments.epochs * -(-len(train) // 64)
        optimizer = kw.optim.AdamW(kw.optim.WarmUp(steps // 10, kw.optim.Cosine(0.003, steps)))
        trainer = kw.Trainer(Sorter(), optimizer, "cross_entropy", batch=64, threads=arguments.threads)
        trainer.fit((train, np.sort(train)), arguments.epochs)
    seconds = time.perf_counter() - began
    right = trainer.predict(test).argmax(-1) == np.sort(test)
    outcome = {"digits": float(right.mean()), "sequences": float(right.all(1).mean())}
    print(f"right: {outcome['digits']:.2%} of digits, {outcome['sequences']:.1%} of sequences; {seconds:.0f} s")
    if arguments.json:
        arguments.json.write_text(json.dumps(outcome) + "\n")


if __name__ == "__main__":
    main()
