"""What units respond to: receptive fields against a probe of every pixel, exciting images and filters by hand."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models.checks import SettingError
from kernelwright.models.vision.exciting import cropped
from kernelwright.models.vision.filters import in_rows
from kernelwright.models.vision.pictures import SIGNED

RNG = np.random.default_rng(11)


def built(shape, *layers):
    """A network whose weights are all above 0, so that no change of a pixel is cancelled by another way."""
    with kw.init.precision("float64"), kw.init.seeded(1):
        net = kw.nn.Sequential(*layers)
        net(kw.input("images", (None, *shape), "float64"))
    for v in net.parameters():
        kw.set_value(v, np.abs(kw.get_value(v)) + 0.1)
    return net


class Branches(kw.nn.Layer):
    """Channels 0 to 1 see a pixel, channels 2 to 4 five by three."""

    def __init__(self):
        super().__init__()
        self.small, self.large = kw.nn.Conv(2, 1, name="small"), kw.nn.Conv(3, (5, 3), pad=(2, 1), name="large")

    def forward(self, x):
        return kw.concat([self.small(x), self.large(x)], 1)


NETWORKS = {
    "strided": ((2, 11, 9), (kw.nn.Conv(3, 3, stride=2, pad=1), kw.nn.MaxPool(2))),
    "uneven": ((1, 8, 10), (kw.nn.Conv(2, (3, 2), pad=((0, 2), (1, 0))), kw.nn.AvgPool(3, stride=2, pad=1))),
    "dilated": ((1, 12, 12), (kw.nn.Conv(2, 3, dilation=2), kw.relu, kw.nn.Conv(2, 2, stride=3))),
    "grouped": ((4, 7, 7), (kw.nn.Conv(4, 3, groups=2, pad=1), kw.nn.MaxPool(3, stride=2))),
    "joined": ((2, 9, 8), (kw.nn.MaxPool(2, stride=1), Branches(), kw.relu)),
    "flat": ((1, 6, 5), (kw.nn.Conv(2, 3), kw.nn.Flatten())),
}


def probed(net, shape, layer, position, channel):
    """The rectangle of pixels that move the value, each pixel of some images set to -100 and 100 in turn."""
    x = kw.input("images", (None, *shape), "float64")
    run = kw.compile([x], kw.vision.features(net, x, layer))
    start = RNG.normal(size=shape)
    copies = np.repeat(start[None], 2 * start.size, 0).reshape(2, start.size, -1)
    copies[0][np.eye(start.size, dtype=bool)], copies[1][np.eye(start.size, dtype=bool)] = -100, 100
    values = run(copies.reshape(-1, *shape))[(slice(None), channel, *position)].reshape(2, *shape)
    moved = (values != run(start[None])[(0, channel, *position)]).any((0, 1))
    rows, columns = np.flatnonzero(moved.any(1)), np.flatnonzero(moved.any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_receptive_fields_are_what_a_probe_of_every_pixel_finds(name):
    shape, parts = NETWORKS[name]
    net = built(shape, *parts)
    x = kw.input("images", (1, *shape), "float64")
    layer, value = list(kw.vision.layers(net, x).items())[-1]
    height_width = value.shape[2:]
    places = [tuple(n * k // 2 - (k == 2) for n in height_width) for k in (0, 1, 2)] if height_width else [()]
    for position in places:
        for channel in (0, value.shape[1] - 1):
            want = probed(net, shape, layer, position, channel)
            assert kw.vision.receptive_field(net, shape, layer, position, channel, "float64") == want


def test_receptive_fields_of_networks_by_hand():
    """avgpool2 (1, 2) is rows 2 to 3 of conv2's 10, so 2 to 7 of avgpool1's 14, 4 to 15 of conv1's 28, which is padded
    by 2: pixels 2 to 17. A dense layer sees all."""
    lenet = kw.models.build("lenet5")
    assert kw.vision.receptive_field(lenet, (1, 28, 28), "avgpool2", (1, 2)) == (slice(2, 18), slice(6, 22))
    assert kw.vision.receptive_field(lenet, (1, 28, 28), "dense1") == (slice(0, 28), slice(0, 28))
    assert kw.vision.receptive_field(lenet, (1, 28, 28), "conv1", (0, 0)) == (slice(0, 3), slice(0, 3))


def test_exciting_images_are_those_with_the_largest_values_cut_to_what_is_seen():
    net = built((2, 9, 9), kw.nn.Conv(3, 3, stride=2, pad=1), kw.relu)
    images = RNG.normal(size=(40, 2, 9, 9))
    found = kw.vision.exciting(net, images, "relu1", 2, count=5, fill=7.0, batch=16)
    x = kw.input("images", (None, 2, 9, 9), "float64")
    values = kw.compile([x], net(x))(images)[:, 2]
    want = sorted(range(40), key=lambda i: -values[i].max())[:5]
    assert found.indices.tolist() == want
    assert found.crops.shape == (5, 2, 3, 3)
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=7.0)
    for k, i in enumerate(want):
        row, column = found.positions[k]
        assert values[i, row, column] == values[i].max() == found.values[k]
        np.testing.assert_array_equal(found.crops[k], padded[i, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3])


def test_exciting_images_of_a_dense_unit_are_whole():
    model = kw.models.build("mlp")
    images = RNG.random((6, 1, 28, 28), "float32")
    found = kw.vision.exciting(model, images, "dense3", 4, count=9)
    assert found.positions.shape == (6, 0)
    x = model.images()
    values = kw.compile([x], model(x))(images)[:, 4]
    np.testing.assert_allclose(found.values, np.sort(values)[::-1], rtol=1e-5, atol=1e-6)
    assert found.indices.tolist() == np.argsort(-values).tolist()
    np.testing.assert_array_equal(found.crops, images[found.indices])


def test_crops_cut_off_by_an_edge_are_filled_on_that_side():
    image = np.arange(1.0, 17).reshape(1, 1, 4, 4)
    got = cropped(np.repeat(image, 2, 0), [(slice(0, 1), slice(3, 4)), (slice(1, 3), slice(1, 3))])
    np.testing.assert_array_equal(got[0, 0], [[0, 0], [4, 0]])
    np.testing.assert_array_equal(got[1, 0], [[6, 7], [10, 11]])


def test_responses_of_a_batch_at_a_time_are_those_of_all_at_once():
    net = built((1, 6, 6), kw.nn.Conv(2, 3), kw.relu)
    images = RNG.normal(size=(7, 1, 6, 6))
    x = kw.input("images", (None, 1, 6, 6), "float64")
    want = kw.compile([x], net(x))(images)
    np.testing.assert_allclose(kw.vision.responses(net, images, "relu1", batch=3), want, rtol=1e-12)


def test_filters_of_one_channel_are_signed_and_those_of_three_are_colours():
    net = built((1, 5, 5), kw.nn.Conv(5, 2))
    weights = np.zeros((5, 1, 2, 2))
    weights[0, 0] = [[-2, 0], [2, 1]]
    kw.set_value(net.parameters()[0], weights)
    rows = kw.vision.filters(net)
    assert [len(row) for row in rows] == [3, 2]
    first = rows[0][0]
    np.testing.assert_allclose(first[:, 0, 0], SIGNED[0])
    np.testing.assert_allclose(first[:, 0, 1], [1, 1, 1])
    np.testing.assert_allclose(first[:, 1, 0], SIGNED[-1])
    np.testing.assert_allclose(rows[1][1], 1)  # a filter of zeros is white
    colours = built((3, 5, 5), kw.nn.Conv(1, 1))
    kw.set_value(colours.parameters()[0], np.array([-1.0, 0.5, 0.0]).reshape(1, 3, 1, 1))
    np.testing.assert_allclose(kw.vision.filters(colours, "conv1")[0][0].ravel(), [0, 0.75, 0.5])


def test_filters_of_dense_layers_and_of_many_channels():
    model = kw.models.build("mlp")
    rows = kw.vision.filters(model)
    assert len(rows) == 23 and rows[0][0].shape == (3, 28, 28)  # 512 units
    assert [len(row) for row in kw.vision.filters(kw.models.build("lenet5"), "conv2")] == [6] * 16
    with pytest.raises(SettingError, match=r"each unit of dense2 has 512 weights.*shape= says"):
        kw.vision.filters(model, "dense2")
    with pytest.raises(SettingError, match=r"'dense4' has no weights.*did you mean 'dense"):
        kw.vision.filters(model, "dense4")
    assert in_rows([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda m: kw.vision.receptive_field(m, (1, 28, 28), "conv1"), r"position in conv1, .* is \(row, column\)"),
        (lambda m: kw.vision.receptive_field(m, (1, 28, 28), "conv1", (0, 28)), "from 0 to 27, not 28"),
        (lambda m: kw.vision.receptive_field(m, (28, 28), "conv1", (0, 0)), r"shape is \(channels, height, width\)"),
        (lambda m: kw.vision.exciting(m, np.zeros((1, 1, 28, 28), "float32"), "conv1", 6), "channel of conv1.* 0 to 5"),
        (lambda m: kw.vision.exciting(m, np.zeros((1, 1, 28, 28), "float32"), "conv7", 0), "there is no layer 'conv7'"),
    ],
)
def test_mistakes_are_one_clear_error(call, words):
    with pytest.raises(SettingError, match=words):
        call(kw.models.build("lenet5"))
