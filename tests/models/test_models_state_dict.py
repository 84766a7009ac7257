"""State dicts with PyTorch's names, and files of models."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models.named_state import StateError

nn = kw.nn


class Net(nn.Layer):
    """Convolution, batch normalisation, a block in a Sequential, a list: one of each way to hold a layer."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv(4, 3, pad=1, bias=False), nn.BatchNorm()
        self.features = nn.Sequential(nn.Conv(6, 3, stride=2), kw.relu, nn.Dropout(0.5), nn.Flatten())
        self.heads = [nn.Dense(5), nn.LayerNorm()]

    def forward(self, x):
        x = self.features(kw.relu(self.bn1(self.conv1(x))))
        return self.heads[1](self.heads[0](x))


NAMES = {
    "conv1.weight": (4, 3, 3, 3), "bn1.weight": (4,), "bn1.bias": (4,), "bn1.running_mean": (4,),
    "bn1.running_var": (4,), "features.0.weight": (6, 4, 3, 3), "features.0.bias": (6,), "heads.0.weight": (5, 54),
    "heads.0.bias": (5,), "heads.1.weight": (5,), "heads.1.bias": (5,),
}  # fmt: skip


def built(net):
    net(kw.input("x", (None, 3, 7, 8)))
    return net


def run(net, images):
    x = kw.input("x", (None, *images.shape[1:]))
    return kw.compile([x], [net(x)], device="reference")(images)


def test_names_and_shapes_are_those_of_pytorch():
    assert {name: value.shape for name, value in built(Net()).state_dict().items()} == NAMES
    named = nn.Sequential(nn.Dense(2, name="first"), kw.tanh, nn.Dense(3))
    named(kw.input("x", (None, 4)))
    assert list(named.state_dict()) == ["first.weight", "first.bias", "2.weight", "2.bias"]


def test_pytorchs_state_dict_gives_pytorchs_outputs():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = torch.nn.Module()
    theirs.conv1, theirs.bn1 = torch.nn.Conv2d(3, 4, 3, padding=1, bias=False), torch.nn.BatchNorm2d(4)
    theirs.features = torch.nn.Sequential(
        torch.nn.Conv2d(4, 6, 3, stride=2), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Flatten()
    )
    theirs.heads = torch.nn.ModuleList([torch.nn.Linear(54, 5), torch.nn.LayerNorm(5)])
    images = torch.randn(9, 3, 7, 8)

    def forward(x):
        x = theirs.features(torch.relu(theirs.bn1(theirs.conv1(x))))
        return theirs.heads[1](theirs.heads[0](x))

    forward(images)  # moves the running statistics
    theirs.eval()
    net = built(Net())
    state = theirs.state_dict()
    assert "bn1.num_batches_tracked" in state
    assert net.load_state_dict(state) == ([], [])
    np.testing.assert_allclose(run(net, images.numpy()), forward(images).detach().numpy(), rtol=1e-5, atol=1e-5)
    back = {name: torch.from_numpy(value) for name, value in net.state_dict().items()}
    theirs.load_state_dict(back)  # strict: PyTorch finds all of its names


def test_stored_values_of_pytorch():
    """Linear(3, 2), BatchNorm1d(2) in inference, ReLU: worked by hand."""
    net = nn.Sequential(nn.Dense(2), nn.BatchNorm(eps=0.0), kw.relu)
    net(kw.input("x", (None, 3)))
    net.load_state_dict(
        {
            "0.weight": np.array([[1, 2, 3], [0, -1, 1]]),
            "0.bias": [0.5, 0.0],
            "1.weight": [2.0, 1.0],
            "1.bias": [0.0, 1.0],
            "1.running_mean": [1.5, 2.0],
            "1.running_var": [4.0, 1.0],
            "1.num_batches_tracked": 7,
        }
    )
    # x w + b = (14.5, 1); less the mean, over the root of the variance: (6.5, -1); scaled and shifted: (13, 0)
    np.testing.assert_allclose(run(net, np.array([[1, 2, 3]], "float32")), [[13.0, 0.0]], rtol=1e-6)


