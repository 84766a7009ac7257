"""Three small networks trained on halves of MNIST's training set, as in section 4.2 of Szegedy et al. 2013.

Their FC100-100-10 and FC123-456-10 see one half and FC100-100-10' the other (arXiv:1312.6199). Here the halves are the
images at even and at odd places. Each is trained in seconds and kept beside the other checkpoints.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...compiler.graph.ops.elementwise import sigmoid
from ...models.layers import Dense, Flatten, Sequential
from ...models.model import Model
from ...models.optimizers import Adam
from ...models.saved import load_model
from ...models.trainer import Trainer
from .room import Room

NETWORKS = {"fc100-100": ((100, 100), 0), "fc123-456": ((123, 456), 0), "fc100-100'": ((100, 100), 1)}
"""By name: the widths of the hidden layers, and which half of the training images."""
EPOCHS = 15


def halves(room: Room) -> dict[str, Model]:
    """The networks by name, from their files or trained now."""
    return {name: _half(room, name, k) for k, name in enumerate(NETWORKS)}


def _half(room: Room, name: str, seed: int) -> Model:
    widths, half = NETWORKS[name]
    hidden: list[Any] = [step for width in widths for step in (Dense(width), sigmoid)]
    model = Model(name, Sequential(Flatten(), *hidden, Dense(10)), (1, 28, 28), 10, seed=seed)
    kept = room.checkpoints / f"half{half}-{'-'.join(map(str, widths))}.safetensors"
    if kept.exists():
        return load_model(kept, model)
    train = room.digits.train
    images, labels = (np.ascontiguousarray(each[half::2]) for each in (train.images, train.labels))
    Trainer(model, Adam(0.002), seed=seed).fit((images, labels), EPOCHS, progress=False)
    model.save(kept)
    return model
