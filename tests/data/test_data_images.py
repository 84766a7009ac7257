"""Image files decoded one at a time, and the folder of them with one folder per class."""

from __future__ import annotations

import builtins
import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")

from image_files import noise, save, small_folder
from PIL import Image

from kernelwright.models import data
from kernelwright.models.data import DataError, ImageFiles, image_folder
from kernelwright.models.data.images import decode

SHARED = Path(os.environ.get("KERNELWRIGHT_DATA", "/nowhere"))


def planes(pixels: np.ndarray) -> np.ndarray:
    return pixels.transpose(2, 0, 1).astype("float32") / np.float32(255)


def test_pixels_come_back(tmp_path: Path) -> None:
    pixels = noise(0, 6, 9)
    found = decode(save(tmp_path / "a.png", pixels), (3, 6, 9))
    assert found.dtype == np.float32 and np.array_equal(found, planes(pixels))
    grey = pixels[:, :, 0]
    assert np.array_equal(decode(save(tmp_path / "g.png", grey), (1, 6, 9))[0], grey / np.float32(255))
    assert np.array_equal(decode(tmp_path / "g.png", (3, 6, 9)), np.repeat(decode(tmp_path / "g.png", (1, 6, 9)), 3, 0))
    opaque = np.concatenate([pixels, np.full((6, 9, 1), 7, np.uint8)], 2)
    assert np.array_equal(decode(save(tmp_path / "t.png", opaque), (3, 6, 9)), planes(pixels))


