"""A sheet of embedded digits as the training program sees them: a row for each kind of augmentation.

python examples/augment.py [augmented.png]        (needs matplotlib: pip install "kernelwright[plot]")
"""

from __future__ import annotations

import sys

import numpy as np

import kernelwright as kw

im = kw.images

ROWS = {
    "as they are": im.Augment(),
    "Translate(4)": im.Augment(im.Translate(4)),
    "Rotate(20)": im.Augment(im.Rotate(20)),
    "Scale((0.7, 1.3))": im.Augment(im.Scale((0.7, 1.3))),
    "Shear(25)": im.Augment(im.Shear(25)),
    "all four, one warp": im.Augment(im.Rotate(20), im.Shear(25), im.Scale((0.7, 1.3)), im.Translate(4)),
    "Brightness, Contrast": im.Augment(im.Brightness(0.6), im.Contrast(0.6)),
    "Cutout(10)": im.Augment(im.Cutout(10, fill=0.5)),
}


def filtered(images: np.ndarray) -> dict[str, np.ndarray]:
    """What the classical filters make of the images."""
    x = kw.input("images", (None, *images.shape[1:]))
    filters = im.filters
    kinds = {
        "gaussian_blur(1.5)": filters.gaussian_blur(x, 1.5),
        "edges": filters.edges(x),
        "emboss": filters.emboss(x),
    }
    return dict(zip(kinds, kw.compile([x], list(kinds.values()))(images)))


def sheet(rows: dict[str, np.ndarray], path: str) -> None:
    """Rows of images with their titles, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 0.95 * len(rows)), layout="constrained")
    for axes, (title, images) in zip(figure.subplots(len(rows), 1), rows.items()):
        axes.imshow(np.hstack([np.pad(image[0], 1, constant_values=1) for image in images]), "gray", vmin=0, vmax=1)
        axes.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=8)
        axes.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=110)


def main(path: str) -> None:
    digits = kw.data.digits().train.images[:10]
    rows = {title: augment(digits) for title, augment in ROWS.items()}
    sheet({**rows, **filtered(digits)}, path)
    spectrum = im.statistics.power_spectrum(kw.data.digits().train.images[:1000])
    print(f"{path}: {len(rows)} augmentations; the digits' power falls as frequency^-{spectrum.exponent():.2f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "augmented.png")
