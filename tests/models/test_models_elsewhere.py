"""Names that people know from PyTorch and Keras are answered with what to write, and all that is advised exists."""

from __future__ import annotations

import copy
import pickle
import re

import pytest

import kernelwright as kw
from kernelwright.models import elsewhere


@pytest.mark.parametrize(
    "where, name, words",
    [
        (kw.nn, "Linear", "Dense(units)"),
        (kw.nn, "Conv2d", "Conv(filters, window)"),
        (kw.nn, "Conv2DTranspose", "ConvTranspose(filters, window)"),
        (kw.nn, "BatchNorm1d", "BatchNorm()"),
        (kw.nn, "GlobalAveragePooling2D", "GlobalAvgPool()"),
        (kw.nn, "SimpleRNN", "RNN(hidden_size)"),
        (kw.nn, "LeakyRelu", "did you mean 'LeakyReLU'?"),
        (kw.losses, "MSELoss", "mean_squared_error"),
        (kw.losses, "CTCLoss", "alignments"),
        (kw.optim, "StepLR", "Step(initial, every, factor)"),
        (kw.optim, "AdaMax", "did you mean 'Adamax'?"),
    ],
)
def test_a_name_from_elsewhere_is_answered(where, name, words):
    with pytest.raises(AttributeError, match=re.escape(words)):
        getattr(where, name)
    assert not hasattr(where, name)


def test_what_is_advised_exists():
    for module, table in [(kw.nn, elsewhere.LAYERS), (kw.losses, elsewhere.LOSSES), (kw.optim, elsewhere.OPTIMIZERS)]:
        for name, advice in table.items():
            for path in re.findall(r"kw\.[\w.]*\w", advice):
                found = kw
                for part in path.split(".")[1:]:
                    found = getattr(found, part)
            first = re.match(r"[A-Za-z_]\w*(?=\(|$|,|;)", advice)
            assert first is None or hasattr(module, first[0]) or first[0] == "x", (name, advice)


def test_modules_stay_modules():
    assert not hasattr(kw.nn, "__path__")
    layer = kw.nn.LeakyReLU(0.2)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(twin) == repr(layer) == "LeakyReLU(0.2)"