def test_grey_of_16_bits_keeps_the_upper_8(tmp_path: Path) -> None:
    values = np.array([[0, 255, 256], [32768, 65280, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    found = decode(tmp_path / "deep.png", (1, 2, 3))[0] * 255
    assert np.array_equal(np.rint(found), [[0, 0, 1], [128, 255, 255]])


def test_a_jpeg_of_one_colour(tmp_path: Path) -> None:
    path = save(tmp_path / "a.JPG", np.full((32, 48, 3), (200, 100, 50), np.uint8))
    found = decode(path, (3, 16, 16))
    assert np.allclose(found, np.reshape([200, 100, 50], (3, 1, 1)) / 255, atol=2 / 255)


def test_crop_keeps_the_middle_in_proportion(tmp_path: Path) -> None:
    """24x8, four stripes of 6 columns: scaled to half and cut to 4x4, the middle two remain."""
    pixels = np.repeat(np.array([10, 90, 170, 250], np.uint8), 6)[None, :, None].repeat(8, 0).repeat(3, 2)
    path = save(tmp_path / "wide.png", pixels)
    row = decode(path, (3, 8, 8))[0, 4] * 255
    assert np.array_equal(np.rint(row), [90, 90, 90, 90, 170, 170, 170, 170])
    stretched = decode(path, (3, 8, 8), "stretch")[0, 4] * 255
    assert stretched[0] < 20 and stretched[-1] > 240
    tall = decode(save(tmp_path / "tall.png", pixels.swapaxes(0, 1)), (3, 8, 8))[0, :, 4] * 255
    assert np.array_equal(np.rint(tall), [90, 90, 90, 90, 170, 170, 170, 170])


@pytest.mark.parametrize("size", [(5, 7), (20, 11), (31, 40)])
def test_scaling_is_bilinear_with_antialiasing(tmp_path: Path, size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    pixels = noise(4, 20, 30)
    found = decode(save(tmp_path / "a.png", pixels), (3, *size), "stretch")
    whole = torch.from_numpy(planes(pixels))[None]
    other = torch.nn.functional.interpolate(whole, size, mode="bilinear", antialias=True)[0].numpy()
    assert np.abs(found - other).max() < 1.5 / 255  # Pillow rounds to 8 bits after each direction


UPRIGHT = {
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[4, 1], [5, 2], [6, 3]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[3, 6], [2, 5], [1, 4]],
    9: [[1, 2, 3], [4, 5, 6]],
}
"""EXIF's orientations 1 to 8 say where the first row and column of what is stored lie in the scene: 6 means that row 0
is its right side and column 0 its top. By hand, for rows 1 2 3 and 4 5 6; 9 means nothing."""


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_an_image_taken_turned_is_read_upright(tmp_path: Path, ending: str, orientation: int) -> None:
    stored = np.kron(np.array([[1, 2, 3], [4, 5, 6]], np.uint8) * 40, np.ones((8, 8), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{ending}"
    Image.fromarray(stored).save(path, exif=exif, **({"quality": 100} if ending == "jpg" else {}))
    wanted = np.array(UPRIGHT[orientation])
    found = decode(path, (1, 8 * wanted.shape[0], 8 * wanted.shape[1]))[0, 4::8, 4::8] * 255
    assert np.array_equal(np.rint(found / 40), wanted)


def test_damaged_exif_data_does_not_cost_the_image(tmp_path: Path) -> None:
    pixels = noise(0, 6, 9)
    exif = Image.Exif()
    exif[0x0112] = 6
    for content in (exif.tobytes()[:12], b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0??"):
        Image.fromarray(pixels).save(tmp_path / "a.png", exif=content)
        assert np.array_equal(decode(tmp_path / "a.png", (3, 6, 9)), planes(pixels))


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_every_cut_off_file_is_named(tmp_path: Path, ending: str) -> None:
    path = save(tmp_path / f"a.{ending}", noise(1, 16, 16))
    whole = path.read_bytes()
    for length in [*range(0, 60), len(whole) // 2, len(whole) - 30]:
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"(not an image|cannot be decoded .*); remove the file") as caught:
            decode(path, (3, 16, 16))
        assert str(caught.value).startswith(f"{path}: ")


def test_damaged_missing_and_other_files_are_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", noise(1, 16, 16))
    whole = path.read_bytes()
    for content in (whole[:60] + bytes(100) + whole[160:], whole.replace(b"IDAT", b"IDAX"), b"GIF89a" + bytes(20)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"^{path}: "):
            decode(path, (3, 16, 16))
    path.unlink()
    with pytest.raises(DataError, match=f"^{path}: no such file"):
        decode(path, (3, 16, 16))


def test_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.startswith("PIL"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r"needs Pillow: pip install 'kernelwright\[images\]'"):
        decode(tmp_path / "a.png", (3, 4, 4))


def test_folder_with_train_and_test(tmp_path: Path) -> None:
    small_folder(tmp_path, {"train/cat": 3, "train/ant/deep": 2, "val/cat": 1})
    (tmp_path / "train" / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "train" / ".thumbnails").mkdir()
    found = image_folder(tmp_path, (3, 8, 8))
    assert found.classes == ("ant", "cat") and found.input_shape == (3, 8, 8)
    assert found.train.labels.tolist() == [0, 0, 1, 1, 1] and found.test.labels.tolist() == [1]
    assert [p.name for p in found.train.paths] == ["000.png", "001.png", "000.png", "001.png", "002.png"]
    assert np.array_equal(found.train.read(3), planes(noise(1)))
    assert "5 + 1 files" in repr(found)


def test_nothing_is_decoded_before_it_is_asked_for(tmp_path: Path) -> None:
    small_folder(tmp_path, {"train/a": 2, "test/a": 1})
    (tmp_path / "train" / "a" / "001.png").write_bytes(b"broken")
    found = data.load("image-folder", tmp_path, (3, 4, 4))
    assert found.train.read(0).shape == (3, 4, 4)
    with pytest.raises(DataError, match=r"001\.png: not an image; remove the file"):
        found.train.read(1)


def test_folder_of_classes_alone_holds_back_every_tenth(tmp_path: Path) -> None:
    found = image_folder(small_folder(tmp_path, {"a": 20, "b": 9}), (1, 8, 8))
    assert np.bincount(found.train.labels).tolist() == [18, 9] and found.test.labels.tolist() == [0, 0]
    assert [p.name for p in found.test.paths] == ["009.png", "019.png"]
    assert not set(found.train.paths) & set(found.test.paths)


@pytest.mark.parametrize(
    "counts, message",
    [
        ({}, "it should hold train/CLASS"),
        ({"train/a": 1}, r"a folder train, but none of test, val, validation"),
        ({"train/a": 1, "test/b": 1}, r"test has the class 'b', which .*train lacks"),
        ({"a": 9}, "no class has 10 images"),
        ({"train/a": 0, "test/a": 1}, r"train.a has no images \(\.jpg, \.jpeg, \.png\); remove the folder or fill it"),
    ],
)
def test_folders_that_do_not_fit(tmp_path: Path, counts: dict[str, int], message: str) -> None:
    for name in counts:
        (tmp_path / "set" / name).mkdir(parents=True)
    (tmp_path / "set").mkdir(exist_ok=True)
    with pytest.raises(DataError, match=message) as caught:
        image_folder(small_folder(tmp_path / "set", counts), (3, 8, 8))
    assert str(tmp_path / "set") in str(caught.value)


def test_wrong_shapes_and_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"with 1 or 3 channels, not \(2, 8, 8\)"):
        image_folder(tmp_path, (2, 8, 8))
    with pytest.raises(DataError, match="fit is one of crop, stretch, not 'squash'"):
        image_folder(tmp_path, (3, 8, 8), fit="squash")
    with pytest.raises(DataError, match=r"there is no folder .*nowhere; it should hold train/CLASS"):
        image_folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="1 image files but 2 labels"):
        ImageFiles([tmp_path], np.zeros(2, np.int32), (1, 2, 2))


def test_subset_and_split(tmp_path: Path) -> None:
    whole = image_folder(small_folder(tmp_path, {"a": 20, "b": 10}), (3, 8, 8)).train
    first, last = whole.split(5)
    assert (len(first), len(last), len(whole.subset(3))) == (22, 5, 3)
    assert first.paths + last.paths == whole.paths and last.labels.tolist() == [1] * 5
    with pytest.raises(DataError, match="cannot take 28 examples of 27"):
        whole.subset(28)


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "cifar10" / "cifar10-jpeg.tar.xz").is_file(), reason="needs CIFAR-10 as JPEG files")
def test_real_jpeg_files() -> None:
    found = image_folder(SHARED / "cifar10" / "cifar10-jpeg.tar.xz", (3, 32, 32))
    assert len(found.classes) == 10 and len(found.train) == 50_000 and len(found.test) == 10_000
    assert np.bincount(found.train.labels).tolist() == [5000] * 10
    examples = np.stack([found.train.read(i) for i in range(0, 50_000, 417)])
    assert examples.shape == (120, 3, 32, 32) and 0.3 < examples.mean() < 0.65 and examples.std() > 0.15
