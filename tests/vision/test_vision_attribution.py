"""Maps of what matters: identities that their papers state, and the same maps by PyTorch, NumPy and hand."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.errors import InputError, ShapeError
from kernelwright.models.checks import SettingError
from kernelwright.models.vision.attribution import enlarged

RNG = np.random.default_rng(3)
IMAGES = RNG.normal(size=(5, 2, 8, 9))
CLASSES = np.array([0, 2, 1, 2, 0])


@pytest.fixture(scope="module")
def net():
    with kw.init.precision("float64"), kw.init.seeded(4):
        net = kw.nn.Sequential(
            kw.nn.Conv(4, 3, pad=1),
            kw.relu,
            kw.nn.MaxPool(2),
            kw.nn.Conv(6, 3),
            kw.relu,
            kw.nn.Flatten(),
            kw.nn.Dense(3),
        )
        net(kw.input("images", (None, 2, 8, 9), "float64"))
    return net


def maps(net, method, images=IMAGES, classes=CLASSES, **options):
    return kw.vision.attribute(net, images, classes, method, **options).maps


def in_torch(net, rule=None, images=IMAGES, classes=CLASSES):
    """(gradient by the images, value and gradient of the second convolution's relu), relus with a backward rule."""
    torch = pytest.importorskip("torch")

    class Ruled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.clamp(min=0)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return {"guided": (x > 0) * g.clamp(min=0), "deconvolved": g.clamp(min=0)}[rule]

    relu = Ruled.apply if rule else torch.relu
    p = [torch.tensor(kw.get_value(v)) for v in net.parameters()]
    x = torch.tensor(images, requires_grad=True)
    f = torch.nn.functional
    hidden = relu(f.conv2d(f.max_pool2d(relu(f.conv2d(x, p[0], p[1], padding=1)), 2), p[2], p[3]))
    score = (hidden.flatten(1) @ p[4].T + p[5])[range(len(classes)), classes]
    gx, gh = torch.autograd.grad(score.sum(), [x, hidden])
    return gx.numpy(), hidden.detach(), gh


def test_gradients_are_torchs(net):
    want = in_torch(net)[0]
    np.testing.assert_allclose(maps(net, "gradient"), want, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(maps(net, "saliency"), abs(want).max(1, keepdims=True), rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(maps(net, "gradient_times_input"), want * IMAGES, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("method, rule", [("guided_backpropagation", "guided"), ("deconvolution", "deconvolved")])
def test_ruled_relus_are_those_of_a_hand_written_backward_pass(net, method, rule):
    want = in_torch(net, rule)[0]
    assert abs(want - in_torch(net)[0]).max() > 0.01
    np.testing.assert_allclose(maps(net, method), want, rtol=1e-10, atol=1e-13)


def test_ruled_relus_read_twice_and_in_two_branches_by_numpy():
    """h = relu(W x) goes into both relu(V h) and relu(U h): backwards by hand."""
    w, v, u = RNG.normal(size=(6, 4)), RNG.normal(size=(5, 6)), RNG.normal(size=(5, 6))
    out = RNG.normal(size=(5, 2))
    x = RNG.normal(size=(7, 1, 2, 2))
    labels = RNG.integers(0, 2, 7)

    def network(images):
        h = kw.relu(images.reshape(-1, 4) @ w.T)
        return (kw.relu(h @ v.T) + kw.relu(h @ u.T)) @ out

    flat = x.reshape(7, 4)
    a = flat @ w.T
    h = np.maximum(a, 0)
    b, c = h @ v.T, h @ u.T
    g = out[:, labels].T
    for method, on in (("guided_backpropagation", lambda z: z > 0), ("deconvolution", lambda z: np.ones_like(z))):
        back = np.maximum(g, 0)
        by_h = (on(b) * back) @ v + (on(c) * back) @ u
        want = (on(a) * np.maximum(by_h, 0)) @ w
        got = maps(network, method, x, labels)
        np.testing.assert_allclose(got.reshape(7, 4), want, rtol=1e-10, atol=1e-13)


def test_integrated_gradients_add_up_to_the_difference_in_scores(net):
    baseline = RNG.normal(size=(2, 8, 9)) * 0.1
    found = kw.vision.attribute(net, IMAGES, CLASSES, "integrated_gradients", steps=2000, baseline=baseline)
    from_there = kw.vision.attribute(net, np.broadcast_to(baseline, IMAGES.shape).copy(), CLASSES).scores
    assert abs(found.scores - from_there).max() > 0.1
    np.testing.assert_allclose(found.maps.sum((1, 2, 3)), found.scores - from_there, atol=1e-4)


def test_integrated_gradients_of_a_square_by_hand():
    """score = sum of x^2: the integral of 2 b + 2 t (x - b) times (x - b) is x^2 - b^2, which one midpoint gives."""

    def squares(images):
        y = (images * images).sum((1, 2, 3))
        return kw.stack([y, -y], 1)

    got = maps(squares, "integrated_gradients", classes=np.zeros(5, int), steps=1, baseline=0.5)
    np.testing.assert_allclose(got, IMAGES**2 - 0.25, rtol=1e-12, atol=1e-12)


def test_smooth_grad(net):
    sharp = maps(net, "gradient")
    np.testing.assert_allclose(maps(net, "smooth_grad", samples=3, noise=0), sharp, rtol=1e-12, atol=1e-14)
    first = maps(net, "smooth_grad", samples=8, seed=5)
    assert (first == maps(net, "smooth_grad", samples=8, seed=5)).all()
    assert abs(first - maps(net, "smooth_grad", samples=8, seed=6)).max() > 0.01
    assert abs(first - sharp).max() > 0.01


def test_smooth_grad_of_a_square_has_the_noise_of_its_level():
    """The gradient of x^2 is 2 x, so that the mean gradient minus that is twice the mean noise."""
    images = RNG.normal(size=(3, 1, 40, 50))

    def squares(x):
        return kw.stack([(x * x).sum((1, 2, 3))], 1)

    got = maps(squares, "smooth_grad", images, np.zeros(3, int), samples=4, noise=0.2)
    spread = images.max((1, 2, 3)) - images.min((1, 2, 3))
    np.testing.assert_allclose((got - 2 * images).std((1, 2, 3)), 2 * 0.2 * spread / 2, rtol=0.1)


def test_grad_cam_is_torchs(net):
    torch = pytest.importorskip("torch")
    _, hidden, gradients = in_torch(net)
    small = torch.relu((gradients.mean((2, 3), keepdim=True) * hidden).sum(1, keepdim=True))
    want = torch.nn.functional.interpolate(small, (8, 9), mode="bilinear", align_corners=False).numpy()
    assert want.max() > 0.01
    np.testing.assert_allclose(maps(net, "grad_cam", layer="relu2"), want, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(maps(net, "grad_cam"), want, rtol=1e-10, atol=1e-13)  # the last with height and width
    with pytest.raises(ShapeError, match=r"dense1 is add\(batch, 3\) float64, not \(batch, channels, height, width\)"):
        maps(net, "grad_cam", layer="dense1")
    with pytest.raises(ShapeError, match="no layer has"):
        maps(lambda x: x.reshape(-1, 144) @ np.ones((144, 3)), "grad_cam")


def test_enlarging_by_hand():
    x = kw.input("x", (1, 1, 1, 2))
    got = kw.compile([x], enlarged(x, (2, 4)))(np.array([[[[0.0, 4.0]]]], "float32"))
    np.testing.assert_array_equal(got[0, 0], [[0, 1, 3, 4]] * 2)


def test_occlusion_of_a_sum_is_what_was_covered():
    """score = sum of weighted pixels: a window's fall is the weighted sum under it, the map the mean over windows."""
    weights = RNG.normal(size=(2, 8, 9))

    def weighted(x):
        return kw.stack([(x * weights).sum((1, 2, 3)), (x * 0.0).sum((1, 2, 3))], 1)

    found = kw.vision.occlusion(weighted, IMAGES, np.zeros(5, int), window=(3, 4), stride=2, fill=0.5)
    falls, count = np.zeros((5, 8, 9)), np.zeros((8, 9))
    for i in (0, 2, 4, 5):  # the last one ends at the edge
        for j in (0, 2, 4, 5):
            part = np.s_[..., i : i + 3, j : j + 4]
            falls[part] += ((IMAGES - 0.5) * weights)[part].sum((1, 2, 3))[:, None, None]
            count[part] += 1
    np.testing.assert_allclose(found.maps[:, 0], falls / count, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.scores, (IMAGES * weights).sum((1, 2, 3)), rtol=1e-12)


def test_without_classes_it_is_the_networks_own(net):
    logits = kw.input("x", (None, 2, 8, 9), "float64")
    want = kw.compile([logits], net(logits))(IMAGES)
    found = kw.vision.attribute(net, IMAGES)
    assert (found.classes == want.argmax(1)).all()
    np.testing.assert_allclose(found.scores, want.max(1), rtol=1e-12)
    np.testing.assert_allclose(found.maps, maps(net, "saliency", classes=want.argmax(1)), rtol=1e-12)
    assert (kw.vision.occlusion(net, IMAGES).classes == want.argmax(1)).all()


def test_features_by_name_and_the_names_there_are(net):
    x = kw.input("x", (None, 2, 8, 9), "float64")
    names = list(kw.vision.layers(net, x))
    assert names == ["conv1", "relu1", "maxpool1", "conv2", "relu2", "flatten1", "dense1"]
    value = kw.compile([x], kw.vision.features(net, x, "relu2"))(IMAGES)
    np.testing.assert_allclose(value, in_torch(net)[1].numpy(), rtol=1e-10, atol=1e-13)
    with pytest.raises(SettingError, match=r"no layer 'conv3'; did you mean 'conv.'\? there are conv1, relu1"):
        kw.vision.features(net, x, "conv3")


def test_a_block_of_layers_is_its_last_value():
    model = kw.models.build("resnet20")
    x = model.images()
    assert kw.vision.features(model, x, "stage3_block3") is kw.vision.features(model, x, "stage3_block3.relu1")
    assert kw.vision.features(model, x, "dense1") is model(x)


@pytest.mark.parametrize(
    "change, error, words",
    [
        ({"images": IMAGES[0]}, InputError, r"images\[None\]"),
        ({"images": np.zeros((1, 1, 4, 4), "uint8")}, InputError, "/ 255"),
        ({"classes": [0, 1]}, InputError, r"classes are integers \(5,\)"),
        ({"classes": np.zeros(5)}, InputError, "float64"),
        ({"method": "salience"}, SettingError, "one of saliency"),
        ({"samples": 3}, SettingError, "saliency has no option 'samples'; it takes none"),
        ({"method": "smooth_grad", "noise": -1}, SettingError, "at least 0"),
        ({"classes": np.array([0, 1, 2, 3, 0])}, kw.IndexLimitError, r"3 at position \[3\]"),
    ],
)
def test_mistakes_are_one_clear_error(net, change, error, words):
    with pytest.raises(error, match=words):
        kw.vision.attribute(net, **({"images": IMAGES, "classes": CLASSES} | change))
