"""`python -m kernelwright.bench.ops_page` writes docs/ops.md: ops with NumPy's and PyTorch's names, gradients, devices.

A row is an example, which is built to see that it can be and whether a gradient flows, and planned for CUDA. Leans on
the public names.
"""

from __future__ import annotations

from pathlib import Path

import kernelwright as kw

from ..compiler.errors import CompileError
from ..compiler.graph.tensor import Tensor
from ..compiler.targets.cuda.compiled import CudaListing

PAGE = Path(__file__).resolve().parents[1] / "docs" / "ops.md"

HEAD = """# Ops, and what NumPy and PyTorch call them

`x`, `y` are matrices of floats, `v` a vector, `m` a mask (bool), `i` integers, `images` (n, c, h, w), `w` weights. All
of it runs on the CPU and on `device="reference"`; the CUDA kernels of what *all* devices have are checked in lockstep
without a GPU. NumPy's names are `np.`..., PyTorch's `torch.`... or a tensor's method; a dash says that it has none.

Functions of one tensor are methods of it, too: `x.exp()`, `x.argmax(1)`.
Operators are functions, too; `kw.arcsin` to `kw.arctanh`, `absolute`, `clamp`, `cat`, `concatenate`, `permute` and
`unsqueeze` are the functions here of the other name.

Arguments have PyTorch's names, too, in functions, methods and layers: `dim` (`dims`), `keepdim`, `padding`,
`kernel_size`, `start_dim`, `shifts` and `p` of a norm. Where PyTorch's function of the name gives something else they
are refused, with what to write: `max` and `sort` (a pair there), `var` without a correction, `split`, `gather`.
Type checkers know the names here only.

Gradient: *yes* at every order (of `prod` beside a zero only the first; `cumprod` has them all), *0* for what is
constant almost everywhere, *none* where the result is no float, a dash where no operand is.

No shape depends on data: `x[mask]` and `kw.nonzero` raise, and say what to write instead. There is no unique,
since its size depends on data.

`sort`, `argsort` and `topk` compare all pairs along axes of up to 1000. Longer ones of a known size go through a
sorting network on every device: a loop of about log2(n)^2 / 2 turns. All pairs are compared along axes whose size is
known in a run only, inside the step of a `kw.scan`, and in gradients.

`kw.scan` is a loop over turns, as JAX's `lax.scan`: `kw.scan(step, states, sequences)`.

Written by `python -m kernelwright.bench.ops_page`.
"""

COLUMNS = "| Kernelwright | NumPy | PyTorch | gradient | devices |\n| --- | --- | --- | --- | --- |\n"

