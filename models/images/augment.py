"""Random augmentation of batches, as `kw.images.Augment`: steps in the order given, compiled like everything else.

Steps of geometry that follow one another are one warp, so that pixels are interpolated once and what one step moves out
of the picture the next can bring back. Random numbers come from a counter-based generator whose state is a buffer of
the layer: the same on any device and number of threads, and restored with a checkpoint. Leans on `steps` for what the
steps are and on `geometry` for the warp.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ...compiler.errors import InputError
from ...compiler.graph.companions import accompany
from ...compiler.graph.ops.random import Generator
from ...compiler.graph.tensor import Tensor, input
from ...compiler.pipeline import Compiled, compile
from ...compiler.shapes import show
from ..arguments import explained
from ..checks import SettingError, number
from ..checks import seed as checked_seed
from ..layer import Layer, LayerError, inside_training
from .geometry import EDGE, Affine, Size, image_size, warp
from .steps import Draw, Geometric, Step


class Augment(Layer):
    """`Augment(Translate(4), Flip(), Rotate(15), Brightness(0.2))`: each image changed at random, step by step.

    fill: what comes in from outside, a number or "edge" for the nearest pixel. seed: of the random numbers; each run
    of a program moves on to the next ones. A layer in networks: without `training` it changes nothing (but `Crop`
    still crops, in the middle). Called on an array it compiles itself and gives an array. Raises LayerError for
    anything that is not a step.
    """

    kind = "augment"
    state_names: ClassVar = {"generator": None}

    @explained(error=LayerError)
    def __init__(self, *steps: Step, fill: float | str = 0.0, seed: int = 0, name: str | None = None):
        super().__init__(name)
        for step in steps:
            if not isinstance(step, Step):
                raise LayerError(f"Augment: takes steps such as Translate(4), Flip() or Brightness(0.2), not {step!r}")
        if isinstance(fill, str) and fill != EDGE:
            raise LayerError(f'Augment: fill is a number or "edge", not {fill!r}')
        self.fill = fill if fill == EDGE else number("Augment: fill", fill)
        self.steps, self.seed = steps, checked_seed("Augment: seed", seed)
        self._programs: dict[Any, Compiled] = {}

    def build(self, x: Tensor) -> None:
        self.generator = Generator(self.seed)
        self.generator.state = self.buffer("generator", np.array([self.seed, 0], "int64"))

    def forward(self, x: Tensor, training: bool) -> Tensor:
        if not training:
            return self._still(x)
        self._updates = self.generator.updates()
        y = self._changed(x, self.generator)
        if y is not x:
            accompany(y, self._updates)
        return y

    def __call__(self, x: Any, training: bool | None = None) -> Any:  # type: ignore[override]
        """A tensor changed inside a program, or an array (n, channels, height, width) of float32 or float64 by a
        program of its own, compiled for the first array of that shape (any n).

        training: None is as the layer that it is called in, and True outside of any. Raises InputError for another
        array.
        """
        if training is None:
            training = inside_training() is not False
        if isinstance(x, Tensor):
            return super().__call__(x, training)
        images = np.asarray(x)
        if images.ndim != 4 or images.dtype.name not in ("float32", "float64"):
            raise InputError(
                f"Augment: images are float32 (n, channels, height, width), not {images.dtype} {images.shape}: "
                "for bytes, images.astype('float32') / 255"
            )
        if not training:
            raise InputError("Augment: an array is changed as in training; without, use it as it is")
        key = (images.shape[1:], images.dtype.name)
        if key not in self._programs:
            self._programs[key] = self.compile(images.shape[1:], dtype=images.dtype.name)
        return self._programs[key](images)

    def compile(
        self, shape: tuple[int, ...], device: str = "cpu", threads: int | None = None, dtype: str = "float32"
    ) -> Compiled:
        """The program that changes a batch of images of `shape` (channels, height, width).

        All programs of one Augment share its state, and draw the same from the same state.
        """
        x = input("images", (None, *shape), dtype)
        self(x, training=False)  # builds the state
        generator = Generator(self.seed)
        generator.state = self.generator.state
        return compile([x], self._changed(x, generator), generator.updates(), device=device, threads=threads)

    def __repr__(self) -> str:
        return f"Augment({', '.join(map(repr, self.steps))}, fill={self.fill!r}, seed={self.seed})"

    # -------------------------------------------------------- what the steps make of a batch
    def _changed(self, images: Tensor, generator: Generator) -> Tensor:
        """The steps in order; runs of geometry are gathered in `chain` and warped once."""
        draw = Draw(generator, images.shape[0])
        chain, size = Affine(), image_size("Augment", images)
        moved = False
        for step in self.steps:
            if isinstance(step, Geometric):
                chain, size, moved = chain.then(step.affine(draw, size)), step.result(size), True
                continue
            if moved:
                images, chain, moved = self._warped(images, chain, size), Affine(), False
            images = step.change(images, draw)
        return self._warped(images, chain, size) if moved else images

    def _warped(self, images: Tensor, chain: Affine, size: Size) -> Tensor:
        return warp(images, chain, size, self.fill)

    def _still(self, images: Tensor) -> Tensor:
        """Inference: the crops alone, in the middle."""
        chain, size = Affine(), image_size("Augment", images)
        whole = size
        for step in self.steps:
            if isinstance(step, Geometric):
                chain, size = chain.then(step.still(size)), step.result(size)
        return images if size == whole else self._warped(images, chain, size)


def keeping_shape(augment: Any, images: Tensor) -> Augment | None:
    """The augmentation, built for `images`, or None. Raises ValueError for anything else, or where the images come out
    in another shape."""
    if augment is None:
        return None
    if not isinstance(augment, Augment):
        raise SettingError(f"Trainer: augment is a kw.images.Augment(...), not {augment!r}")
    after = augment(images, training=False).shape
    if after != images.shape:
        raise SettingError(
            f"Trainer: augment makes images {show(after)} of the model's {show(images.shape)}; it has to keep their "
            "shape (crop the data before, or use Crop with padding)"
        )
    return augment
