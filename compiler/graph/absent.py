"""What people type who know PyTorch or NumPy: attributes that tensors lack, and what to write. Leans on nothing."""

from __future__ import annotations

NO_VALUE = "kw.compile(inputs, outputs), whose call gives values as arrays; kw.get_value(v) is a variable's"
GRADIENT = "kw.grad(loss, variables), which gives tensors"
DEVICE = 'kw.compile(..., device="cuda"), for the whole program'
SHAPE = "x.shape, a tuple, and x.ndim"
ITSELF = "the tensor itself, which never changes"
IN_PLACE = "tensors never change: write x = x + y, and give a variable's new value in the updates of kw.compile"
ATTRIBUTES = {
    **dict.fromkeys(("numpy", "item", "tolist", "data", "eval"), NO_VALUE),
    **dict.fromkeys(("backward", "grad", "requires_grad", "requires_grad_", "retain_grad", "zero_grad"), GRADIENT),
    **dict.fromkeys(("to", "cpu", "cuda", "device"), DEVICE),
    **dict.fromkeys(("size", "dim", "numel", "nelement"), SHAPE),
    **dict.fromkeys(("contiguous", "clone", "copy"), ITSELF),
    **dict.fromkeys(("matmul", "mm", "bmm", "mv", "dot"), "x @ y"),
    **dict.fromkeys(("expand", "broadcast_to"), "kw.broadcast_to(x, shape)"),
    **dict.fromkeys(("gather", "take_along_dim"), "kw.take_along_axis(x, indices, axis)"),
    **dict.fromkeys(("scatter", "scatter_"), "kw.put_along_axis(x, indices, values, axis)"),
    **dict.fromkeys(("mT", "mH"), "x.swapaxes(-1, -2)"),
    **{other: f"x.astype({ours!r})" for other, ours in (
        ("float", "float32"), ("double", "float64"), ("bfloat16", "bfloat16"), ("int", "int32"), ("long", "int64"),
        ("short", "int16"), ("char", "int8"), ("byte", "uint8"), ("bool", "bool"),
    )},
    "half": "x.astype('bfloat16'); there is no float16",
    "type_as": "x.astype(y.dtype)",
    "add": "x + y",
    "sub": "x - y",
    "mul": "x * y",
    "div": "x / y",
    "pow": "x ** y",
    "index_select": "kw.gather(x, positions, axis)",
    "narrow": "a slice such as x[:, start:stop]",
}  # fmt: skip
"""By name, what stands for it here."""


def absent(name: str) -> str:
    """The message for an attribute that tensors do not have."""
    if name in ATTRIBUTES:
        return f"a tensor has no {name!r}; here it is {ATTRIBUTES[name]}"
    if name.endswith("_") and not name.startswith("_"):
        return f"a tensor has no {name!r}: {IN_PLACE}"
    return f"a tensor has no {name!r}"
