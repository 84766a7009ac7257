"""Errors of a network name the layer and the user's line; images with the channels last get the right advice."""

import sys

import numpy as np
import pytest

import kernelwright as kw

TURN = "; if the channels are its last axis, .transpose(0, 3, 1, 2) puts them first"
LAST = kw.input("images", (None, 28, 28, 3))


def message(call):
    """The text of the error that `call` raises, with this file as FILE, and the line as LINE where it is the call's."""
    with pytest.raises(kw.KernelwrightError) as caught:
        call()
    text = str(caught.value).replace(__file__, "FILE")
    return text.replace(f":{call.__code__.co_firstlineno}", ":LINE")


class Pair(kw.nn.Layer):
    """A network of a user's, whose line is in its forward."""

    kind = "pair"

    def __init__(self):
        super().__init__()
        self.first = kw.nn.Conv(4, 3)
        self.second = kw.nn.Dense(3)

    def forward(self, x):
        y = self.first(x)
        return y + kw.input("offset", (5,)), sys._getframe().f_lineno


class Narrow(Pair):
    def forward(self, x):
        return super().forward(x)[0]


def test_a_layer_of_ours_in_a_network_of_ours():
    net = kw.nn.Sequential(kw.nn.Conv(8, 3), kw.nn.MaxPool(9))
    assert message(lambda: net(kw.input("x", (None, 1, 8, 8)))) == (
        "maxpool1 (MaxPool): max_pool: a window of (9, 9) does not fit into (batch, 8, 6, 6) with padding (0, 0)\n"
        "  at FILE:LINE"
    )


def test_the_line_of_a_layer_of_the_users_is_the_one_in_its_forward():
    line = Pair.forward.__code__.co_firstlineno + 2
    assert message(lambda: Narrow()(kw.input("x", (None, 1, 8, 9)))) == (
        "pair (Narrow): add: shapes operand (batch, 4, 6, 7) and offset (5,) do not broadcast: from the right, sizes "
        f"must be equal or 1\n  at FILE:{line}"
    )
    assert message(lambda: Narrow()(kw.input("x", (None, 1, 2, 2)))) == (
        "pair.first (Conv): conv: the window of w (4, 1, 3, 3) is larger than x (batch, 1, 2, 2) with padding 0\n"
        f"  at FILE:{line - 1}"
    )


def test_an_error_without_a_line_gets_one():
    assert message(lambda: kw.nn.Sequential(kw.nn.Dense(2))(kw.input("x", (None, None)))) == (
        "dense1 (Dense): dense: (..., features) with a known number of features is needed, not (batch, batch); of "
        "images of any size, AdaptiveAvgPool(7) before Flatten() leaves 7x7 places, and GlobalAvgPool() one "
        "(at FILE:LINE)"
    )
    assert message(lambda: kw.nn.Residual(kw.nn.Conv(4, 3), lambda x: x)(kw.input("x", (None, 3, 8, 8)))) == (
        "Residual: residual: the body gives (batch, 4, 6, 6), the shortcut (batch, 3, 8, 8); a 1x1 Conv with the "
        "body's stride as shortcut makes them fit (at FILE:LINE)"
    )


def test_a_model_names_itself():
    model = kw.models.build("lenet5")
    assert message(lambda: model(kw.input("x", (None, 1, 20, 20)))) == (
        "lenet5, dense1 (Dense): dense1.weight: takes 400 features, not (batch, 144); kw.nn.Flatten() turns images "
        "into vectors (at FILE:LINE)"
    )
    net = kw.nn.Sequential(kw.nn.Conv(8, 9), name="body")
    assert message(lambda: kw.models.Model("mine", net, (1, 4, 4), 10)) == (
        "mine, body.conv1 (Conv): conv: the window of w (8, 1, 9, 9) is larger than x (batch, 1, 4, 4) with padding 0\n"
        "  at FILE:LINE"
    )
    assert message(lambda: kw.models.Model("mine", kw.nn.Flatten(), (1, 4, 4), 10)) == (
        "model 'mine': the network gives (batch, 16), not (batch, 10) logits\n  at FILE:LINE"
    )


def test_tensors_with_the_channels_last():
    model, layer = kw.models.build("resnet20"), kw.nn.Conv(8, 5, name="stem")
    assert message(lambda: model(LAST)) == (
        "resnet20, conv1 (Conv): conv: x (batch, 28, 28, 3) has 28 channels, w (16, 3, 3, 3) with 1 group(s) takes 3"
        f"{TURN}\n  at FILE:LINE"
    )
    assert message(lambda: layer(LAST)) == (
        "stem (Conv): conv: the window of w (8, 28, 5, 5) is larger than x (batch, 28, 28, 3) with padding 0"
        f"{TURN}\n  at FILE:LINE"
    )
    assert message(lambda: kw.max_pool(LAST, 4)) == (
        f"max_pool: a window of (4, 4) does not fit into (batch, 28, 28, 3) with padding 0{TURN}\n  at FILE:LINE"
    )


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_arrays_with_the_channels_last(device):
    x = kw.input("images", (None, 3, 8, 9))
    program = kw.compile([x], x + 1, device=device, threads=1)
    assert message(lambda: program(np.zeros((2, 8, 9, 3), "float32"))) == (
        "input 'images': expected shape (batch, 3, 8, 9) with batch = 2, got (2, 8, 9, 3)" + TURN
    )
    text = message(lambda: program(np.zeros((2, 9, 8, 3), "float32")))
    assert text == "input 'images': expected shape (batch, 3, 8, 9) with batch = 2, got (2, 9, 8, 3)"


def test_a_trainers_images_with_the_channels_last():
    trainer = kw.Trainer(kw.models.build("lenet5"))
    assert message(lambda: trainer.predict(np.zeros((2, 28, 28, 1), "float32"))) == (
        "images have shape (n, 1, 28, 28), not (2, 28, 28, 1)" + TURN
    )
    assert message(lambda: trainer.predict(np.zeros((2, 28, 28), "float32"))) == (
        "images have shape (n, 1, 28, 28), not (2, 28, 28): images.reshape(-1, 1, 28, 28) makes it fit"
    )
    assert message(lambda: trainer.predict(np.zeros((2, 28, 1, 28), "float32"))) == (
        "images have shape (n, 1, 28, 28), not (2, 28, 1, 28)"
    )
