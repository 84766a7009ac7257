"""Mixed precision: which operations are narrow, what the rest sees, and the factor of the loss."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models import precision

RNG = np.random.default_rng(4)


def network():
    layers = [kw.nn.Conv(3, 3), kw.nn.BatchNorm(), kw.relu, kw.nn.Flatten(), kw.nn.Dense(4)]
    return kw.models.Model("small", kw.nn.Sequential(*layers), (1, 8, 8), 4)


def trainer(**options):
    return kw.Trainer(network(), kw.optim.SGD(0.1, momentum=0.9), device="reference", batch=35, **options)


def values(t):
    return [kw.get_value(v) for v in (*t.model.parameters(), *t.model.buffers())]


# ------------------------------------------------------------------ which operations are narrow
def test_contractions_alone_are_narrow_and_agree_with_torch():
    """A network of float64 whose contractions are float32: the same relation as float32 to the 16-bit types."""
    torch = pytest.importorskip("torch")
    with kw.init.precision("float64"):
        model = network()
    images, weight = RNG.standard_normal((5, 1, 8, 8)), RNG.standard_normal((5, 4))
    x, w = model.images(), kw.input("w", (None, 4), "float64")
    logits = model(x, training=True)
    statistics = model.net.updates()
    y, *moved = precision.lowered([logits, *statistics.values()], "float32", [x])
    kinds = {i.dtype for node in kw.toposort([y]) if node.op.name == "contract" for i in node.inputs}
    assert kinds == {"float32"} and y.dtype == "float64"
    gradients = kw.grad((y * w).sum(), [x, *model.parameters()])
    assert all(g.dtype == "float64" for g in gradients)
    run = kw.compile([x, w], [y, *gradients], dict(zip(statistics, moved)), device="reference")
    found = [*run(images, weight), *map(kw.get_value, model.buffers())]

    t = torch.tensor(images, requires_grad=True)
    p = [torch.tensor(kw.get_value(v), requires_grad=True) for v in model.parameters()]
    h = torch.nn.functional.conv2d(t.float(), p[0].float()).double() + p[1][:, None, None]
    mean, var = torch.zeros(3).double(), torch.ones(3).double()
    h = torch.nn.functional.batch_norm(h, mean, var, p[2], p[3], training=True).relu().flatten(1)
    out = (h.float() @ p[4].float().T).double() + p[5]
    (out * torch.tensor(weight)).sum().backward()
    wanted = [out, t.grad, *(v.grad for v in p), mean, var]
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-5, atol=1e-5)
    whole = kw.compile([x], [model(x, training=True)], device="reference")(images)
    assert 1e-10 < np.abs(found[0] - whole).max() < 1e-5


def test_what_contractions_read_is_rounded_once_for_all_its_readers():
    """By hand: 1 + 2^-8 lies half way and goes to the even 1, 1 + 3 * 2^-8 to 1 + 2^-6. Rectified, pooled and moved
    values are rounded before, and gradients of them are narrow too."""
    x, w = kw.input("x", (1, 1, 2, 2)), kw.variable("w", np.eye(1, dtype="float32"))
    wide = x * 1.0 + 0.5 * x - 0.5 * x
    pooled = kw.max_pool(kw.relu(wide), 2)
    y, branch = precision.lowered([pooled.reshape(1, 1) @ w.T, pooled + wide.mean()], "bfloat16", [x])
    given = np.array([[[[1 + 2.0**-8, 1 + 3 * 2.0**-8], [-2, 1]]]], "float32")
    gradient = kw.grad(y.sum() * (1 + 2.0**-8) + branch.sum(), x)
    found = kw.compile([x], [y, branch, gradient], device="reference")(given)
    mean = np.float32((1 + 1 + 2.0**-6 - 2 + 1) / 4)  # of the rounded numbers
    assert found[0].item() == 1 + 2.0**-6 and found[1].item() == 1 + 2.0**-6 + mean
    kinds = {n.op.name: n.dtype for n in kw.toposort([y, branch]) if n.op.name in ("relu", "window_max", "contract")}
    assert set(kinds.values()) == {"bfloat16"}
    np.testing.assert_array_equal(found[2], [[[[0.25, 2.25], [0.25, 0.25]]]])  # 1 + 2^-8 and 1, rounded, and 1/4 each


def test_weights_are_rounded_for_contractions_alone():
    """The moved weight that a product reads stays wide for others: 1 + 2^-8 has no bfloat16."""
    x, w = kw.input("x", (1, 1)), kw.variable("w", np.full((1, 1), 1 + 2.0**-8, "float32"))
    y, penalty = precision.lowered([x @ w.T, w.T.sum()], "bfloat16", [x])
    got = kw.compile([x], [y, penalty], device="reference")(np.ones((1, 1), "float32"))
    assert [v.item() for v in got] == [1.0, 1 + 2.0**-8]


def test_what_comes_before_stays_as_it_is():
    x, a = kw.input("x", (3, 3), "float64"), kw.as_tensor(np.eye(3))
    before = x @ a
    (y,) = precision.lowered([kw.tanh(before) @ a], "float32", [before])
    made = [node for node in kw.toposort([y]) if node.op.name == "contract"]
    assert before in made and sorted(node.dtype for node in made) == ["float32", "float64"]
    assert precision.lowered([y], None) == [y]


@pytest.mark.parametrize("name", precision.NARROW)
def test_a_narrow_type_trains(name, problem):
    t = trainer(precision=name)
    history = t.fit(problem, epochs=30, progress=False)
    assert history[-1]["accuracy"] > 0.9 and np.isfinite(t.predict(problem[0])).all()
    assert {p.dtype for p in t.model.parameters()} == {"float32"}


# ------------------------------------------------------------------ the factor of the loss
def test_a_scaled_loss_trains_as_the_loss_does(problem, device):
    plain, scaled = trainer(clip_norm=0.5), trainer(clip_norm=0.5, loss_scale=1024.0)
    plain.device = scaled.device = device
    a, b = (t.fit(problem, epochs=4, progress=False) for t in (plain, scaled))
    assert [r["accuracy"] for r in a] == [r["accuracy"] for r in b]
    np.testing.assert_allclose([r["loss"] for r in a], [r["loss"] for r in b], rtol=1e-5)
    for x, y in zip(values(plain), values(scaled), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered")
def test_a_step_whose_gradients_overflow_is_left_out(problem):
    t = trainer(loss_scale=3e38, loss=lambda y, labels: kw.cross_entropy(y, labels) * 30.0)
    t.optimizer = kw.optim.SGD(0.003)
    start, losses = [kw.get_value(p) for p in t.model.parameters()], []
    losses.append(t.step(*problem))
    state = {v.attrs.name: v for v in t._variables()}
    for p, before in zip(t.model.parameters(), start, strict=True):
        np.testing.assert_array_equal(kw.get_value(p), before)
    assert kw.get_value(state["loss_scale.factor"]) == np.float32(1.5e38)
    assert kw.get_value(state["optimizer.step"]) == 0
    losses += [t.step(*problem) for _ in range(30)]
    assert losses[-1] < losses[0] and np.isfinite(losses).all()
    assert kw.get_value(state["loss_scale.good_steps"]) > 0


def test_the_factor_doubles_after_two_thousand_good_steps_and_is_resumed(problem, tmp_path):
    t = trainer(loss_scale=8.0)
    t.step(*problem)
    state = {v.attrs.name: v for v in t._variables()}
    kw.set_value(state["loss_scale.good_steps"], 1999)
    t.step(*problem)
    assert kw.get_value(state["loss_scale.factor"]) == 16.0 and kw.get_value(state["loss_scale.good_steps"]) == 0
    t.save(tmp_path / "run.safetensors")
    again = kw.Trainer.resume(tmp_path / "run.safetensors", network(), device="reference")
    assert {v.attrs.name: float(kw.get_value(v)) for v in again._variables()[-2:]} == {
        "loss_scale.factor": 16.0,
        "loss_scale.good_steps": 0.0,
    }


def test_wrong_settings_are_named():
    for name in ("int8", "float16"):
        with pytest.raises(ValueError, match=f"precision: bfloat16 or None for float32 throughout, not '{name}'"):
            trainer(precision=name)
    with pytest.raises(ValueError, match="as 32768, is a number above 0, not 0"):
        trainer(loss_scale=0)
    with pytest.raises(ValueError, match="do not go together"):
        trainer(loss_scale=8.0, accumulate=2)


def test_bfloat16_on_the_cpu_is_near_to_torch_autocast():
    torch = pytest.importorskip("torch")
    model = kw.models.mlp()
    images, x = RNG.standard_normal((9, *model.input_shape)).astype("float32"), model.images()
    (narrow,) = precision.lowered([model(x)], "bfloat16")
    found = kw.compile([x], [narrow])(images)
    h = torch.tensor(images).flatten(1)
    parameters = [torch.tensor(kw.get_value(p)) for p in model.parameters()]
    with torch.autocast("cpu", torch.bfloat16):
        for i, (w, b) in enumerate(zip(parameters[::2], parameters[1::2])):
            h = torch.nn.functional.linear(h, w, b)
            h = h if i == 2 else h.relu()
    whole = kw.compile([x], [model(x)])(images)
    scale = np.abs(whole).max()
    np.testing.assert_allclose(found, h.float().numpy(), atol=2e-2 * scale)
    assert 1e-5 * scale < np.abs(found - whole).max() < 2e-2 * scale


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet5", "mlp"])
def test_digits_are_learned_as_well_in_bfloat16(name):
    digits = kw.data.digits()
    accuracy = []
    for kind in (None, "bfloat16"):
        t = kw.Trainer(kw.models.build(name, seed=0), precision=kind)
        t.fit(digits.train, epochs=8, progress=False)
        accuracy.append(t.evaluate(digits.test)["accuracy"])
    assert accuracy[0] > 0.95 and abs(accuracy[1] - accuracy[0]) < 0.01, accuracy
