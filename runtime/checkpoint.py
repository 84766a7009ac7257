"""Checkpoints: tensors and metadata in one safetensors file, written so that a crash never leaves half of one.

Leans on safetensors. The metadata is JSON under the key `kernelwright`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .errors import KernelwrightError
from .partial import write_whole

KEY = "kernelwright"


class CheckpointError(KernelwrightError, RuntimeError):
    """A checkpoint that cannot be written or read: which file, and why."""


def save(path: str | os.PathLike[str], tensors: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write the tensors (any NumPy dtypes that safetensors has) and JSON metadata to `path`, replacing it as a whole.

    Raises CheckpointError where it cannot be written; a file that was there before is then unchanged.
    """
    path = Path(path)
    data = _pack(path, tensors, meta)
    try:
        write_whole(path, data)
    except OSError as error:
        raise CheckpointError(
            f"cannot write the checkpoint {path} ({len(data):,} bytes): {error.strerror or error}; "
            "what was there before is unchanged"
        ) from None


def load(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(tensors by name, metadata). Raises CheckpointError for a file that is missing, damaged or something else."""
    tensors, meta = load_any(path)
    if meta is None:
        raise CheckpointError(f"{path} is a safetensors file, but not a checkpoint of kernelwright")
    return tensors, meta


def load_any(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any] | None]:
    """(tensors by name, metadata) of any safetensors file; None for the metadata of a file that is no checkpoint.

    Raises CheckpointError for a file that is missing, damaged or something else.
    """
    import safetensors

    try:
        with open(path, "rb") as file:
            file.read(1)
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}") from None
    except OSError as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {error.strerror}") from None
    try:
        with safetensors.safe_open(path, "numpy") as stored:  # the header is checked, and nothing else read so far
            meta = _metadata(stored.metadata())
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - it is no dict
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}") from None
    except (TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(f"{path} has an array that NumPy has no dtype for: {error}") from None
    except MemoryError:
        raise CheckpointError(f"{path} holds more than there is memory for") from None
    return tensors, meta


@contextmanager
def understanding(path: str | os.PathLike[str]) -> Iterator[None]:
    """Metadata of a checkpoint at `path` that its reader stumbles over is a CheckpointError, not Python's own."""
    try:
        yield
    except KernelwrightError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise CheckpointError(f"{path}: its metadata is damaged: {error!r}") from None


def _metadata(said: Mapping[str, str] | None) -> dict[str, Any] | None:
    try:
        meta = json.loads((said or {})[KEY])
    except (KeyError, ValueError, RecursionError):
        return None
    return meta if isinstance(meta, dict) else None


def _pack(path: Path, tensors: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> bytes:
    import safetensors
    import safetensors.numpy

    arrays = {name: np.asarray(value, order="C") for name, value in tensors.items()}
    try:
        return safetensors.numpy.save(arrays, {KEY: json.dumps(dict(meta))})
    except (TypeError, ValueError, KeyError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"cannot write the checkpoint {path}: {error}") from None
