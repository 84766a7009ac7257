"""Networks that are no classifiers: regression, autoencoders, segmentation, several inputs and outputs."""

import numpy as np
import pytest

import kernelwright as kw

nn = kw.nn
DEVICE = {"device": "reference"}


def fixed(net, values, *shapes):
    """`net` built for inputs of these shapes, with these values by name."""
    net(*(kw.input(f"x{i}", (None, *shape)) for i, shape in enumerate(shapes)))
    net.load_state_dict({name: np.array(value) for name, value in values.items()})
    return net


def test_linear_regression_finds_the_coefficients_of_least_squares():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 3)).astype("float32")
    y = (x @ [[1.5], [-2.0], [0.5]] + 0.25 + 0.1 * rng.standard_normal((64, 1))).astype("float32")
    trainer = kw.Trainer(nn.Dense(1), kw.optim.SGD(0.3), "mse", batch=64, metrics="mae")
    history = trainer.fit((x, y), epochs=200, validation=(x, y), progress=False)
    best = np.linalg.lstsq(np.column_stack([x, np.ones(64)]).astype("float64"), y, rcond=None)[0].ravel()
    found = trainer.model.state_dict()
    np.testing.assert_allclose([*found["weight"].ravel(), *found["bias"]], best, atol=1e-5)
    assert {"loss", "mae", "validation_loss", "validation_mae"} <= history[-1].keys()
    assert not any("accuracy" in key for key in history[-1])
    apart = np.abs(trainer.predict(x) - y)
    np.testing.assert_allclose(trainer.evaluate((x, y))["mae"], apart.mean(), rtol=1e-5)


def test_an_autoencoder_takes_one_array():
    """Two numbers are enough for data that lies in a plane: the loss falls from about 1 to below a hundredth."""
    rng = np.random.default_rng(1)
    x = (rng.standard_normal((128, 2)) @ rng.standard_normal((2, 6)) / 1.4).astype("float32")
    with kw.init.seeded(0):
        net = nn.Sequential(nn.Dense(2), nn.Dense(6))
        trainer = kw.Trainer(net, kw.optim.Adam(0.02), "mse", batch=32, **DEVICE)
        history = trainer.fit(x, epochs=60, progress=False)
    assert history[0]["loss"] > 0.3 and history[-1]["loss"] < 0.01
    assert trainer.predict(x[:5]).shape == (5, 6)


def test_a_segmentation_by_pixel():
    """A pixel's class is whether its left neighbour is bright: a 3x3 convolution can say it exactly."""
    rng = np.random.default_rng(2)
    images = rng.random((48, 1, 6, 5)).astype("float32")
    labels = np.zeros((48, 6, 5), "int64")
    labels[:, :, 1:] = images[:, 0, :, :-1] > 0.5
    trainer = kw.Trainer(nn.Conv(2, 3, pad=1), kw.optim.Adam(0.1), "cross_entropy", batch=16, metrics=["accuracy"])
    history = trainer.fit((images, labels), epochs=40, progress=False)
    said = trainer.predict(images)
    assert said.shape == (48, 2, 6, 5)
    right = (said.argmax(1) == labels).mean()
    assert right > 0.95 and trainer.evaluate((images, labels))["accuracy"] == pytest.approx(right)
    assert history[-1]["loss"] < 0.2


class Two(nn.Layer):
    """y = tanh(a A' + b B' + c) goes into two heads."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Dense(2), nn.Dense(2, bias=False)
        self.box, self.kind = nn.Dense(1), nn.Dense(3)

    def forward(self, a, b, training):
        y = kw.tanh(self.left(a) + self.right(b))
        return {"box": self.box(y), "kind": self.kind(y)}


VALUES = {
    "left.weight": [[0.5, -0.25], [0.1, 0.3]], "left.bias": [0.05, -0.1], "right.weight": [[0.2], [-0.4]],
    "box.weight": [[0.7, -0.3]], "box.bias": [0.1], "kind.weight": [[0.2, 0.1], [-0.5, 0.4], [0.3, -0.6]],
    "kind.bias": [0.0, 0.1, -0.1],
}  # fmt: skip
INPUTS = {"a": np.array([[1.0, 2.0], [-1.0, 0.5]], "float32"), "b": np.array([[0.5], [-1.5]], "float32")}
TARGETS = {"box": np.array([[0.3], [-0.2]], "float32"), "kind": np.array([2, 0])}
LOSSES = {"box": "mse", "kind": "cross_entropy"}


def stepped(data, **options):
    """What one step of SGD at rate 1 subtracts from each variable, and the step's loss."""
    net = fixed(Two(), VALUES, (2,), (1,))
    trainer = kw.Trainer(net, kw.optim.SGD(1.0), LOSSES, loss_weights={"box": 2.0, "kind": 0.5}, **DEVICE, **options)
    before = net.state_dict()
    history = trainer.fit(data, epochs=1, progress=False)
    return {name: before[name] - value for name, value in net.state_dict().items()}, history[0]


