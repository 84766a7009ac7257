"""Attributes of PyTorch's and NumPy's that tensors lack, and questions for values that a graph has not yet."""

import copy
import pickle
import re

import pytest

import kernelwright as kw
from kernelwright.compiler.graph.absent import ATTRIBUTES

x = kw.input("x", (None, 4))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("backward", "a tensor has no 'backward'; here it is kw.grad(loss, variables)"),
        ("item", "kw.get_value(v) is a variable's"),
        ("cuda", 'kw.compile(..., device="cuda")'),
        ("long", "x.astype('int64')"),
        ("add_", "a tensor has no 'add_': tensors never change"),
    ],
)
def test_an_attribute_from_elsewhere_is_answered(name, words):
    with pytest.raises(AttributeError, match=re.escape(words)):
        getattr(x, name)


def test_what_is_advised_exists_and_what_is_refused_does_not():
    for name, advice in ATTRIBUTES.items():
        assert not hasattr(x, name)
        for function in re.findall(r"kw\.(\w+)", advice):
            assert hasattr(kw, function), advice
        for attribute in re.findall(r"\bx\.(\w+)", advice):
            assert hasattr(x, attribute), advice
        for dtype in re.findall(r"'(\w+)'", advice):
            assert x.astype(dtype).dtype == dtype


def test_other_names_are_plain_errors_and_tensors_are_copied_as_ever():
    with pytest.raises(AttributeError, match=r"^a tensor has no 'shapee'$") as caught:
        x.shapee  # noqa: B018 - the attribute is what is asked for
    assert caught.value.name == "shapee" and caught.value.obj is x
    assert not hasattr(x, "__cuda_array_interface__")
    for copied in (copy.deepcopy(x + 1.0), pickle.loads(pickle.dumps(x + 1.0))):
        assert copied.shape == (x + 1.0).shape and copied.op.name == "add"


@pytest.mark.parametrize("convert", [float, int])
def test_a_number_is_asked_for_before_there_is_one(convert):
    with pytest.raises(TypeError, match=rf"no value while the graph is built \(.*{__file__}:\d+\).*kw\.compile"):
        convert(x.sum())
