"""LeCun's networks of 1989 and 1998 and maxout networks: the papers' counts, their parts, agreement with PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from agreement import count, disagreement

import kernelwright as kw
from kernelwright.models.networks import glyphs, zip_code_net

RNG = np.random.default_rng(3)


def build(name, **options):
    with kw.init.precision("float64"):
        return kw.models.build(name, **options)


def by_layer(model):
    """Layers with weights, in order: (parameters, places of the result)."""
    rows = [r for r in model.rows() if r.parameters]
    return [(r.parameters, np.prod([int(n) for n in r.output.strip("()").split(", ")[1:]])) for r in rows]


# ------------------------------------------------------------------ counts
def test_lecun_1989_has_the_papers_units_connections_and_parameters():
    layers = by_layer(kw.models.lecun1989())
    assert [p for p, _ in layers] == [12 * 25 + 768, 12 * 200 + 192, 30 * 193, 10 * 31]
    units = [n for _, n in layers]
    assert units == [768, 192, 30, 10] and sum(units) + 256 == 1_256
    inputs = [26, 201, 193, 31]  # of a unit, its bias among them
    assert sum(n * k for n, k in zip(units, inputs, strict=True)) == 64_660
    assert count("lecun1989") == 9_760


def test_each_map_of_h1_is_seen_by_as_many_of_h2():
    table = zip_code_net.table()
    assert all(len(row) == 8 for row in table) and len({tuple(row) for row in table}) == 12
    assert np.bincount(np.concatenate(table)).tolist() == [8] * 12


def test_lenet5_1998_has_the_papers_connections_and_parameters():
    layers = by_layer(kw.models.lenet5_1998())
    assert [p for p, _ in layers] == [156, 12, 1_516, 32, 48_120, 10_164]
    units = [n for _, n in layers]
    assert units == [6 * 28 * 28, 6 * 14 * 14, 16 * 10 * 10, 16 * 5 * 5, 120, 84]
    connections = [26 * units[0], 5 * units[1], 1_516 * 100, 5 * units[3], 48_120, 10_164]
    assert connections[:4] == [122_304, 5_880, 151_600, 2_000]
    assert sum(connections) + 10 * 84 == 340_908
    assert count("lenet5_1998") == 60_000
    assert count("lenet5_1998", trained_codes=True) == 60_840


@pytest.mark.parametrize(
    ("name", "parameters"), [("maxout_mlp", 1_233_610), ("maxout_conv", 418_714), ("maxout_cifar", 16_247_830)]
)
def test_maxout_counts(name, parameters):
    assert count(name) == parameters


def test_the_codes_are_ten_different_drawings():
    codes = glyphs.codes()
    assert codes.shape == (10, 84) and set(np.unique(codes)) == {-1.0, 1.0}
    apart = ((codes[:, None] - codes) ** 2).sum(-1) / 4 + 100 * np.eye(10)
    assert apart.min() >= 5  # pixels


# ------------------------------------------------------------------ agreement
@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_lecun_1989_agrees(device):
    networks = pytest.importorskip("torch_history")
    assert disagreement(build("lecun1989"), networks.ZipCodes(zip_code_net.table()), device) < 1e-10


@pytest.mark.parametrize(("shape", "trained"), [((1, 28, 28), False), ((1, 32, 32), True)])
def test_lenet5_1998_agrees(shape, trained):
    networks = pytest.importorskip("torch_history")
    model = build("lenet5_1998", input_shape=shape, trained_codes=trained)
    assert disagreement(model, networks.LeNet5(glyphs.codes(), trained)) < 1e-10


@pytest.mark.slow
def test_classes_beyond_the_digits_have_codes_far_from_all_others():
    codes = glyphs.codes(100)
    assert codes.shape == (100, 84) and set(np.unique(codes)) == {-1.0, 1.0} and (codes[:10] == glyphs.codes()).all()
    apart = (codes[10:, None] != codes).sum(2)
    assert np.sort(apart, 1)[:, 1].min() >= 20  # of 84; the nearest is the code itself
    assert [row[0] for row in codes[10:14]] == [row[0] for row in glyphs.codes(14)[10:]]


def test_lenet5_1998_agrees_on_the_cpu_device():
    networks = pytest.importorskip("torch_history")
    assert disagreement(build("lenet5_1998"), networks.LeNet5(glyphs.codes()), "cpu", batch=9) < 1e-10


def test_maxout_mlp_agrees():
    networks = pytest.importorskip("torch_history")
    model = build("maxout_mlp", input_shape=(2, 3, 5), units=7, pieces=3, dropout=0.0)
    assert disagreement(model, networks.MaxoutMLP(30, 7, 3)) < 1e-10


MNIST = [(48, 2, 8, 0, 4), (48, 2, 8, 3, 4), (24, 4, 5, 3, 2)]
CIFAR = [(96, 2, 8, 4, 4), (192, 2, 8, 3, 4), (192, 2, 5, 3, 2)]


@pytest.mark.slow
def test_maxout_conv_agrees():
    networks = pytest.importorskip("torch_history")
    model = build("maxout_conv", dropout=0.0)
    assert disagreement(model, networks.MaxoutConv(1, MNIST, 24 * 9), "cpu") < 1e-9


@pytest.mark.slow
def test_maxout_cifar_agrees():
    networks = pytest.importorskip("torch_history")
    model = build("maxout_cifar", dropout=0.0)
    assert disagreement(model, networks.MaxoutConv(3, CIFAR, 192 * 25, (500, 5)), "cpu") < 1e-9


# ------------------------------------------------------------------ parts
def test_scaled_tanh_passes_through_one():
    x = kw.input("x", (None,), "float64")
    y = kw.compile([x], [kw.nn.scaled_tanh(x)], device="reference")(np.array([-1.0, 0.0, 1.0, 50.0]))
    np.testing.assert_allclose(y, [-1, 0, 1, 1.7159], atol=1e-5)


def test_limits_of_norms_agree_with_torch(device):
    torch = pytest.importorskip("torch")
    start = RNG.standard_normal((5, 3, 2)).astype("float32")
    w, b = kw.variable("conv.weight", start), kw.variable("conv.bias", np.full(5, 9.0, "float32"))
    optimizer = kw.optim.SGD(0.1, groups=kw.optim.Group("*.weight", max_norm=1.5))
    loss = (w * w).sum() * 0.5 + (b * b).sum() * 0.5
    kw.compile([], [loss], optimizer.updates([w, b], kw.grad(loss, [w, b])), device=device)()
    wanted = torch.renorm(torch.tensor(start * 0.9), 2, 0, 1.5).numpy()
    np.testing.assert_allclose(kw.get_value(w), wanted, rtol=1e-5)
    norms = np.linalg.norm(kw.get_value(w).reshape(5, -1), axis=1)
    assert norms.max() == pytest.approx(1.5) and norms.min() < 1.49
    np.testing.assert_allclose(kw.get_value(b), 8.1, rtol=1e-6)


def test_maxout_networks_keep_their_norms(problem):
    model = kw.models.maxout_mlp(4, (1, 8, 8), units=8, pieces=2, seed=1)
    history = kw.Trainer(model, device="reference", batch=35).fit(problem, epochs=40, progress=False)
    assert history[-1]["loss"] < history[0]["loss"]
    for p in model.parameters():
        if len(p.shape) > 1:
            assert np.linalg.norm(kw.get_value(p), axis=1).max() <= 1.9365 * (1 + 1e-6)


@pytest.mark.parametrize("name", ["lecun1989", "lenet5_1998"])
def test_they_learn(name):
    data = kw.data.digits().train.subset(64)
    images = data.images[:, :, 6:22, 6:22] if name == "lecun1989" else data.images
    trainer = kw.Trainer(kw.models.build(name), batch=4)
    history = trainer.fit((images, data.labels), epochs=12, progress=False)
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    assert history[-1]["accuracy"] > history[0]["accuracy"]


def test_wrong_use_is_named():
    x = kw.input("x", (None, 3, 6, 6))
    for layer, says in [
        (lambda: kw.nn.TableConv([[0], [3]], (3, 3)), r"maps 0 to 3 of \(batch, 3, 6, 6\)"),
        (lambda: kw.nn.TableConv([[1, 0]], (3, 3)), "ascending order"),
        (lambda: kw.nn.TableConv([[0]], (3, 3), bias="channel"), "map, unit, none"),
        (lambda: kw.nn.Maxout(2), r"2 pieces .* \(batch, 3, 6, 6\)"),
        (lambda: kw.nn.RadialBasis(np.zeros((4, 5))), r"\(batch, 5\), not \(batch, 3, 6, 6\)"),
    ]:
        with pytest.raises(kw.nn.LayerError, match=says):
            layer()(x)
    with pytest.raises(ValueError, match="max_norm: the limit"):
        kw.optim.Group("*.weight", max_norm=0)
