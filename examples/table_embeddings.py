"""A table with words and numbers: embeddings of two columns beside three columns of numbers, and a value to predict.

    python examples/table_embeddings.py

The made rows are sales: a city of 40, a product of 12, a price, a temperature and a day of the year. Cities and
products have hidden traits whose product counts, so that neither column says much alone (embeddings of categories: Guo
and Berkhahn 2016). Prints R^2 on 2,000 rows that were not trained on, beside the most that the noise leaves to any
model, and beside least squares on the numbers and on one column per city and product.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

import kernelwright as kw

CITIES, PRODUCTS, NOISE = 40, 12, 0.5


class Sales(kw.nn.Layer):
    def __init__(self, hidden: int = 64):
        super().__init__()
        self.city, self.product = kw.nn.Embedding(CITIES, 6), kw.nn.Embedding(PRODUCTS, 4)
        self.norm = kw.nn.BatchNorm()
        self.body = kw.nn.Sequential(
            kw.nn.Dense(hidden), kw.nn.ReLU(), kw.nn.Dense(hidden), kw.nn.ReLU(), kw.nn.Dense(1)
        )

    def forward(self, city: kw.Tensor, product: kw.Tensor, numbers: kw.Tensor, training: bool) -> kw.Tensor:
        known = [self.city(city), self.product(product), self.norm(numbers, training)]
        return self.body(kw.cat(known, dim=1)).squeeze(dim=1)


def table(count: int, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """(columns by name, sales, the same without the noise)."""
    traits, tastes = rng.normal(size=(CITIES, 2)), rng.normal(size=(PRODUCTS, 2))
    city, product = rng.integers(0, CITIES, count), rng.integers(0, PRODUCTS, count)
    price, warmth, day = rng.uniform(1, 9, count), rng.normal(12, 8, count), rng.uniform(0, 365, count)
    clean = (traits[city] * tastes[product]).sum(1) + 4 / price + np.sin(2 * np.pi * day / 365)
    clean += 0.05 * (warmth - 12) * tastes[product, 0]
    columns = {"city": city, "product": product, "numbers": np.stack([price, warmth, day], 1).astype("float32")}
    return columns, (clean + rng.normal(0, NOISE, count)).astype("float32"), clean


def explained(truth: np.ndarray, found: np.ndarray) -> float:
    """R^2: the part of the variance that is explained."""
    return float(1 - ((truth - found) ** 2).mean() / truth.var())


def least_squares(columns: dict[str, np.ndarray], sales: np.ndarray, count: int) -> np.ndarray:
    """What a linear model of the first rows says of the rest."""
    names = np.eye(CITIES)[columns["city"]], np.eye(PRODUCTS)[columns["product"]]
    rows = np.hstack([*names, columns["numbers"]])
    found: np.ndarray = rows[count:] @ np.linalg.lstsq(rows[:count], sales[:count])[0]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--count", type=int, default=8000, help="rows to train on")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    count = arguments.count
    columns, sales, clean = table(count + 2000, np.random.default_rng(0))
    train = {name: column[:count] for name, column in columns.items()}
    test = {name: column[count:] for name, column in columns.items()}
    began = time.perf_counter()
    with kw.init.seeded(0):
        steps = arguments.epochs * -(-count // 100)
        optimizer = kw.optim.AdamW(kw.optim.Cosine(0.005, steps))
        trainer = kw.Trainer(Sales(), optimizer, "mse", batch=100, threads=arguments.threads)
        trainer.fit((train, sales[:count]), arguments.epochs)
    seconds = time.perf_counter() - began
    truth = sales[count:]
    outcome = {
        "network": explained(truth, trainer.predict(test)),
        "ceiling": explained(truth, clean[count:]),
        "least squares": explained(truth, least_squares(columns, sales, count)),
    }
    print(f"R^2 {outcome['network']:.3f}, at most {outcome['ceiling']:.3f}; ", end="")
    print(f"least squares {outcome['least squares']:.3f}; {seconds:.0f} s")
    if arguments.json:
        arguments.json.write_text(json.dumps(outcome) + "\n")


if __name__ == "__main__":
    main()
