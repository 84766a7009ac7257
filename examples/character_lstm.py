"""An LSTM learns to add from text alone: it reads "12+07=" a character at a time and writes the characters of the sum.

    python examples/character_lstm.py

The text is made: sums of two numbers below 100. An answer stands from its last digit to its first, "910" for 19, so
that each digit needs the digits above it and one carry, which the state has to hold (sums were reversed so by Zaremba
and Sutskever 2014, "Learning to Execute"). Trained on four fifths of all sums to say what the next character is; then
it writes the answers of 1,000 others, each character read back for the next. Prints some, and how many are right.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

import kernelwright as kw

CHARACTERS = "0123456789+="
QUESTION, ANSWER = len("12+07="), len("910")


class Adder(kw.nn.Layer):
    """Which character follows: (batch, QUESTION + ANSWER - 1) characters -> (batch, ANSWER, characters)."""

    def __init__(self, hidden: int = 128):
        super().__init__()
        self.characters = kw.nn.Embedding(len(CHARACTERS), 16)
        self.lstm, self.head = kw.nn.LSTM(hidden, batch_first=True), kw.nn.Dense(len(CHARACTERS))

    def forward(self, text: kw.Tensor) -> kw.Tensor:
        output, _ = self.lstm(self.characters(text))
        return self.head(output[:, QUESTION - 1 :])


def lines() -> np.ndarray:
    """All sums as characters' numbers, in random order: (10000, QUESTION + ANSWER)."""
    texts = [f"{a:02}+{b:02}={f'{a + b:03}'[::-1]}" for a in range(100) for b in range(100)]
    numbers = np.array([[CHARACTERS.index(c) for c in text] for text in texts])
    return np.random.default_rng(0).permutation(numbers)


def written(trainer: kw.Trainer, questions: np.ndarray) -> np.ndarray:
    """The answers, written one character after the other."""
    text = np.zeros((len(questions), QUESTION + ANSWER), int)
    text[:, :QUESTION] = questions
    for k in range(ANSWER):  # what is not written yet is behind the place that is asked for
        text[:, QUESTION + k] = trainer.predict(text[:, :-1])[:, k].argmax(-1)
    return text[:, QUESTION:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--count", type=int, default=8000, help="sums to train on")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    text = lines()
    train, test = text[: min(arguments.count, 8000)], text[-1000:]
    began = time.perf_counter()
    with kw.init.seeded(0):
        steps = arguments.epochs * -(-len(train) // 64)
        optimizer = kw.optim.Adam(kw.optim.WarmUp(steps // 10, kw.optim.Cosine(0.005, steps)))
        trainer = kw.Trainer(Adder(), optimizer, "cross_entropy", batch=64, threads=arguments.threads)
        trainer.fit((train[:, :-1], train[:, QUESTION:]), arguments.epochs)
    seconds = time.perf_counter() - began
    answers = written(trainer, test[:, :QUESTION])
    for line, answer in zip(test[:5], answers):
        question, digits = ("".join(CHARACTERS[i] for i in part) for part in (line[:QUESTION], answer))
        print(question, digits[::-1])
    right = answers == test[:, QUESTION:]
    outcome = {"characters": float(right.mean()), "sums": float(right.all(1).mean())}
    print(f"right: {outcome['characters']:.2%} of characters, {outcome['sums']:.1%} of sums; {seconds:.0f} s")
    if arguments.json:
        arguments.json.write_text(json.dumps(outcome) + "\n")


if __name__ == "__main__":
    main()