def test_all_that_does_not_fit_is_in_one_error_and_nothing_changes():
    net = built(Net())
    before, given = net.state_dict(), built(Net()).state_dict()
    del given["conv1.weight"], given["heads.1.bias"]
    given.update({"fc.weight": np.zeros(3), "heads.0.weight": np.zeros((54, 5)), "bn1.bias": ["a", "b", "c", "d"]})
    with pytest.raises(StateError) as error:
        net.load_state_dict(given)
    assert str(error.value).splitlines()[1:] == [
        "  missing: conv1.weight, heads.1.bias",
        "  unexpected: fc.weight",
        "  not fitting: bn1.bias (<U1, not numbers), heads.0.weight (shape (54, 5), here (5, 54))",
    ]
    assert all((net.state_dict()[name] == value).all() for name, value in before.items())


def test_what_fits_is_loaded_where_it_is_not_strict():
    net = built(Net())
    missing, unexpected = net.load_state_dict({"heads.0.bias": np.arange(5), "bn1.bias": np.ones(3)}, strict=False)
    assert missing == [name for name in NAMES if name != "heads.0.bias"] and unexpected == ["bn1.bias"]
    assert net.state_dict()["heads.0.bias"].tolist() == [0, 1, 2, 3, 4]
    assert net.state_dict()["bn1.bias"].tolist() == [0, 0, 0, 0]


def test_a_network_without_variables_yet_and_what_is_no_dict():
    with pytest.raises(nn.LayerError, match="call it once on a tensor"):
        Net().load_state_dict({})
    with pytest.raises(StateError, match="a dict of arrays by name is needed, not list"):
        built(Net()).load_state_dict([np.zeros(3)])


def test_a_model_of_ours_is_read_from_its_file_alone(tmp_path):
    model = kw.models.lenet5_1998(classes=4, seed=3)
    model.save(tmp_path / "net.safetensors")
    again = kw.load_model(tmp_path / "net.safetensors")
    assert (again.name, again.classes) == (model.name, 4)
    images = np.random.default_rng(0).random((2, *model.input_shape), "float32")
    np.testing.assert_array_equal(run(again, images), run(model, images))


def test_a_network_of_ones_own_is_given(tmp_path):
    def net():
        return nn.Sequential(nn.Flatten(), nn.Dense(5), nn.BatchNorm())

    with kw.init.precision("float64"):
        model = kw.models.Model("mine", net(), (1, 2, 3), 5, seed=1)
    model.save(tmp_path / "net.safetensors")
    with pytest.raises(RuntimeError, match=r"'mine' is not one of kw.models.names\(\): build the same network"):
        kw.load_model(tmp_path / "net.safetensors")
    again = kw.load_model(tmp_path / "net.safetensors", net())
    assert again.dtype == "float64" and again.input_shape == (1, 2, 3)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name], value)
    with pytest.raises(RuntimeError, match=r"is of mine \(1, 2, 3\) with 5 classes, not of <Model perceptron"):
        kw.load_model(tmp_path / "net.safetensors", kw.models.perceptron())
    other = kw.models.Model("mine", nn.Sequential(nn.Flatten(), nn.Dense(5)), (1, 2, 3), 5)
    with pytest.raises(RuntimeError, match=r"unexpected: 2\.bias, 2\.running_mean, 2\.running_var, 2\.weight"):
        kw.load_model(tmp_path / "net.safetensors", other)


def test_a_trainers_checkpoint_is_no_models_file(tmp_path):
    kw.Trainer(kw.models.perceptron()).save(tmp_path / "run.safetensors")
    with pytest.raises(RuntimeError, match=r"not a model's file of format 1; kw.Trainer.resume reads"):
        kw.load_model(tmp_path / "run.safetensors")
