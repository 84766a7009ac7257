"""Checkpoint files: safetensors with JSON metadata, replaced atomically so that a crash leaves the old one whole.

Leans on safetensors, imported when a file is read or written.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.errors import KernelwrightError

KEY = "kernelwright"


class CheckpointError(KernelwrightError, ValueError):
    """A checkpoint that cannot be read, or does not fit what it is loaded into."""


def save(path: str | Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Write `arrays` and JSON `metadata` to `path`. Raises OSError where the file cannot be written."""
    from safetensors.numpy import save as encode

    target = Path(path)
    data = encode(dict(arrays), {KEY: json.dumps(metadata)})
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(arrays, metadata) of a file. Raises CheckpointError where it is damaged or not one of `save`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "numpy") as file:
            text = (file.metadata() or {}).get(KEY)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}") from None
    if text is None:
        raise CheckpointError(f"{path} is a safetensors file, but not one of a trainer's checkpoints")
    return arrays, json.loads(text)
