"""How networks are built: their dtype, without values for counting, and recipes whose rate falls in steps."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models.recipe import Recipe


def layers():
    return kw.nn.Sequential(kw.nn.Conv(4, 3), kw.nn.BatchNorm(), kw.nn.Flatten(), kw.nn.Dropout(0.5), kw.nn.Dense(3))


def test_precision_is_that_of_parameters_statistics_and_images():
    with kw.init.precision("float64"):
        model = kw.models.Model("small", layers(), (2, 5, 5), 3)
    moments = [b for b in model.buffers() if "generator" not in b.attrs.name]
    assert {x.dtype for x in [*model.parameters(), *moments, model.images()]} == {"float64"}
    x = model.images()
    assert kw.compile([x], [model(x)], device="reference")(np.ones((2, 2, 5, 5))).dtype == np.float64
    assert {p.dtype for p in kw.models.Model("small", layers(), (2, 5, 5), 3).parameters()} == {"float32"}


def test_precision_draws_the_same_values():
    single = kw.models.Model("small", layers(), (2, 5, 5), 3, seed=4)
    with kw.init.precision("float64"):
        double = kw.models.Model("small", layers(), (2, 5, 5), 3, seed=4)
    for p, q in zip(single.parameters(), double.parameters(), strict=True):
        assert (kw.get_value(p) == kw.get_value(q)).all()


def test_another_precision_is_refused():
    with pytest.raises(ValueError, match="not 'float16'"), kw.init.precision("float16"):
        pass


def test_undrawn_parameters_have_names_and_shapes_but_cannot_run():
    with kw.init.undrawn():
        model = kw.models.Model("small", layers(), (2, 5, 5), 3)
    drawn = kw.models.Model("small", layers(), (2, 5, 5), 3)
    assert [(p.attrs.name, p.shape) for p in model.parameters()] == [
        (p.attrs.name, p.shape) for p in drawn.parameters()
    ]
    assert model.summary() == drawn.summary()
    x = model.images()
    with pytest.raises(kw.CompileError, match="is needed but not among the inputs"):
        kw.compile([x], [model(x)])


def test_undrawn_parameters_take_no_memory():
    with kw.init.undrawn():
        assert kw.models.Model("wide", kw.nn.Dense(10**9), (10**5,), 10**9).size() == 10**14 + 10**9


def test_a_recipe_in_steps_divides_by_ten_at_fractions_of_the_run():
    recipe = Recipe(learning_rate=0.1, schedule="steps", milestones=(0.5, 0.75), epochs=8)
    schedule = recipe.build(steps_per_epoch=5).learning_rate
    rates = [schedule.at(step) for step in (0, 19, 20, 29, 30, 39)]
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.01, 0.01, 0.001, 0.001], rtol=1e-5)
    shorter = recipe.build(steps_per_epoch=5, epochs=4).learning_rate
    np.testing.assert_allclose([shorter.at(9), shorter.at(10)], [0.1, 0.01], rtol=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "resnet110", "vgg16", "alexnet", "zfnet", "googlenet"])
def test_recipes_of_the_networks_make_their_optimizers(name):
    with kw.init.undrawn():
        recipe = kw.models.build(name).recipe
    optimizer = recipe.build(steps_per_epoch=100)
    assert optimizer.learning_rate.at(100 * recipe.epochs - 1) < recipe.learning_rate / 50
    assert optimizer.momentum == 0.9 and optimizer.weight_decay > 0
