"""First values that a thread is still making: they come in the order asked for, and states hold them like any other."""

from __future__ import annotations

import os
import pickle
import threading

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models import initializers as init
from kernelwright.models.layers import Dense
from kernelwright.runtime.awaited import Awaited, settle
from kernelwright.runtime.state import State

VALUES = np.arange(6, dtype="float32").reshape(2, 3)


def held(value: np.ndarray = VALUES) -> tuple[Awaited, threading.Event]:
    """An array that is made once the event is set."""
    go = threading.Event()

    def make() -> np.ndarray:
        assert go.wait(60)
        return value

    return Awaited(make, value.shape), go


def test_arrays_are_made_in_the_order_in_which_they_were_asked_for():
    made: list[int] = []
    for i in range(20):
        Awaited(lambda i=i: np.full(2, made.append(i) or i), (2,))
    settle()
    assert made == list(range(20))


def test_an_awaited_array_is_an_array_to_numpy():
    value, go = held()
    assert value.shape == (2, 3) and value.dtype == np.float32
    go.set()
    np.testing.assert_array_equal(np.asarray(value) + 1, VALUES + 1)


def test_what_making_it_raises_is_raised_where_it_is_looked_at():
    def make() -> np.ndarray:
        raise MemoryError("too large")

    value = Awaited(make, (2,))
    after = Awaited(lambda: VALUES, VALUES.shape)
    with pytest.raises(MemoryError, match="too large"):
        value.result()
    np.testing.assert_array_equal(after.result(), VALUES)


def test_a_state_takes_its_order_before_it_has_its_value():
    value, go = held()
    state = State("w", value)
    state.reorder((1, 0))
    address = state.claim((1, 0))
    go.set()
    np.testing.assert_array_equal(state.get(), VALUES)
    assert state.address == address and state.order == (1, 0)
    np.testing.assert_array_equal(state.physical()[0], VALUES.T)


def test_a_state_that_is_set_does_not_take_its_first_value_later():
    value, go = held()
    state = State("w", value)
    state.set(VALUES * 2)
    go.set()
    settle()
    np.testing.assert_array_equal(state.get(), VALUES * 2)


def test_a_copy_of_a_state_has_the_value():
    value, go = held()
    state = State("w", value)
    go.set()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(state)).get(), VALUES)


def test_a_state_of_one_number_everywhere_is_a_copy():
    number = np.ones(())
    scalar, many = State("scalar", number), State("many", np.broadcast_to(number, (2, 3)))
    number[...] = 7
    assert scalar.get() == 1
    many.reorder((1, 0))
    np.testing.assert_array_equal(many.get(), np.ones((2, 3)))
    assert State("none", np.broadcast_to(number, (0, 3))).get().shape == (0, 3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_has_the_values_and_makes_new_ones():
    state = State("w", Awaited(lambda: VALUES, VALUES.shape))
    child = os.fork()
    if not child:
        again = State("again", Awaited(lambda: VALUES + 1, VALUES.shape))
        right = np.array_equal(state.get(), VALUES) and np.array_equal(again.get(), VALUES + 1)
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_layers_have_the_numbers_of_one_generator_in_their_order():
    with init.seeded(5):
        layers = [Dense(4, weight_init=init.normal(0.5)), Dense(3, weight_init=init.uniform(-1, 1))]
        x = kw.input("x", (None, 6))
        for layer in layers:
            x = layer(x)
    rng = np.random.default_rng(5)
    expected = [(rng.standard_normal((4, 6)) * 0.5).astype("float32"), rng.uniform(-1, 1, (3, 4)).astype("float32")]
    for layer, weight in zip(layers, expected, strict=True):
        np.testing.assert_array_equal(layer.state_dict()["weight"], weight)


def test_whoever_has_the_generator_shares_its_numbers_in_order():
    with init.seeded(5):
        x = kw.input("x", (None, 6))
        first = Dense(4, weight_init=init.normal(1.0))
        x = first(x)
        generator = init.rng()
        second = Dense(3, weight_init=init.normal(1.0))
        second(x)
        third = generator.standard_normal(2)
    rng = np.random.default_rng(5)
    np.testing.assert_array_equal(first.state_dict()["weight"], rng.standard_normal((4, 6)).astype("float32"))
    np.testing.assert_array_equal(second.state_dict()["weight"], rng.standard_normal((3, 4)).astype("float32"))
    np.testing.assert_array_equal(third, rng.standard_normal(2))