def by_hand():
    """Loss and gradients of 2 mse(box) + 0.5 cross_entropy(kind), written out in NumPy."""
    v = {name: np.array(value) for name, value in VALUES.items()}
    a, b, n = INPUTS["a"].astype("float64"), INPUTS["b"].astype("float64"), 2
    y = np.tanh(a @ v["left.weight"].T + v["left.bias"] + b @ v["right.weight"].T)
    box, kind = y @ v["box.weight"].T + v["box.bias"], y @ v["kind.weight"].T + v["kind.bias"]
    p = np.exp(kind) / np.exp(kind).sum(1, keepdims=True)
    loss = 2 * ((box - TARGETS["box"]) ** 2).mean() - 0.5 * np.log(p[[0, 1], TARGETS["kind"]]).mean()
    d_box, d_kind = 4 * (box - TARGETS["box"]) / n, 0.5 * (p - np.eye(3)[TARGETS["kind"]]) / n
    d = (d_box @ v["box.weight"] + d_kind @ v["kind.weight"]) * (1 - y * y)
    return loss, {
        "left.weight": d.T @ a, "left.bias": d.sum(0), "right.weight": d.T @ b, "box.weight": d_box.T @ y,
        "box.bias": d_box.sum(0), "kind.weight": d_kind.T @ y, "kind.bias": d_kind.sum(0),
    }  # fmt: skip


@pytest.mark.parametrize("form", ["names", "places", "one dict", "accumulated"])
def test_two_inputs_and_two_outputs_with_weights(form):
    data = {
        "places": (tuple(INPUTS.values()), TARGETS),
        "one dict": {**INPUTS, **TARGETS},
    }.get(form, (dict(reversed(INPUTS.items())), TARGETS))
    options = {"batch": 1, "accumulate": 2} if form == "accumulated" else {"batch": 2}
    moved, record = stepped(data, **options)
    loss, gradients = by_hand()
    assert record["loss"] == pytest.approx(loss, rel=1e-5)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(moved[name], gradient, rtol=1e-4, atol=1e-6, err_msg=name)


def test_the_gradients_are_pytorchs():
    torch = pytest.importorskip("torch")
    v = {name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in VALUES.items()}
    a, b = (torch.tensor(each, dtype=torch.float64) for each in INPUTS.values())
    y = torch.tanh(a @ v["left.weight"].T + v["left.bias"] + b @ v["right.weight"].T)
    f = torch.nn.functional
    loss = 2 * f.mse_loss(y @ v["box.weight"].T + v["box.bias"], torch.tensor(TARGETS["box"], dtype=torch.float64))
    loss = loss + 0.5 * f.cross_entropy(y @ v["kind.weight"].T + v["kind.bias"], torch.tensor(TARGETS["kind"]))
    loss.backward()
    moved, _ = stepped((INPUTS, TARGETS), batch=2)
    for name, variable in v.items():
        np.testing.assert_allclose(moved[name], variable.grad.numpy(), rtol=1e-4, atol=1e-6, err_msg=name)


def test_a_loss_and_metrics_of_ones_own_and_metrics_by_output():
    def loss(outputs, targets):
        return kw.mean(kw.abs(outputs["box"] - targets["box"]))

    trainer = kw.Trainer(
        fixed(Two(), VALUES, (2,), (1,)), "sgd", loss, batch=1, **DEVICE, metrics={"box": "mae", "kind": ["accuracy"]}
    )
    measured = trainer.evaluate((INPUTS, TARGETS))
    assert trainer.evaluate((dict(reversed(INPUTS.items())), dict(reversed(TARGETS.items())))) == measured
    said = trainer.predict(INPUTS)
    apart = np.abs(said["box"] - TARGETS["box"]).mean()
    right = (said["kind"].argmax(1) == TARGETS["kind"]).mean()
    assert measured == pytest.approx({"loss": apart, "box_mae": apart, "kind_accuracy": right}, rel=1e-5)


def regression(count=40):
    rng = np.random.default_rng(5)
    x = rng.standard_normal((count, 4)).astype("float32")
    return x, np.sin(x[:, :2])


def small(**options):
    net = nn.Sequential(nn.Dense(8), nn.BatchNorm(), kw.tanh, nn.Dropout(0.1, seed=1), nn.Dense(2))
    with kw.init.seeded(0):
        net(kw.input("x", (None, 4)))
    return kw.Trainer(net, kw.optim.Adam(0.01), "mse", batch=8, metrics="mae", **DEVICE, **options)