SECTIONS: dict[str, str] = {
    "Arithmetic": """
        kw.add(x, y) | add | add
        kw.subtract(x, y) | subtract | sub
        kw.multiply(x, y) | multiply | mul
        kw.divide(x, y) | divide | div
        kw.negative(x) | negative | neg
        kw.power(x, y) | power | pow
        kw.floor_divide(x, y) | floor_divide | floor_divide
        kw.remainder(x, y) | remainder | remainder
        kw.matmul(x, y) | matmul | matmul
        kw.square(x) | square | square
        kw.reciprocal(x) | reciprocal | reciprocal
        kw.abs(x) | abs | abs
        kw.sign(x) | sign | sign
        kw.maximum(x, y) | maximum | maximum
        kw.minimum(x, y) | minimum | minimum
        kw.clip(x, -1, 1) | clip | clamp
        kw.floor(x) | floor | floor
        kw.ceil(x) | ceil | ceil
        kw.round(x) | round | round
        kw.trunc(x) | trunc | trunc
        kw.outer(v, v) | outer | outer
        kw.einsum("ij,kj->ik", x, y) | einsum | einsum
    """,
    "Functions of numbers": """
        kw.exp(x) | exp | exp
        kw.exp2(x) | exp2 | exp2
        kw.expm1(x) | expm1 | expm1
        kw.log(x) | log | log
        kw.log2(x) | log2 | log2
        kw.log10(x) | log10 | log10
        kw.log1p(x) | log1p | log1p
        kw.sqrt(x) | sqrt | sqrt
        kw.rsqrt(x) | - | rsqrt
        kw.sin(x) | sin | sin
        kw.cos(x) | cos | cos
        kw.tan(x) | tan | tan
        kw.asin(x) | arcsin | asin
        kw.acos(x) | arccos | acos
        kw.atan(x) | arctan | atan
        kw.atan2(x, y) | arctan2 | atan2
        kw.sinh(x) | sinh | sinh
        kw.cosh(x) | cosh | cosh
        kw.tanh(x) | tanh | tanh
        kw.asinh(x) | arcsinh | asinh
        kw.acosh(x) | arccosh | acosh
        kw.atanh(x) | arctanh | atanh
        kw.erf(x) | - | erf
        kw.lgamma(x) | - | lgamma
        kw.digamma(x) | - | digamma
        kw.polygamma(1, x) | - | polygamma
        kw.sigmoid(x) | - | sigmoid
        kw.relu(x) | - | relu
        kw.softplus(x) | - | nn.functional.softplus
        kw.gelu(x) | - | nn.functional.gelu
        kw.prelu(images, v[:3]) | - | nn.functional.prelu
    """,
    "Questions and choices": """
        kw.equal(x, y) | equal | eq
        kw.not_equal(x, y) | not_equal | ne
        kw.less(x, y) | less | lt
        kw.less_equal(x, y) | less_equal | le
        kw.greater(x, y) | greater | gt
        kw.greater_equal(x, y) | greater_equal | ge
        kw.logical_and(m, m) | logical_and | logical_and
        kw.logical_or(m, m) | logical_or | logical_or
        kw.logical_xor(m, m) | logical_xor | logical_xor
        kw.logical_not(m) | logical_not | logical_not
        kw.isnan(x) | isnan | isnan
        kw.isinf(x) | isinf | isinf
        kw.isfinite(x) | isfinite | isfinite
        kw.nan_to_num(x) | nan_to_num | nan_to_num
        kw.where(m, x, y) | where | where
        kw.masked_fill(x, m, 0) | - | masked_fill
        kw.bitwise_and(i, i) | bitwise_and | bitwise_and
        kw.bitwise_or(i, i) | bitwise_or | bitwise_or
        kw.bitwise_xor(i, i) | bitwise_xor | bitwise_xor
        kw.invert(i) | invert | bitwise_not
        kw.left_shift(i, 2) | left_shift | bitwise_left_shift
        kw.right_shift(i, 2) | right_shift | bitwise_right_shift
    """,
    "Reductions": """
        kw.sum(x, 1) | sum | sum
        kw.prod(x, 1) | prod | prod
        kw.mean(x, 1, keepdims=True) | mean | mean
        kw.var(x, 1, ddof=1) | var | var
        kw.std(x, 1, correction=1) | std | std
        kw.max(x, 1) | max | -
        kw.min(x, 1) | min | -
        kw.amax(x, 1) | amax | amax
        kw.amin(x, 1) | amin | amin
        kw.ptp(x, 1) | ptp | -
        kw.argmax(x, 1) | argmax | argmax
        kw.argmin(x, 1) | argmin | argmin
        kw.any(m, 1) | any | any
        kw.all(m, 1) | all | all
        kw.count_nonzero(x, 1) | count_nonzero | count_nonzero
        kw.logsumexp(x, 1) | - | logsumexp
        kw.norm(x, 2, 1) | linalg.vector_norm | linalg.vector_norm
        kw.trace(x) | trace | trace
        kw.softmax(x, 1) | - | softmax
        kw.log_softmax(x, 1) | - | log_softmax
        kw.scaled_dot_product_attention(x, x, y, is_causal=True) | - | nn.functional.scaled_dot_product_attention
        kw.cumsum(x, 1) | cumsum | cumsum
        kw.cumprod(x, 1) | cumprod | cumprod
        kw.scan(lambda state, place: (state + place, state * place), v, x) | - | -
        kw.sort(x, 1) | sort | sort
        kw.argsort(x, 1) | argsort | argsort
        kw.median(x, 1) | median | -
        kw.topk(x, 2, 1) | - | topk
    """,
    "Shapes": """
        kw.reshape(x, (2, -1)) | reshape | reshape
        kw.ravel(x) | ravel | ravel
        kw.flatten(images) | - | flatten
        kw.transpose(images, (0, 2, 3, 1)) | transpose | permute
        kw.swapaxes(images, 1, 2) | swapaxes | swapaxes
        kw.moveaxis(images, 1, -1) | moveaxis | moveaxis
        kw.expand_dims(x, 0) | expand_dims | unsqueeze
        kw.squeeze(x[:, :1], 1) | squeeze | squeeze
        kw.broadcast_to(v, (3, 4)) | broadcast_to | broadcast_to
        kw.cast(x, "float64") | - | -
    """,
    "Elements in other places": """
        x[1:, ::-1], x[..., None], x[-1] | - | -
        kw.concat([x, y], 1) | concat | cat
        kw.stack([x, y]) | stack | stack
        kw.split(x, 2) | split | tensor_split
        kw.chunk(x, 3) | - | chunk
        kw.flip(x, 1) | flip | flip
        kw.roll(x, 1, 0) | roll | roll
        kw.tile(x, (2, 1)) | tile | tile
        kw.repeat(x, 2, 1) | repeat | repeat_interleave
        kw.pad(x, [1, (0, 2)], mode="reflect") | pad | nn.functional.pad
        kw.diagonal(x) | diagonal | diagonal
        kw.tril(x) | tril | tril
        kw.triu(x, 1) | triu | triu
        kw.gather(x, i[0], 1) | take | index_select
        kw.take(x, i[0], 1) | take | -
        kw.put_along_axis(x, i, y, 1) | - | scatter
        kw.scatter_add(x, i[0], 9) | - | index_add
        kw.take_along_axis(x, i, 1) | take_along_axis | gather
        kw.add_along_axis(x, i, y, 1) | - | scatter_add
        kw.one_hot(i, 4) | - | nn.functional.one_hot
    """,
    "Makers": """
        kw.zeros((2, 3)) | zeros | zeros
        kw.ones((2, 3)) | ones | ones
        kw.full((2, 3), 0.5) | full | full
        kw.zeros_like(x) | zeros_like | zeros_like
        kw.ones_like(x) | ones_like | ones_like
        kw.full_like(x, 2) | full_like | full_like
        kw.arange(2, 9, 3) | arange | arange
        kw.iota(5) | - | -
        kw.linspace(0, 1, 5) | linspace | linspace
        kw.eye(3) | eye | eye
    """,
    "Windows": """
        kw.conv(images, w, stride=1, pad=1) | - | conv2d
        kw.conv_transpose(images, w) | - | conv_transpose2d
        kw.max_pool(images, 2) | - | nn.functional.max_pool2d
        kw.avg_pool(images, 2) | - | nn.functional.avg_pool2d
        kw.sum_pool(images, 2) | - | -
        kw.adaptive_avg_pool(images, 3) | - | nn.functional.adaptive_avg_pool2d
        kw.adaptive_max_pool(images, 3) | - | nn.functional.adaptive_max_pool2d
        kw.unfold(images, 3, pad=1) | - | nn.functional.unfold
        kw.pixel_unshuffle(images, 2) | - | nn.functional.pixel_unshuffle
        kw.pixel_shuffle(images[:, :1].reshape(2, 4, 4, 4), 2) | - | nn.functional.pixel_shuffle
        kw.resize(images, (5, 12), "bicubic") | - | -
        kw.interpolate(images, scale_factor=2, mode="bilinear") | - | nn.functional.interpolate
    """,
}


