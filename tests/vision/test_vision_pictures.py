"""Heat maps and sheets: colours at the ends of the scale, what lies below, files pixel by pixel."""

import sys

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models.checks import SettingError
from kernelwright.models.data.errors import DataError
from kernelwright.models.vision.pictures import HEAT, SIGNED


def test_signed_maps_have_white_at_zero_and_the_ends_at_the_same_distance():
    got = kw.vision.heat_map(np.array([[-2.0, 0.0], [2.0, 1.0]]), percentile=100)
    np.testing.assert_allclose(got[:, 0, 0], SIGNED[0])
    np.testing.assert_allclose(got[:, 0, 1], [1, 1, 1])
    np.testing.assert_allclose(got[:, 1, 0], SIGNED[-1])
    np.testing.assert_allclose(got[:, 1, 1], SIGNED[3])


def test_maps_of_one_sign_go_from_dark_to_light():
    got = kw.vision.heat_map(np.arange(5.0)[None], percentile=100)
    np.testing.assert_allclose(got[:, 0].T, HEAT)
    assert (np.diff(HEAT @ [0.299, 0.587, 0.114]) > 0).all()
    assert (kw.vision.heat_map(np.zeros((2, 2))) == HEAT[0][:, None, None]).all()


def test_channels_are_added_and_the_image_lies_below():
    image = np.array([[[1.0]], [[0.0]], [[0.5]]])
    got = kw.vision.heat_map(np.array([[[-1.0]], [[3.0]], [[-2.0]]]), image, opacity=0.25)  # the sum is 0: black
    np.testing.assert_allclose(got[:, 0, 0], HEAT[0] * 0.25 + 0.5 * 0.75)
    with pytest.raises(SettingError, match="a map is"):
        kw.vision.heat_map(np.zeros(3))


def test_a_sheet_is_the_pictures_enlarged_with_gaps(tmp_path):
    image = pytest.importorskip("PIL.Image")
    grey, red = np.full((1, 2, 3), 0.2), np.array([1.0, 0, 0])[:, None, None] * np.ones((3, 2, 3))
    path = tmp_path / "sheet.png"
    kw.vision.save_sheet(path, [[grey, red], [red]], scale=2)
    got = np.asarray(image.open(path))
    want = np.full((2 * 4 + 3 * 4, 2 * 6 + 3 * 4, 3), 255)
    want[4:8, 4:10], want[4:8, 14:20], want[12:16, 4:10] = 51, [255, 0, 0], [255, 0, 0]
    np.testing.assert_array_equal(got, want)
    again = kw.vision.load_image(path, (3, 20, 24))
    assert kw.vision.load_image(path, (1, 12, 12), whole=True).shape == (1, 10, 12)
    kw.vision.save_image(path, red)
    np.testing.assert_array_equal(np.asarray(image.open(path)), [[[255, 0, 0]] * 3] * 2)
    np.testing.assert_allclose(again, want.transpose(2, 0, 1) / 255, atol=1e-6)
    kw.vision.save_sheet(path, [[grey, red], [red]], scale=2, above=["I"])
    strip, below = np.split(np.asarray(image.open(path)), [16])
    np.testing.assert_array_equal(below, want)  # the strip of texts is put over the same sheet
    assert strip[:, 4:14].min() < 100 and (strip[:, 14:] == 255).all()  # one letter over the first column only
    with pytest.raises(SettingError, match="3 texts above 2 columns"):
        kw.vision.save_sheet(path, [[grey, red]], above=["a", "b", "c"])
    for wrong in ([[grey, red[:, :1]]], [[red[:2]]]):
        with pytest.raises(SettingError, match="picture"):
            kw.vision.save_sheet(path, wrong)


@pytest.mark.parametrize("above", [(), ["I"]])
def test_one_error_says_what_is_missing_without_pillow(tmp_path, monkeypatch, above):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match=r"needs Pillow: pip install 'kernelwright\[images\]'"):
        kw.vision.save_sheet(tmp_path / "sheet.png", [[np.zeros((1, 2, 2))]], above=above)
