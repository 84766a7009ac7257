"""Images held as spectra: the transform against numpy.fft, the variance, and the image that a known unit wants."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.errors import InputError
from kernelwright.models.vision.spectrum import START, Spectrum, amplitudes, inverse_transform, mixing

SIZES = [(6, 8), (5, 7), (8, 5), (1, 4), (3, 1)]


@pytest.mark.parametrize("height, width", SIZES)
def test_the_matrices_are_the_inverse_transform_of_real_images(height, width):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, height, width // 2 + 1))
    down, cosines, sines = inverse_transform(height, width)
    halves = down @ np.concatenate([a, b])
    found = halves[:height] @ cosines - halves[height:] @ sines
    np.testing.assert_allclose(found, np.fft.irfft2(a + 1j * b, (height, width)), atol=1e-14)


@pytest.mark.parametrize("height, width", SIZES)
def test_coefficients_of_deviation_1_make_pixels_of_variance_1(height, width):
    """The mean over pixels of the sum of squares of what each coefficient adds there, by numpy.fft."""
    scale, total = amplitudes(height, width), 0.0
    for place in np.ndindex(scale.shape):
        for part in (1, 1j):
            one = np.zeros(scale.shape, complex)
            one[place] = part * scale[place]
            total += np.square(np.fft.irfft2(one, (height, width))).mean()
    assert total == pytest.approx(1.0)


def test_amplitudes_fall_as_the_frequency_grows():
    scale = amplitudes(16, 16)
    np.testing.assert_allclose(scale[0, 1] / scale[0, 2:], np.arange(2, 9))
    np.testing.assert_allclose(scale[0, 3] / scale[4, 3], 5 / 3)
    assert scale[0, 0] == scale[0, 1]


@pytest.mark.parametrize("channels", [1, 3])
def test_the_image_is_a_sigmoid_of_the_mixed_planes(channels):
    box, shape = (-1.0, 3.0), (channels, 6, 7)
    held = Spectrum(shape, box, np.random.default_rng(4))
    coefficients = kw.get_value(held.variable)[0].astype("float64") * 50
    kw.set_value(held.variable, coefficients[None].astype("float32"))
    scaled = (coefficients[:, :6] + 1j * coefficients[:, 6:]) * amplitudes(6, 7)
    planes = np.fft.irfft2(scaled, (6, 7))
    pixels = np.einsum("cd,dhw->chw", mixing(channels, None), planes)
    np.testing.assert_allclose(held.picture(), -1 + 4 / (1 + np.exp(-pixels)), atol=2e-5)
    assert pytest.approx(np.std(coefficients) / 50, rel=0.3) == START


def test_colours_are_mixed_by_the_principal_components_that_are_given():
    rng = np.random.default_rng(5)
    cast = np.array([[1.0, 0.2], [0.4, 0.1]])
    images = np.einsum("cd,ndhw->nchw", cast, rng.normal(size=(20, 2, 8, 8)))
    pca = kw.images.colour_pca(images)
    matrix = mixing(2, pca)
    covariance = np.cov(images.transpose(1, 0, 2, 3).reshape(2, -1), bias=True)
    np.testing.assert_allclose(matrix @ matrix.T, covariance * 2 / np.trace(covariance))
    with pytest.raises(InputError, match="colours have 2 channels, the image has 3"):
        kw.vision.unit(lambda x: x, (3, 8, 8), "none", 0, basis="fourier", colours=pca)


def test_ascent_in_the_spectrum_finds_what_a_linear_unit_wants():
    """A unit that weighs pixels by a wave: the best image is 1 where the weight is above 0, and 0 where it is below."""
    across = np.cos(2 * np.pi * (np.arange(12) * 2 / 12 + 0.1))
    wave = np.broadcast_to(across, (1, 12, 12)).astype("float32")

    def network(x):
        with kw.scope("wave"):
            return (x * wave).sum((1, 2, 3)).reshape(1, 1)

    options = {"steps": 300, "rate": 0.05, "jitter": 0, "variation": 0.0, "basis": "fourier"}
    image, responses = kw.vision.unit(network, (1, 12, 12), "wave", 0, **options)
    np.testing.assert_allclose(image, wave > 0, atol=0.02)
    assert responses[-1] == pytest.approx(wave[wave > 0].sum(), rel=1e-3)
