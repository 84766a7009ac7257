"""Plots: the curves that are drawn are the numbers, files are pictures, mistakes are said."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models.checks import SettingError
from kernelwright.models.vision import figures

figure = pytest.importorskip("matplotlib.figure")
RNG = np.random.default_rng(2)


def axes():
    return figure.Figure().subplots()


def distortion():
    shares = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]])
    amounts = np.array([1.0, 0.0, 2.0])
    return kw.vision.Distortion("rotate", amounts, None, shares, shares.argmax(1), 0, {"dense1": np.array([2.0, 0, 4])})


def points(line):
    return np.transpose(line.get_data()).tolist()


def test_a_distortions_curve_goes_along_the_amounts_and_marks_other_answers():
    on = axes()
    figures.draw_distortion(on, distortion())
    curve, right, wrong, far = on.get_lines()
    assert points(curve) == [[0, 0.7], [1, 0.9], [2, 0.2]]
    assert sorted(points(right)) == [[0, 0.7], [1, 0.9]] and points(wrong) == [[2, 0.2]]
    assert points(far) == [[0, 0], [1, 0.5], [2, 1]]
    assert on.get_xlabel() == "degrees counter-clockwise"


def test_untangling_goes_over_the_layers_by_name():
    found = kw.vision.Untangling(("pixels", "a_1"), (4, 2), np.array([0.6, 1.0]), np.array([0.5, 0.75]), 0.25)
    on = axes()
    figures.draw_untangling(on, found)
    assert points(on.get_lines()[0]) == [[0, 0.5], [1, 0.75]] and points(on.get_lines()[1]) == [[0, 0.6], [1, 1.0]]
    assert [each.get_text() for each in on.get_xticklabels()] == ["pixels", "a_1"]


def test_the_nearest_are_marked_among_all_distances():
    near, far = np.array([[1.0, 3.0, 2.0]]), np.array([[30.0, 10.0, 20.0]])
    on = axes()
    figures.draw_distances(on, kw.vision.Neighbours(np.array([[0]]), np.array([[1]]), near, far))
    every, by_pixels, by_features = on.get_lines()
    assert points(every) == [[1, 30], [3, 10], [2, 20]]
    assert points(by_pixels) == [[1, 30]] and points(by_features) == [[3, 10]]


def test_maps_put_each_image_at_its_place_in_its_labels_colour():
    on, images = axes(), RNG.random((3, 1, 4, 4))
    figures.draw_map(on, [[0, 1], [2, 3], [4, 5]], images, [7, 3, 7])
    boxes = on.artists
    assert [tuple(box.xy) for box in boxes] == [(0, 1), (2, 3), (4, 5)]
    first, second, third = (box.patch.get_edgecolor() for box in boxes)
    assert first == third != second
    np.testing.assert_array_equal(boxes[1].offsetbox.get_data(), images[1, 0])


def test_files_are_pictures_and_mistakes_are_said(tmp_path):
    image = pytest.importorskip("PIL.Image")
    kw.vision.plot(tmp_path / "two.png", distortion(), distortion())
    assert image.open(tmp_path / "two.png").size == (1100, 418)
    kw.vision.plot_map(tmp_path / "map.png", RNG.normal(size=(5, 2)), RNG.random((5, 3, 6, 6)))
    assert image.open(tmp_path / "map.png").size == (990, 990)
    with pytest.raises(SettingError, match="draws what distort, untangling and neighbours give, not int"):
        kw.vision.plot(tmp_path / "one.png", 3)
    with pytest.raises(SettingError, match=r"the file ends in \.png, \.svg, \.pdf, not"):
        kw.vision.plot(tmp_path / "one.gif", distortion())
    with pytest.raises(SettingError, match=r"not \(5, 3\) and \(5, 1, 2, 2\)"):
        kw.vision.plot_map(tmp_path / "map.png", np.zeros((5, 3)), np.zeros((5, 1, 2, 2)))
    with pytest.raises(SettingError, match="2 labels for 5 images"):
        kw.vision.plot_map(tmp_path / "map.png", np.zeros((5, 2)), np.zeros((5, 1, 2, 2)), [0, 1])
