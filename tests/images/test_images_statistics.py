"""Statistics on synthetic images whose spectrum and distribution are known."""

import sys

import numpy as np
import pytest

import kernelwright as kw

S = kw.images.statistics
RNG = np.random.default_rng(11)


def noise(exponent, count=20, height=64, width=64):
    """Periodic Gaussian noise whose power falls as frequency ** -exponent."""
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    radius[0, 0] = np.inf
    white = np.fft.rfft2(RNG.normal(size=(count, height, width)))
    return np.fft.irfft2(white * radius ** (-exponent / 2), (height, width))


def blobs(count=8, side=64):
    """Even discs on an even ground, as objects before others are: sparse edges."""
    y, x = np.mgrid[:side, :side]
    images = np.full((count, side, side), 0.5)
    for image in images:
        for _ in range(12):
            cx, cy, r, v = RNG.uniform([0, 0, 3, 0.1], [side, side, 14, 1.0])
            image[np.hypot(x - cx, y - cy) < r] = v
    return images


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("width", [64, 50])
def test_the_exponent_of_a_known_spectrum_is_found(exponent, width):
    spectrum = S.power_spectrum(noise(exponent, width=width), window=False)
    assert spectrum.exponent() == pytest.approx(exponent, abs=0.1)
    assert spectrum.frequencies[0] > 0 and spectrum.frequencies[-1] <= 0.52


def test_a_window_changes_the_exponent_of_periodic_images_little():
    assert S.power_spectrum(noise(2.0)).exponent(low=0.05) == pytest.approx(2.0, abs=0.2)


def test_power_of_white_noise_is_its_variance_and_a_wave_has_one_ring():
    white = 3.0 * RNG.normal(size=(30, 1, 32, 48))
    np.testing.assert_allclose(S.power_spectrum(white).power.mean(), 9.0, rtol=0.1)
    wave = np.broadcast_to(np.sin(2 * np.pi * 5 * np.arange(32) / 32), (1, 32, 32))
    spectrum = S.power_spectrum(wave, window=False)
    assert spectrum.power.argmax() == 4 and spectrum.frequencies[4] == pytest.approx(5 / 32, abs=0.01)
    assert np.delete(spectrum.power, 4).max() < 1e-12


def test_contrasts_of_lognormal_images_are_normal():
    images = np.exp(0.4 * RNG.normal(size=(20, 64, 64)) + RNG.normal(size=(20, 1, 1)))
    found = S.contrast_histogram(images)
    widths, middles = np.diff(found.edges), (found.edges[1:] + found.edges[:-1]) / 2
    assert (found.density * widths).sum() == pytest.approx(1.0)
    np.testing.assert_allclose(found.density, np.exp(-0.5 * middles**2) / np.sqrt(2 * np.pi), atol=0.02)


def test_marginals_of_noise_are_gaussian_and_of_objects_heavy_tailed():
    for m in S.filter_marginals(noise(2.0, 60), 2):
        assert m.kurtosis == pytest.approx(3.0, abs=0.3)
        assert (m.histogram.density * np.diff(m.histogram.edges)).sum() == pytest.approx(1.0)
    found = S.filter_marginals(blobs(), 2)
    assert [(m.orientation, m.scale) for m in found] == [
        (o, s) for s in (1, 2) for o in ("vertical", "horizontal", "diagonal")
    ]
    assert all(m.kurtosis > 8 for m in found)
    stripes = np.broadcast_to([0.0, 1.0], (1, 8, 8, 2)).reshape(1, 8, 16) + 1e-3 * RNG.normal(size=(1, 8, 16))
    assert max(S.filter_marginals(stripes, 1), key=lambda m: -abs(m.kurtosis - 1)).orientation == "vertical"


def test_kurtosis():
    assert S.kurtosis([-1.0, 1.0]) == 1.0
    assert S.kurtosis(RNG.normal(size=200_000)) == pytest.approx(3.0, abs=0.1)


def test_channels_are_averaged_and_digits_have_a_spectrum():
    colours = RNG.random((2, 3, 16, 16))
    np.testing.assert_allclose(S.power_spectrum(colours).power, S.power_spectrum(colours.mean(1)).power)
    assert 1.0 < S.power_spectrum(kw.data.digits().test.images[:100]).exponent() < 5.0


def test_misuse():
    for error, f in [
        (r"at least 4 x 4 pixels are needed, not \(3, 8\)", lambda: S.power_spectrum(np.ones((1, 3, 8)))),
        (r"float64 \(8, 8\)", lambda: S.power_spectrum(np.ones((8, 8)))),
        ("image 1 holds nan", lambda: S.power_spectrum(np.stack([np.ones((8, 8)), np.full((8, 8), np.nan)]))),
        ("at least 0.*from -1.0", lambda: S.contrast_histogram(-np.ones((1, 2, 2)))),
        ("no contrast", lambda: S.contrast_histogram(np.ones((1, 2, 2)))),
        ("no vertical detail at scale 1", lambda: S.filter_marginals(np.ones((1, 8, 8)), 1)),
        ("at least 8 x 8", lambda: S.filter_marginals(np.ones((1, 4, 4)), 3)),
        ("two are needed", lambda: S.power_spectrum(noise(1.0)).exponent(0.6)),
    ]:
        with pytest.raises(kw.InputError, match=error):
            f()


def test_a_plot_is_written_or_the_extra_named(tmp_path, monkeypatch):
    images = np.exp(noise(2.0, 4))
    with monkeypatch.context() as m:
        m.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(ImportError, match=r"kernelwright\[plot\]"):
            S.plot(images)
    pytest.importorskip("matplotlib")
    S.plot(images, tmp_path / "statistics.png")
    assert (tmp_path / "statistics.png").read_bytes().startswith(b"\x89PNG")


def test_a_plot_leaves_out_what_images_lack():
    """Stripes: brightness differs from column to column only, so there are vertical edges and no others."""
    pytest.importorskip("matplotlib")
    stripes = np.broadcast_to(RNG.random((5, 1, 32)), (5, 32, 32))
    power, contrast, edges = S.plot(stripes).axes
    assert power.lines and contrast.patches
    assert [t.get_text().split(",")[0].split(":")[0] for t in edges.get_legend().get_texts()] == [
        "vertical",
        "horizontal",
        "diagonal",
    ]
    assert len(edges.patches) == 1 and edges.get_legend().get_texts()[1].get_text() == "horizontal: no detail"
    power, contrast, edges = S.plot(stripes - 1.0).axes
    assert power.lines and edges.patches and not contrast.patches
    assert "at least 0" in contrast.texts[0].get_text().replace("\n", " ")
    said = [axes.texts[0].get_text().replace("\n", " ") for axes in S.plot(np.ones((1, 8, 8))).axes]
    assert "two are needed" in said[0] and "one brightness" in said[1] and "no detail" in said[2]
    with pytest.raises(kw.InputError, match="image 0 holds nan"):
        S.plot(np.full((1, 8, 8), np.nan))
