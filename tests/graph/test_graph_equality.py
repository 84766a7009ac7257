"""`==` and `!=` are NumPy's: element by element, in a tensor. Identity is `is`, and what hashes uses it."""

import gc

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.side_table import SideTable

T = np.array([0, 1, 2, 0], "int32")
X, Y = kw.input("x", (4,), "int32"), kw.input("y", (4,), "int32")


def run(output, *arrays, device="cpu"):
    return kw.compile([X, Y][: len(arrays)], [output], device=device)(*arrays)


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize(
    "compared, equal",
    [
        (X == 0, [True, False, False, True]),
        (0 == X, [True, False, False, True]),  # noqa: SIM300 (the reflected operator)
        (X == np.int32(2), [False, False, True, False]),  # noqa: SIM300
        (np.int32(2) == X, [False, False, True, False]),
        (X == np.array([0, 0, 2, 2], "int32"), [True, False, True, False]),  # noqa: SIM300
        (np.array([0, 0, 2, 2], "int32") == X, [True, False, True, False]),
        (X == [0, 0, 2, 2], [True, False, True, False]),
        (X == 0.5, [False, False, False, False]),
        (X == X, [True, True, True, True]),
        (X[:, None] == np.array([0, 2]), [[True, False], [False, False], [False, True], [True, False]]),
    ],
)
def test_equality_is_a_mask(compared, equal, device):
    assert compared.dtype == "bool"
    got = run(compared, T, device=device)
    assert got.dtype == bool and got.tolist() == equal


def test_inequality_is_the_other_mask():
    for different in (X != 0, 0 != X, X != np.zeros(4, "int32"), np.zeros(4, "int32") != X):  # noqa: SIM300
        assert run(different, T).tolist() == [False, True, True, False]


def test_two_tensors_are_compared_element_by_element():
    assert run(X == Y, T, np.array([0, 2, 2, 1], "int32")).tolist() == [True, False, True, False]
    assert run((X != Y).astype("int32").sum(), T, np.array([0, 2, 2, 1], "int32")) == 2


def test_not_a_number_equals_nothing():
    x = kw.input("x", (3,))
    same, other = kw.compile([x], [x == x, x != x])(np.array([np.nan, np.inf, 0.0], "float32"))
    assert same.tolist() == [False, True, True] and other.tolist() == [True, False, False]


def test_masks_choose_and_count():
    assert run(kw.where(X == 0, 9, X), T).tolist() == [9, 1, 2, 9]
    logits = kw.input("logits", (4, 3))
    right = (kw.argmax(logits, -1) == X).astype("float32").mean()
    scores = np.array([[3, 1, 0], [0, 2, 1], [9, 0, 1], [0, 0, 1]], "float32")
    assert kw.compile([logits, X], [right])(scores, T) == 0.5


def test_shapes_that_do_not_broadcast_are_refused():
    with pytest.raises(kw.ShapeError, match="eq"):
        kw.input("a", (3,)) == kw.input("b", (4,))  # noqa: B015


def test_what_is_no_number_is_not_equal():
    assert (X == None) is False and (X != None) is True  # noqa: E711
    assert (X == "x") is False and (X != "x") is True


@pytest.mark.parametrize(
    "asked",
    [
        lambda: bool(X == Y),
        lambda: X in [Y],
        lambda: [Y].index(X),
        lambda: [Y].remove(X),
        lambda: [X] == [Y],
        lambda: X == Y or X == 0,
        lambda: not X != Y,  # noqa: SIM202
        lambda: 0 == X == Y,
    ],
)
def test_a_truth_that_is_asked_for_raises_and_says_what_to_write(asked):
    with pytest.raises(TypeError, match=r"kw\.where.*& \| ~.*`is`"):
        asked()


def test_a_chain_of_comparisons_raises():
    with pytest.raises(TypeError, match=r"a < b < c"):
        0 < X < 2  # noqa: B015


def test_sets_and_dictionaries_go_by_identity():
    tensors = [kw.input(f"x{i}", (None,)) for i in range(200)]
    place = {x: i for i, x in enumerate(tensors)}
    assert [place[x] for x in tensors] == list(range(200))
    assert len({*tensors, *tensors}) == 200 and X not in place
    assert (X, 1) in {(X, 1)} and (X, 1) not in {(Y, 1)}
    assert X in [Y, X][1:], "a list finds the object itself first"


def test_side_tables_go_by_identity_and_keep_nothing_alive():
    table = SideTable()
    table[X] = "x"
    assert table[X] == "x" and table.get(Y) is None and table.get(Y, 0) == 0 and Y not in table
    z = X * 12345
    table[z] = "z"
    assert z in table and len(table) == 2
    del z
    gc.collect()
    assert len(table) == 1


def test_length_iteration_and_axes():
    assert X.ndim == 1 and kw.input("m", (2, 3)).T.shape == (3, 2)
    x = kw.input("x", (None, 3))
    with pytest.raises(TypeError, match=r"x\.shape\[0\]"):
        len(x)
    with pytest.raises(TypeError, match="iterated over"):
        list(x)
    assert [row.shape for row in kw.input("m", (2, 3))] == [(3,), (3,)]
