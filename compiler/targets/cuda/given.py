"""What a CUDA program is given: arrays of the host, and arrays that lie on its GPU and never go through the host.

Leans on `graph.arguments` for the host's and on `runtime.cuda` for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....runtime.cuda import Gpu, OnDevice, on_gpu, taken
from ... import dtypes
from ...errors import InputError
from ...graph.arguments import check_array, check_number
from ...graph.tensor import Tensor
from ...shapes import show


def check_given(inputs: Sequence[Tensor], arrays: Sequence[Any], driver: Gpu) -> list[np.ndarray | OnDevice]:
    """The arrays for the inputs, each where it lies. Raises InputError for a wrong number of them, wrong dtypes, and
    arrays on a GPU that cannot be read as they lie."""
    check_number(inputs, arrays)
    if not any(map(on_gpu, arrays)):
        return [check_array(x, a) for x, a in zip(inputs, arrays)]
    with driver.turn:  # while another thread captures the stream, nothing may be told to it
        return [_on_device(x, a, driver) if on_gpu(a) else check_array(x, a) for x, a in zip(inputs, arrays)]


def _on_device(x: Tensor, value: Any, driver: Gpu) -> OnDevice:
    """The value of `x`, bfloat16 as such or as uint16 words."""
    takes = f"input {x.attrs.name!r} takes {x.dtype}{show(x.shape)}"
    try:
        found = taken(value, driver)
    except (TypeError, ValueError, BufferError) as error:
        raise InputError(f"{takes}: {error}") from None
    if found.dtype not in (x.dtype, dtypes.stored(x.dtype)):
        raise InputError(
            f"{takes}, got {found.dtype} of shape {found.shape} on GPU {driver.index}; convert it there: .to(torch."
            f"{x.dtype}) of a PyTorch tensor, .astype({x.dtype!r}) of a CuPy array"
        )
    return found