def rows(section: str) -> list[tuple[str, str, str]]:
    """(example, NumPy's name, PyTorch's name) of each line."""
    lines = (line.strip() for line in SECTIONS[section].strip().splitlines())
    return [tuple(part.strip() for part in line.rsplit("|", 2)) for line in lines]  # type: ignore[misc]


def page() -> str:
    """The text of docs/ops.md."""
    parts = [HEAD]
    for section in SECTIONS:
        parts.append(f"\n## {section}\n\n{COLUMNS}")
        for example, numpys, torchs in rows(section):
            results = made(example)
            names = (_quoted(name) for name in (numpys, torchs))
            cells = [f"`{example}`", *names, gradient(results), devices(results)]
            parts.append(f"| {' | '.join(cells)} |\n".replace("`|`", "`\\|`"))
    return "".join(parts)


def _quoted(names: str) -> str:
    return "-" if names == "-" else ", ".join(f"`{name}`" for name in names.split(", "))


def made(example: str) -> list[Tensor]:
    """The tensors that an example makes."""
    operands = {
        **{name: kw.input(name, (4, 4)) for name in ("x", "y")},
        "v": kw.input("v", (4,)),
        "m": kw.input("m", (4, 4), "bool"),
        "i": kw.input("i", (4, 4), "int32"),
        "images": kw.input("images", (2, 3, 8, 8)),
        "w": kw.input("w", (3, 3, 3, 3)),
    }
    value = eval(example, {"kw": kw, **operands})
    return list(value) if isinstance(value, (list, tuple)) else [value]


def gradient(results: list[Tensor]) -> str:
    """yes, 0 or none: what flows from the results to what they are made of; a dash where that is no float tensor."""
    if not results[0].dtype.startswith("float"):
        return "none"
    sources = [x for x in kw.toposort(results) if x.op.name == "input" and x.dtype == "float32"]
    if not sources:
        return "-"
    found = [g for y in results if y.dtype.startswith("float") for g in kw.grad((y * y).sum(), sources)]
    return "0" if all(g.op.name == "full" for g in found) else "yes"


def devices(results: list[Tensor]) -> str:
    """all, or those that are not CUDA, which refuses to plan kernels for the results."""
    try:
        CudaListing([x for x in kw.toposort(results) if x.op.name == "input"], results, {}, "sm_90", {})
    except CompileError:
        return "CPU, reference"
    return "all"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())
    print(PAGE)


if __name__ == "__main__":
    main()
