"""What a summary counts, by hand for LeNet-5, and what the compiled step allocates, against a step that ran."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models import programs
from kernelwright.models.checks import SettingError
from kernelwright.models.memory import size, training_memory


def small() -> kw.models.Model:
    """Of 1x8x8: a convolution of 9 x 4 + 4 weights to 4x8x8, its norm, relu, a pooling to 4x4x4, and 5 classes."""
    nn = kw.nn
    net = nn.Sequential(nn.Conv(4, 3, pad=1), nn.BatchNorm(), kw.relu, nn.MaxPool(2), nn.Flatten(), nn.Dense(5))
    recipe = kw.models.Recipe(optimizer="Adam", learning_rate=0.01, options={})
    return kw.models.Model("small", net, (1, 8, 8), 5, recipe=recipe)


def test_elements_of_each_layer() -> None:
    rows = small().rows()
    assert [row.elements for row in rows] == [256, 256, 256, 64, 64, 5]
    text = small().summary(3)
    assert "activations for a batch of 3" in text
    assert text.splitlines()[-1].split()[-2:] == [f"{901 * 3:,}", f"{901 * 3 * 4:,}"]
    with pytest.raises(SettingError, match="summary: batch is a whole number"):
        small().summary(0)


def test_what_is_counted() -> None:
    found = training_memory(small(), 3, 1)
    weights = 4 * (9 * 4 + 4 + 4 + 4 + 64 * 5 + 5)
    assert (found.batch, found.weights, found.gradients) == (3, weights, weights)
    assert found.statistics == 4 * (4 + 4) and found.activations == 901 * 3 * 4
    assert 2 * weights <= found.optimizer <= 2 * weights + 64  # Adam's two moments, and counters
    assert found.states == found.weights + found.statistics + found.optimizer


@pytest.mark.parametrize("batch", [3, 40])
def test_the_arena_is_what_a_step_allocates(batch: int) -> None:
    model = small()
    found = training_memory(model, batch, 1)
    step = programs.training(model, model.recipe.criterion(), model.recipe.build(1, 1, True)).compile("cpu", 1, batch)
    images, labels = np.zeros((batch, 1, 8, 8), "float32"), np.zeros(batch, "int32")
    step.run([images, labels, np.arange(batch, dtype="int32")])
    assert step.executable._arena_bytes == found.arena > 0  # type: ignore[attr-defined]
    assert sum(value.nbytes for value in step.states().values()) == found.states  # type: ignore[attr-defined]


def test_sizes_for_reading() -> None:
    assert [size(n) for n in (0, 999, 1500, 2_000_000, 3_210_000_000)] == ["0 B", "999 B", "1.5 kB", "2.0 MB", "3.2 GB"]
