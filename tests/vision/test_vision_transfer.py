"""Tables of who is fooled by what, by hand; the nearest neighbour; the loss of adversarial training by NumPy."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.errors import InputError
from kernelwright.models.checks import SettingError
from kernelwright.models.initializers import seeded

RNG = np.random.default_rng(6)
IMAGES = np.full((4, 1, 2, 2), 0.5, "float32")
LABELS = np.array([0, 1, 0, 1])


def bright(images):
    """Class 1 where the first pixel is above 0.6."""
    return (images[:, 0, 0, 0] > 0.6).astype(int)


def always_one(images):
    return np.ones(len(images), int)


def test_a_table_by_hand():
    lighter = IMAGES.copy()
    lighter[:, 0, 0, 0] = [0.9, 0.9, 0.9, 0.5]  # bright says 1, 1, 1, 0: right once
    table = kw.vision.transfer_table({"bright": lighter}, {"bright": bright, "one": always_one}, IMAGES, LABELS)
    np.testing.assert_array_equal(table.errors[0], [0.75, 0.5])
    # three images have one of four pixels moved by 0.4: sqrt(0.16 / 4) = 0.2, and the last is as it was
    np.testing.assert_allclose(table.distortions, [0.15, 0.15], rtol=1e-6)
    assert table.rows[0] == "distorted for bright" and table.rows[1].startswith("gaussian noise, stddev=0.")
    assert table.columns == ("bright", "one") and table.errors.shape == (2, 2)
    top, first, last = str(table).splitlines()
    assert top.split() == ["bright", "one", "av.", "distortion"]
    assert first.split() == ["distorted", "for", "bright", "75.0%", "50.0%", "0.150"]
    assert last.startswith("gaussian noise, stddev=") and last.split()[-2:] == ["50.0%", "0.150"]
    assert table.data()["errors"] == table.errors.tolist()


def test_noise_has_the_mean_size_of_the_rows_above_also_where_the_box_takes_some_of_it():
    images = np.round(RNG.random((30, 1, 6, 6), dtype="float32"))  # half of what is added to these is clipped
    labels = np.zeros(30, int)
    one, two = np.clip(images, 0.1, 0.9), np.clip(images, 0.3, 0.7)
    rows = kw.vision.transfer_table({"a": one, "b": two}, {"one": always_one}, images, labels, seed=1)
    np.testing.assert_allclose(rows.distortions, [0.1, 0.3, 0.2], rtol=1e-5)
    assert float(rows.rows[-1].split("=")[1]) > 0.2
    again = kw.vision.transfer_table({"a": one, "b": two}, {"one": always_one}, images, labels, seed=1)
    assert str(again) == str(rows)


def test_networks_and_functions_stand_side_by_side():
    model = kw.models.build("perceptron", input_shape=(1, 2, 2), classes=2, seed=0)
    attack = kw.vision.fgsm(model, IMAGES, 0.3, LABELS)
    columns = {"model": model, "one": always_one}
    table = kw.vision.transfer_table({"model": attack}, columns, IMAGES, LABELS)
    np.testing.assert_array_equal(table.errors[0], [(attack.after != LABELS).mean(), 0.5])
    np.testing.assert_allclose(table.distortions[0], attack.distortion.mean())


def test_the_nearest_image_says_the_class_and_the_first_of_several():
    known = RNG.random((40, 2, 3, 3))
    known[7] = known[3]
    labels = RNG.integers(0, 5, 40)
    asked = RNG.random((9, 2, 3, 3)).astype("float32")
    want = [labels[np.argmin([((a - k) ** 2).sum() for k in known])] for a in asked]
    tell = kw.vision.nearest_neighbour(known, labels)
    np.testing.assert_array_equal(tell(asked), want)
    np.testing.assert_array_equal(tell(known[[7, 0]]), labels[[3, 0]])
    many = np.concatenate([asked] * 60)  # more than are compared at once
    np.testing.assert_array_equal(tell(many), want * 60)


def test_the_loss_of_adversarial_training_by_numpy():
    w, b = RNG.normal(size=(4, 3)).astype("float32"), RNG.normal(size=3).astype("float32")
    x, y = RNG.random((5, 1, 2, 2), dtype="float32"), RNG.integers(0, 3, 5)

    def cross_entropy(flat):
        logits = flat @ w + b
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        return -np.log(p[np.arange(5), y]).mean(), (p - np.eye(3)[y]) @ w.T

    plain, slope = cross_entropy(x.reshape(5, 4))
    moved = x.reshape(5, 4) + 0.3 * np.sign(slope)
    images, labels = kw.input("x", (5, 1, 2, 2)), kw.input("y", (5,), "int64")
    weights = kw.variable("w", w)
    for box, at in (((0.0, 1.0), np.clip(moved, 0, 1)), (None, moved)):
        for alpha in (0.25, 1.0):
            loss = kw.vision.adversarial_loss(
                lambda t: t.reshape(-1, 4) @ weights + b, images, labels, 0.3, alpha, box=box
            )
            found, by_weights = kw.compile([images, labels], [loss, kw.grad(loss, weights)])(x, y)
            want = alpha * plain + (1 - alpha) * cross_entropy(at)[0]
            np.testing.assert_allclose(found, want, rtol=1e-5)
            assert by_weights.shape == (4, 3) and abs(by_weights).max() > 1e-3


def test_accuracy_under_attack_counts_what_is_right_before_and_after():
    def attack(network, images, classes, size):
        before, after = np.array([0, 1, 1, 1])[: len(images)], np.array([0, 0, 0, 1])[: len(images)]
        assert (classes == LABELS[: len(images)]).all() and size == 3
        return kw.vision.Attack(images, before, after, np.zeros(4), np.zeros(4))

    # right before: 0, 1 and 3; of these 0 and 3 still are; 2 came to be right by the attack, which does not count
    assert kw.vision.robust_accuracy(bright, (IMAGES, LABELS), attack, size=3) == 0.5
    assert kw.vision.robust_accuracy(bright, (IMAGES, LABELS), attack, batch=2, size=3) == 0.5


def test_training_for_the_loss_makes_a_network_harder_to_fool():
    data = kw.data.digits()
    kept = {}
    for alpha in (1.0, 0.5):
        x, y = kw.input("x", (None, 1, 28, 28)), kw.input("y", (None,), "int32")
        with seeded(0):
            net = kw.nn.Sequential(kw.nn.Flatten(), kw.nn.Dense(24), kw.relu, kw.nn.Dense(10))
            loss = kw.vision.adversarial_loss(net, x, y, 0.1, alpha)
        parameters = net.parameters()
        step = kw.compile([x, y], [loss], kw.optim.Adam(0.01).updates(parameters, kw.grad(loss, parameters)))
        order = np.random.default_rng(0).integers(0, len(data.train.images), (120, 64))
        for rows in order:
            step(data.train.images[rows], data.train.labels[rows].astype("int32"))
        kept[alpha] = kw.vision.robust_accuracy(net, data.test, kw.vision.fgsm, 0.1)
    assert kept[0.5] > kept[1.0] + 0.1, kept


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: kw.vision.transfer_table({}, {"a": bright}, IMAGES, LABELS), SettingError, "at least one"),
        (lambda: kw.vision.transfer_table({"a": IMAGES[1:]}, {"a": bright}, IMAGES, LABELS), InputError, "made for a"),
        (lambda: kw.vision.transfer_table({"a": IMAGES}, {"b": lambda x: x}, IMAGES, LABELS), InputError, "classified"),
        (lambda: kw.vision.nearest_neighbour(IMAGES, [1]), InputError, r"integers \(4,\)"),
        (lambda: kw.vision.nearest_neighbour(IMAGES, LABELS)(IMAGES[0]), InputError, "images are"),
        (lambda: kw.vision.robust_accuracy(bright, IMAGES, kw.vision.fgsm, 0.1), InputError, "images, labels"),
        (lambda: kw.vision.robust_accuracy(bright, (IMAGES, LABELS), "fgsm"), SettingError, "function"),
        (lambda: kw.vision.adversarial_loss(bright, None, None, -1), SettingError, "epsilon"),
        (lambda: kw.vision.adversarial_loss(bright, None, None, 1, 2), SettingError, "alpha"),
    ],
)
def test_mistakes_are_one_clear_error(call, error, words):
    with pytest.raises(error, match=words):
        call()
