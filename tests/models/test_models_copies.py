"""`copy.deepcopy` and `pickle` of variables, layers, models, optimizers and compiled programs."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import kernelwright as kw

nn = kw.nn


def network(seed=0, dropout=0.25):
    with kw.init.seeded(seed):
        net = nn.Sequential(
            nn.Dense(6, weight_init=kw.init.orthogonal()),
            nn.BatchNorm(),
            kw.relu,
            nn.Dropout(dropout, seed=5),
            nn.Dense(2),
        )
        net(kw.input("x", (None, 3)), training=True)
    return net


def step_of(net, optimizer):
    x, t = kw.input("x", (None, 3)), kw.input("t", (None, 2))
    loss = kw.losses.mean_squared_error(net(x, training=True), t)
    updates = optimizer.updates(net.parameters(), kw.grad(loss, net.parameters()))
    return kw.compile([x, t], [loss], updates, device="reference")


def batch():
    rng = np.random.default_rng(3)
    return rng.standard_normal((8, 3)).astype("float32"), rng.standard_normal((8, 2)).astype("float32")


def values(variables):
    return [kw.get_value(v) for v in variables]


def same(left, right):
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def both(thing):
    """What a copy and a pickle make of it."""
    return [copy.deepcopy(thing), pickle.loads(pickle.dumps(thing))]


def test_a_variable_is_new_and_has_the_value():
    v = kw.variable("v", np.arange(3.0), "float64")
    for other in both(v):
        kw.set_value(other, [7, 7, 7])
        assert other is not v and other.attrs.name == "v" and kw.get_value(v).tolist() == [0, 1, 2]
    assert copy.copy(v) is v


def test_what_is_copied_together_shares_its_variables():
    v, x = kw.variable("v", [2.0], "float32"), kw.input("x", (None, 1))
    for new, y in both((v, x * v + v)):
        kw.set_value(new, [5.0])
        assert kw.compile([x], [y], device="reference")(np.ones((1, 1), "float32")).tolist() == [[10.0]]
    assert kw.get_value(v).tolist() == [2.0]


def test_a_graph_deeper_than_pythons_stack():
    x = kw.input("x", (2,))
    y = x
    for _ in range(3000):
        y = kw.sin(y)
    assert copy.deepcopy(y) is y and pickle.loads(pickle.dumps(y)) is y  # no variables: equal, so the same


def test_copies_of_a_layer_train_apart_and_alike():
    net = network()
    images, targets = batch()
    for other in both(net):
        assert same(values(other.parameters()), values(net.parameters()))
        before = values(net.parameters())
        first = step_of(other, kw.optim.SGD(0.1))(images, targets)
        assert same(values(net.parameters()), before) and not same(values(other.parameters()), before)
        again = copy.deepcopy(network())  # the same step from the same values, statistics and random state
        assert step_of(again, kw.optim.SGD(0.1))(images, targets) == first
        assert same(values(again.parameters() + again.buffers()), values(other.parameters() + other.buffers()))


def test_a_model_and_its_optimizer_go_on_from_where_they_were():
    net, optimizer = network(dropout=0.0), kw.optim.Adam(0.05)
    data = batch()
    step = step_of(net, optimizer)
    for _ in range(3):
        step(*data)
    others = both((net, optimizer))
    losses = [float(step(*data)) for _ in range(3)]
    for other, its in others:
        again = step_of(other, its)
        assert [float(again(*data)) for _ in range(3)] == losses  # moments and counter too
        assert same(values(other.parameters()), values(net.parameters()))


def test_a_compiled_step_goes_on_with_its_random_numbers():
    net, data = network(), batch()
    step = step_of(net, kw.optim.SGD(0.05, momentum=0.9))
    step(*data)
    others = both((net, step))
    losses = [float(step(*data)) for _ in range(3)]
    for other, again in others:
        assert [float(again(*data)) for _ in range(3)] == losses
        assert same(values(other.parameters() + other.buffers()), values(net.parameters() + net.buffers()))


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_a_compiled_program_has_variables_of_its_own(device):
    v, x = kw.variable("v", [1.0, 2.0], "float32"), kw.input("x", (None, 2))
    step = kw.compile([x], [x * v], {v: v + 1}, device=device)
    ones = np.ones((1, 2), "float32")
    step(ones)
    for new, again in both((v, step)):
        assert again(ones).tolist() == [[2.0, 3.0]]
        assert again(ones).tolist() == [[3.0, 4.0]] and kw.get_value(new).tolist() == [4.0, 5.0]
    assert step(ones).tolist() == [[2.0, 3.0]]


def test_a_pickle_in_another_process_gives_equal_outputs(tmp_path):
    model = kw.models.Model("small", network(), (3,), 2)
    x = model.images()
    predict = kw.compile([x], [model(x)])
    images = batch()[0]
    (tmp_path / "pickle").write_bytes(pickle.dumps((model, predict, images)))
    code = (
        "import pickle, sys, kernelwright as kw, numpy as np\n"
        "model, predict, images = pickle.load(open(sys.argv[1] + '/pickle', 'rb'))\n"
        "x = model.images()\n"
        "np.save(sys.argv[1] + '/out.npy', [predict(images), kw.compile([x], [model(x)])(images)])\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=120)
    theirs, again = np.load(tmp_path / "out.npy")
    np.testing.assert_array_equal(theirs, predict(images))
    np.testing.assert_array_equal(again, predict(images))


def test_networks_of_ours_pickle():
    for model in (kw.models.lenet5_1998(), kw.models.resnet20(), kw.models.perceptron()):
        again = pickle.loads(pickle.dumps(model))
        assert again.built_by == model.built_by and again.state_dict().keys() == model.state_dict().keys()
        assert same(again.state_dict().values(), model.state_dict().values())