def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    data, whole = regression(), small()
    whole.fit(data, epochs=4, progress=False)
    begun = small()
    begun.fit(data, epochs=2, progress=False, checkpoint=tmp_path / "run.safetensors")
    with kw.init.seeded(9):
        net = nn.Sequential(nn.Dense(8), nn.BatchNorm(), kw.tanh, nn.Dropout(0.1), nn.Dense(2))
    again = kw.Trainer.resume(tmp_path / "run.safetensors", net, loss="mse", metrics="mae", **DEVICE)
    again.fit(data, epochs=4, progress=False)
    for name, value in whole.model.state_dict().items():
        np.testing.assert_array_equal(again.model.state_dict()[name], value)
    assert [r["mae"] for r in again.history] == [r["mae"] for r in whole.history]


def test_a_loader_gives_what_memory_gives():
    x, y = regression()
    fed, read = small(), small()
    fed.fit((x, y), epochs=2, progress=False)
    read.fit(kw.data.Loader((x, y), batch=8), epochs=2, progress=False)
    for name, value in fed.model.state_dict().items():
        np.testing.assert_array_equal(read.model.state_dict()[name], value)


def test_a_callback_watches_a_metric_by_keras_name():
    x, y = regression()
    stop = kw.callbacks.EarlyStopping("val_mae", patience=1, threshold=10.0)
    trainer = small()
    trainer.fit((x, y), epochs=5, validation=(x, y), callbacks=[stop], progress=False)
    assert len(trainer.history) == 2 and "validation_mae" in trainer.stopped


def test_the_progress_line_has_the_metrics_and_no_accuracy(capsys):
    trainer = small()
    trainer.fit(regression(), epochs=1)
    line = capsys.readouterr().out
    assert f"loss {trainer.history[0]['loss']:.4f}  mae {trainer.history[0]['mae']:.4f}" in line
    assert "accuracy" not in line


@pytest.mark.parametrize("data, error, words", [
    (({"a": INPUTS["a"]}, TARGETS), kw.InputError, r"Two.forward takes a, b; the inputs are a float32 .*: missing b"),
    (({"a": INPUTS["a"], "c": INPUTS["b"]}, TARGETS), kw.InputError, "missing b; unexpected c"),
    ((INPUTS, {"box": TARGETS["box"]}), ValueError, "'kind', and no such key among the targets, only 'box'"),
    (({"a": INPUTS["a"], "b": np.ones((3, 1), "float32")}, TARGETS), kw.InputError, r"a \(2, 2\), b \(3, 1\)"),
    ((INPUTS, {**TARGETS, "box": np.ones(2, "float32")}), kw.ShapeError,
     r"the output is \(batch, 1\), the target \(batch,\)"),
    (({**INPUTS, "a": np.array([[1, np.nan], [0, 0]], "float32")}, TARGETS), kw.InputError, r"a\[0\] holds nan"),
    (INPUTS, kw.InputError, "a dict of data has the inputs by the names"),
    (7, kw.InputError, "data is .inputs, targets., each an array, a tuple or a dict"),
])  # fmt: skip
def test_data_that_does_not_fit(data, error, words):
    with pytest.raises(error, match=words):
        kw.Trainer(Two(), "sgd", LOSSES, **DEVICE).fit(data, epochs=1, progress=False)


def test_losses_and_metrics_that_cannot_be():
    def rows(outputs, targets):
        return kw.mean((outputs - targets) ** 2, 1)

    with pytest.raises(kw.ShapeError, match=r"rows gives .*\(batch,\) float32, and a scalar of floats is needed"):
        kw.Trainer(nn.Dense(2), "sgd", rows, **DEVICE).fit(regression(), epochs=1, progress=False)
    with pytest.raises(ValueError, match="'mse' compares one output with one target, and there are several outputs"):
        kw.Trainer(Two(), "sgd", "mse", **DEVICE).fit((INPUTS, TARGETS), epochs=1, progress=False)
    with pytest.raises(ValueError, match="the loss is needed for a network of your own"):
        kw.Trainer(nn.Dense(1))
    with pytest.raises(ValueError, match="there is no 'r2'; there are accuracy, mae"):
        kw.Trainer(nn.Dense(1), loss="mse", metrics=["r2"])
    with pytest.raises(ValueError, match="there is no loss for 'size', only for box"):
        kw.Trainer(nn.Dense(1), loss={"box": "mse"}, loss_weights={"size": 1.0})
    with pytest.raises(ValueError, match="measured by the accuracy of its classes"):
        kw.Trainer(kw.models.perceptron(), metrics=["mae"])
