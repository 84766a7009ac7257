"""Style: Gram matrices and losses by NumPy and PyTorch, what is kept (colour), what falls (losses), what is refused."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.errors import InputError, ShapeError
from kernelwright.models.checks import SettingError
from kernelwright.models.layer import LayerError
from kernelwright.models.vision.features import several
from kernelwright.models.vision.style import content_loss, style_loss

RNG = np.random.default_rng(5)
CONTENT = RNG.uniform(0.1, 0.9, size=(3, 9, 8)).astype("float32")
STYLE = RNG.uniform(size=(3, 7, 10)).astype("float32") ** 2
LAYERS = ["relu1", "relu2"]


@pytest.fixture(scope="module")
def net():
    """Two convolutions, and a classifier that takes images of 8x8 alone."""
    with kw.init.seeded(1):
        net = kw.nn.Sequential(
            kw.nn.Conv(4, 3, pad=1), kw.relu, kw.nn.Conv(5, 3, pad=1), kw.relu, kw.nn.Flatten(), kw.nn.Dense(3)
        )
        net(kw.input("x", (None, 3, 8, 8)))
    return net


def in_torch(net, picture):
    """The two relus' values for one picture."""
    torch = pytest.importorskip("torch")
    p = [torch.tensor(kw.get_value(v)) for v in net.parameters()]
    first = torch.relu(torch.nn.functional.conv2d(torch.tensor(picture)[None], p[0], p[1], padding=1))
    return first, torch.relu(torch.nn.functional.conv2d(first, p[2], p[3], padding=1))


def torch_gram(values):
    flat = values[0].flatten(1)
    return flat @ flat.T / flat.shape[1]


def loss_by_torch(net, picture, content, styles, shares):
    """The docstring's loss for content at relu2, styles at both layers with weights 0.3 and 0.7."""
    seen, aimed = in_torch(net, picture), in_torch(net, content)[1]
    total = ((seen[1] - aimed) ** 2).mean() / (aimed**2).mean() / 2
    for place, weight in enumerate([0.3, 0.7]):
        wanted = sum(s * torch_gram(in_torch(net, each)[place]) for s, each in zip(shares, styles, strict=True))
        apart = (torch_gram(seen[place]) - wanted) / wanted.diagonal().mean()
        total = total + 50 * weight * (apart**2).sum() / (4 * len(wanted) ** 2)
    return float(total)


def test_gram_is_the_mean_product_of_channels():
    values = RNG.normal(size=(2, 3, 4, 5))
    x = kw.input("x", values.shape, "float64")
    want = np.einsum("nihw,njhw->nij", values, values) / 20
    np.testing.assert_allclose(kw.compile([x], kw.vision.gram(x))(values), want, rtol=1e-12)
    for shape in [(2, 3, 4), (1, 3, None, 5)]:
        with pytest.raises(ShapeError, match="gram: needs"):
            kw.vision.gram(kw.input("x", shape))


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_losses_are_those_of_pytorch_and_fall(net, method):
    styles, shares = [STYLE, CONTENT[:, :5] ** 3], [0.25, 0.75]
    found = kw.vision.style(
        net,
        CONTENT,
        styles,
        "relu2",
        {"relu1": 0.3, "relu2": 0.7},
        style_weight=50.0,
        steps=12,
        method=method,
        blend=[1, 3],
    )
    assert found.image.shape == CONTENT.shape and found.image.dtype == CONTENT.dtype
    assert found.image.min() >= 0 and found.image.max() <= 1
    assert len(found.losses) == 13 and found.losses[-1] < 0.5 * found.losses[0]
    np.testing.assert_allclose(found.losses[0], loss_by_torch(net, CONTENT, CONTENT, styles, shares), rtol=1e-4)
    if method == "adam":  # whose steps end inside the box: the picture is what was measured
        last = loss_by_torch(net, found.image, CONTENT, styles, shares)
        np.testing.assert_allclose(found.losses[-1], last, rtol=1e-4)


def test_a_picture_has_its_own_content_and_style_and_stays(net):
    found = kw.vision.style(net, CONTENT, CONTENT, "relu2", LAYERS, steps=3)
    np.testing.assert_allclose(found.losses, 0, atol=1e-9)
    np.testing.assert_allclose(found.image, CONTENT, atol=1e-4)


def test_a_blend_aims_where_the_weighted_losses_have_their_least():
    """The gradient of the weighted sum of losses is that of the loss for the mean matrix."""
    values, targets = RNG.normal(size=(1, 3, 4, 5)), RNG.normal(size=(2, 1, 3, 3))
    x = kw.variable("x", values, "float64")
    given, scale = [kw.as_tensor(t) for t in targets], kw.as_tensor(np.array(0.7))
    apart = 0.2 * style_loss(x, given[0], scale) + 0.8 * style_loss(x, given[1], scale)
    together = style_loss(x, kw.as_tensor(0.2 * targets[0] + 0.8 * targets[1]), scale)
    one, other = kw.compile([], [kw.grad(apart, x), kw.grad(together, x)]).run([])
    np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
    value = kw.compile([], content_loss(x, kw.as_tensor(values), scale))()
    np.testing.assert_allclose(value, (values**2).mean() * 0.09 / 2, rtol=1e-12)


