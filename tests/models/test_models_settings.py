"""Arguments that a layer, an optimizer, a trainer or a loader cannot take: one line, which says what to write."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models.checks import SettingError

nn, optim = kw.nn, kw.optim
IMAGES, LABELS = np.zeros((3, 1, 28, 28), "float32"), np.zeros(3, "int64")


def trainer(**options):
    return kw.Trainer(kw.models.build("perceptron"), device=options.pop("device", "reference"), **options)


@pytest.mark.parametrize("make, words", [
    (lambda: nn.Dense(784, 10), r"only units may stand without a name.*Linear\(784, 10\) is Dense\(10\)"),
    (lambda: nn.Dense(10, "relu"), "activation is a layer of its own"),
    (lambda: nn.Dense(in_features=784, out_features=10), "no argument 'in_features'; here it is left out"),
    (lambda: nn.Dense(10, activation="relu"), r"no argument 'activation'.*Sequential"),
    (lambda: nn.Dense(10, bais=False), "did you mean 'bias'"),
    (lambda: nn.Dense(), "missing a required argument: 'units'"),
    (lambda: nn.Dense(1.5), "Dense: units is a whole number of at least 1, not 1.5"),
    (lambda: nn.Dense(True), "not True"),
    (lambda: nn.Dense(3, bias=1), "bias is True or False, not 1"),
    (lambda: nn.Dense(3, weight_init="he"), "weight_init is a function, not 'he'"),
    (lambda: nn.Conv(3, 16, 3), r"Conv2d\(3, 16, 3\) is Conv\(16, 3\)"),
    (lambda: nn.Conv(16, 3, pad=1, padding=2), "pad=1 and padding=2 are one argument, given twice; leave one out"),
    (lambda: nn.Conv(16, 3, kernel_size=5), "window=3 and kernel_size=5 are one argument"),
    (lambda: nn.Conv(16, kernel_size=3, padding="full"), "one of same, valid, not 'full'"),
    (lambda: nn.Conv(16, (3, 0)), "window, each number, is a whole number of at least 1, not 0"),
    (lambda: nn.Conv(16, 3, pad="full"), "one of same, valid, not 'full'"),
    (lambda: nn.Conv(16, 3, pad=-1), "pad is a whole number of at least 0, or one"),
    (lambda: nn.Conv(16, 3, groups=0), "groups is a whole number"),
    (lambda: nn.MaxPool(2, strides=2), "here it is stride"),
    (lambda: nn.AvgPool("2"), "AvgPool: window is a whole number"),
    (lambda: nn.BatchNorm(64), r"BatchNorm2d\(64\) is BatchNorm\(\)"),
    (lambda: nn.BatchNorm(momentum=1.5), r"momentum is a number that lies in \[0, 1\], not 1.5"),
    (lambda: nn.LayerNorm(64), "learnt from the first call"),
    (lambda: nn.LayerNorm(eps=-1), "eps is a number of at least 0"),
    (lambda: nn.LocalResponseNorm(2.5), "size is a whole number"),
    (lambda: nn.Dropout("a"), r"a probability, is a number that lies in \[0, 1\), not 'a'"),
    (lambda: nn.Dropout(float("nan")), "not nan"),
    (lambda: nn.Dropout(0.5, True), r"Dropout\(0.5, seed=1\)"),
    (lambda: nn.Dropout(0.5, seed=2**63), "seed is a whole number from 0 to 9223372036854775807"),
    (lambda: nn.Flatten(1), "the name is text, not 1"),
    (lambda: nn.Maxout(0.5), "pieces is a whole number"),
    (lambda: nn.Subsampling((2, 2, 2)), "window is one number, or"),
    (lambda: nn.Activation("relu"), "such as kw.relu is needed, not 'relu'"),
    (lambda: nn.Sequential("relu"), "such as kw.relu is needed, not 'relu'"),
])  # fmt: skip
def test_layers(make, words):
    with pytest.raises(nn.LayerError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make, words", [
    (lambda: optim.SGD(momentum=2), r"SGD: momentum is a number that lies in \[0, 1\], not 2"),
    (lambda: optim.SGD([kw.variable("w", np.zeros(2))]), "learning rate.*parameters are given to updates"),
    (lambda: optim.SGD(lr=0.1), "no argument 'lr'; here it is learning_rate"),
    (lambda: optim.SGD("0.1"), "learning rate.*not '0.1'"),
    (lambda: optim.SGD(float("nan")), "learning rate.*not nan"),
    (lambda: optim.SGD(-0.1), "learning rate.*not -0.1"),
    (lambda: optim.SGD(0.1, 0.9, True), "only learning_rate, momentum may stand without a name"),
    (lambda: optim.SGD(0.1, 0.9, nesterov=1), "nesterov is True or False"),
    (lambda: optim.SGD(0.1, weight_decay="a"), "weight_decay is a number of at least 0"),
    (lambda: optim.RMSprop(alpha=2), "alpha is a number"),
    (lambda: optim.Adagrad(eps=-1), "eps is a number"),
    (lambda: optim.Adam(0.001, 0.9, 0.999), "only learning_rate, betas"),
    (lambda: optim.Adam(0.001, 0.9), "betas are a pair"),
    (lambda: optim.Adam(beta_1=0.9), r"betas=\(0.9, 0.999\)"),
    (lambda: optim.AdamW(betas=(0.9, 1)), r"\[0, 1\), not 1"),
    (lambda: optim.Adam(optim.Cosine), "the class Cosine: make one of it"),
    (lambda: optim.Cosine(0.1, 0), "steps is a whole number"),
    (lambda: optim.Polynomial(0.1, 10, power="2"), "power is a number above 0"),
    (lambda: optim.Step(0.1, 2.5), "every is a whole number"),
    (lambda: optim.MultiStep(0.1, 100), "milestones are several steps"),
    (lambda: optim.Exponential(0.1, 0), "factor is a number above 0"),
    (lambda: optim.OneCycle(0.1, 10, rise=2), "rise is a number"),
    (lambda: optim.WarmUp(-1, 0.1), "steps is a whole number of at least 0"),
    (lambda: optim.Plateau(0.1, factor="a"), "factor is a number that lies between 0 and 1"),
    (lambda: optim.Plateau(0.1, patience=0.5), "patience is a whole number"),
    (lambda: optim.Group("*", rate="a"), "rate is a number"),
    (lambda: optim.Group(3), "patterns such as"),
    (lambda: kw.losses.CrossEntropy("a"), "label smoothing is a number"),
    (lambda: trainer(batch=1.5), "Trainer: batch is a whole number of at least 1, not 1.5"),
    (lambda: trainer(batch=0), "not 0"),
    (lambda: trainer(threads=0.5), "threads is a whole number"),
    (lambda: trainer(seed=2**63), "seed is a whole number from 0"),
    (lambda: trainer(tune=1), "tune is True or False"),
    (lambda: trainer(device=0), 'the device is "cpu"'),
    (lambda: trainer(clip_norm="a"), "limit is a number above 0"),
    (lambda: trainer(accumulate=True), "whole number"),
    (lambda: trainer(optimizer="adm"), "no 'adm', only sgd, rmsprop, adagrad, adadelta, adam"),
    (lambda: trainer(optimizer=optim.Adam), "the class Adam: make one of it"),
    (lambda: trainer(loss="hinged"), "no 'hinged'; there are mse"),
    (lambda: trainer(loss=3), "is a function, not 3"),
    (lambda: trainer(batch_size=3), "no argument 'batch_size'; here it is batch"),
    (lambda: trainer().fit(IMAGES, LABELS), r"not an array of shape \(3,\); images and labels are one argument"),
    (lambda: trainer().fit((IMAGES, LABELS), epochs=1.5), "epochs is a whole number"),
    (lambda: trainer().fit((IMAGES, LABELS), validation_data=1), "here it is validation"),
    (lambda: trainer().fit((IMAGES, LABELS), checkpoint=3), "file's path is needed, not 3"),
    (lambda: trainer().fit((IMAGES, LABELS), callbacks=kw.callbacks.EarlyStopping()), "callbacks are a list"),
    (lambda: kw.data.Loader((IMAGES, LABELS), batch=1.5), "batch is a whole number"),
    (lambda: kw.data.Loader((IMAGES, LABELS), batch_size=1), "here it is batch"),
    (lambda: kw.data.Loader((IMAGES, LABELS), shuffle="no"), "shuffle is True or False"),
    (lambda: kw.callbacks.EarlyStopping(patience=1.5), "patience.*whole number"),
    (lambda: kw.callbacks.EarlyStopping(3), "a key of the history"),
    (lambda: kw.callbacks.CSV(3), "file's path is needed"),
    (lambda: kw.images.Cutout("a"), "size is a whole number"),
    (lambda: kw.images.Flip(p="a"), "a probability"),
    (lambda: kw.images.Crop(2, padding=0.5), "padding is a whole number"),
    (lambda: kw.init.normal("a"), "std is a number"),
    (lambda: kw.init.uniform(1, 0), "low is at most high"),
    (lambda: kw.models.Model("a", nn.Dense(3), (4.5,), 3), "input_shape, each number, is a whole number"),
    (lambda: kw.models.Model("a", nn.Dense(3), (4,), "3"), "classes is a whole number"),
    (lambda: kw.models.Recipe(epochs=0.5), "epochs is a whole number"),
    (lambda: kw.models.Recipe(learning_rate=float("nan")), "learning_rate is a number of at least 0, not nan"),
])  # fmt: skip
def test_everything_else(make, words):
    with pytest.raises(SettingError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value) and isinstance(caught.value, (kw.KernelwrightError, ValueError))


@pytest.mark.parametrize("seed", [2**63, -1, 1.5, "a"])
def test_a_generators_seed(seed):
    with pytest.raises(kw.InputError, match=r"whole number from 0 to 2\*\*63 - 1"):
        kw.Generator(seed)
    assert kw.Generator(2**63 - 1).state.shape == (2,)


def test_numbers_of_numpy_are_numbers():
    assert nn.Dense(np.int64(3)).units == 3 and type(nn.Conv(np.int32(4), np.int8(3)).window) is int
    assert optim.SGD(np.float32(0.5), momentum=np.float64(0.9)).momentum == 0.9
    assert nn.Conv(4, np.array([3, 5])).window == (3, 5)


def test_layers_in_one_list():
    net = nn.Sequential([nn.Flatten(), nn.Dense(3), kw.relu])
    assert net(kw.input("x", (None, 2, 2))).shape[1:] == (3,) and len(net) == 3


def test_pooling_a_sequence_keeps_its_channels():
    x = np.array([[[1, 5, 2, 3], [4, 0, 8, 7]]], "float32")
    given = kw.input("x", (None, 2, 4))
    for layer, right in ((nn.MaxPool(2), [[[5, 3], [4, 8]]]), (nn.AvgPool(2), [[[3, 2.5], [2, 7.5]]])):
        np.testing.assert_array_equal(kw.compile([given], [layer(given)], device="reference")(x), right)
    deep = kw.input("v", (None, 1, 4, 4, 4))
    assert nn.MaxPool(2)(deep).shape[1:] == (1, 2, 2, 2)
    wrong = ((nn.MaxPool((2, 2)), (None, 2, 4)), (nn.MaxPool(2), (None, 4)), (nn.AvgPool((2,)), (1, 1, 2, 2)))
    for layer, shape in wrong:
        with pytest.raises(nn.LayerError, match=r"pools \(batch, channels, \*spatial\) with as many spatial axes, not"):
            layer(kw.input("y", shape))


def test_words_for_an_optimizer_and_a_loss():
    t = trainer(optimizer="Adam", loss="mse")
    assert type(t.optimizer) is optim.Adam and t.optimizer.learning_rate == optim.Constant(0.001)
    y, labels = kw.input("y", (None, 3)), kw.input("t", (None,), "int32")
    mse = kw.compile([y, labels], [t.loss(y, labels)], device="reference")
    given = np.array([[0.5, 0, 1], [2, 1, 0]], "float32")  # one-hot targets are [0, 0, 1] and [1, 0, 0]
    np.testing.assert_allclose(mse(given, np.array([2, 0], "int32")), (0.25 + 1 + 1) / 6, rtol=1e-6)
    for word in ("cross_entropy", "sparse_categorical_crossentropy", "categorical_crossentropy"):
        assert trainer(loss=word).loss is kw.losses.cross_entropy
    several = trainer(loss="binary_crossentropy")
    assert several.loss is kw.losses.binary_cross_entropy and several.task.labels.several
    t = trainer(optimizer="sgd", loss="mse", batch=3)
    history = t.fit(
        (np.random.default_rng(0).random((30, 1, 28, 28), "float32"), np.arange(30) % 10), 3, progress=False
    )
    assert history[-1]["loss"] < history[0]["loss"]