def test_texture_alone_and_noise_by_its_seed(net):
    def made(seed):
        return kw.vision.style(net, CONTENT, STYLE, (), "relu1", steps=4, start="noise", seed=seed)

    one, again, other = made(0), made(0), made(1)
    np.testing.assert_array_equal(one.image, again.image)
    assert not np.array_equal(one.image, other.image)
    assert one.losses[-1] < one.losses[0]


def test_colour_is_kept_to_rounding_and_luminance_is_not(net):
    yiq = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
    for start in ("content", "noise"):
        found = kw.vision.style(net, CONTENT, STYLE, "relu2", LAYERS, steps=10, keep_colour=True, start=start)
        before, after = (np.tensordot(yiq, image, 1) for image in (CONTENT, found.image))
        np.testing.assert_allclose(after[1:], before[1:], atol=3e-7)
        assert np.abs(after[0] - before[0]).max() > 0.05
        assert found.image.min() >= 0 and found.image.max() <= 1 and found.losses[-1] < found.losses[0]


def test_progress_is_shown_at_every_kth_step_with_the_picture_there(net):
    for method in ("lbfgs", "adam"):
        seen = []
        found = kw.vision.style(
            net,
            CONTENT,
            STYLE,
            "relu2",
            "relu1",
            steps=6,
            method=method,
            shown=lambda *told: seen.append(told),  # noqa: B023 (called before the next is made)
            every=3,
        )
        assert [step for step, _, _ in seen] == [3, 6]
        np.testing.assert_array_equal(seen[-1][1], found.image)
        assert seen[0][1].shape == CONTENT.shape and not np.array_equal(seen[0][1], found.image)


def test_only_the_layers_asked_for_have_to_take_the_pictures(net):
    """The classifier takes 8x8 alone, the picture is 9x8; a network that is a plain function is called as a whole."""
    x = kw.input("x", (1, *CONTENT.shape))
    assert [value.shape for value in several(net, x, LAYERS)] == [(1, 4, 9, 8), (1, 5, 9, 8)]
    with pytest.raises(LayerError, match="takes 320 features"):
        several(lambda images: net(images), x, LAYERS)
    eight = kw.input("x", (1, 3, 8, 8))
    whole = several(lambda images: net(images), eight, LAYERS)
    image = CONTENT[None, :, :8]
    for one, other in zip(several(net, eight, LAYERS), whole, strict=True):
        np.testing.assert_array_equal(kw.compile([eight], one)(image), kw.compile([eight], other)(image))


def test_layers_of_blocks_and_of_models_are_found_by_their_names():
    with kw.init.seeded(3):
        block = kw.nn.Sequential(kw.nn.Conv(3, 3, pad=1), kw.relu, name="block")
        model = kw.models.Model("small", kw.nn.Sequential(block, kw.nn.Flatten(), kw.nn.Dense(2)), (3, 8, 8), 2)
    x = kw.input("x", (1, 3, 5, 6))
    assert [value.shape for value in several(model, x, ["block.conv1", "block"])] == [(1, 3, 5, 6)] * 2
    with pytest.raises(SettingError, match="did you mean 'block'"):
        several(model, x, ["blocks"])
    with pytest.raises(SettingError, match=r"did you mean 'block\.relu1'"):
        several(model, x, ["block.relu"])


def test_what_does_not_fit_is_refused(net):
    def made(content=CONTENT, styles=STYLE, contents="relu2", marks="relu1", **options):
        return kw.vision.style(net, content, styles, contents, marks, steps=1, **options)

    for wrong, words in [
        ({"marks": "relu3"}, "no layer 'relu3'; did you mean"),
        ({"contents": (), "marks": ()}, "has to name a layer"),
        ({"method": "sgd"}, "method is one of lbfgs, adam"),
        ({"start": "grey"}, "start is one of content, noise"),
        ({"blend": [1, 2]}, "blend has a weight for each of 1 styles"),
        ({"blend": [0]}, "blend has a weight"),
        ({"rate": 0}, "rate is a number above 0"),
        ({"shown": 3}, "shown is a function"),
        ({"style_weight": -1}, "style_weight is a number of at least 0"),
    ]:
        with pytest.raises(SettingError, match=words):
            made(**wrong)
    for wrong, words in [
        ({"content": CONTENT[None]}, "a picture is float32"),
        ({"content": (CONTENT * 255).astype("uint8")}, "bytes are image"),
        ({"styles": STYLE[:1]}, "has 3 channels, a style has 1"),
        ({"styles": []}, "has no picture"),
        ({"styles": STYLE * np.nan}, "finite"),
        ({"content": CONTENT * 2, "keep_colour": True}, "outside of box"),
    ]:
        with pytest.raises(InputError, match=words):
            made(**wrong)
    with pytest.raises(SettingError, match="a style layer is one with height and width"):
        kw.vision.style(net, CONTENT[:, :8], STYLE[:, :, :8].repeat(2, 1)[:, :8], (), "dense1")


def test_a_box_is_refused_in_the_name_of_what_was_called(net):
    with pytest.raises(SettingError, match=r"style: box is \(least, greatest\), not \(1, 0\)"):
        kw.vision.style(net, CONTENT, STYLE, "relu2", LAYERS, box=(1, 0), steps=1)
    with pytest.raises(SettingError, match="dream: box, greatest, "):
        kw.vision.dream(net, CONTENT, "relu2", box=(0, "white"))
