"""The names that `kernelwright` offers. The package imports this file when the first is asked for."""

# mypy: implicit-reexport

from __future__ import annotations

from . import models
from .compiler import errors
from .compiler.errors import CompileError, DTypeError, GradientError, InputError, ShapeError
from .compiler.graph import functions
from .compiler.graph.aliases import (
    absolute,
    add,
    amax,
    amin,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    cat,
    clamp,
    concatenate,
    divide,
    multiply,
    negative,
    permute,
    power,
    subtract,
    unsqueeze,
)
from .compiler.graph.arrangement import (
    chunk,
    diagonal,
    masked_fill,
    moveaxis,
    nonzero,
    outer,
    ravel,
    repeat,
    roll,
    split,
    swapaxes,
    tile,
    trace,
    tril,
    triu,
)
from .compiler.graph.autodiff import grad, hvp, vjp
from .compiler.graph.bfloat16 import from_bfloat16, to_bfloat16
from .compiler.graph.einsum import einsum
from .compiler.graph.functions import (
    cross_entropy,
    layer_norm,
    local_response_norm,
    log_softmax,
    prelu,
    scaled_dot_product_attention,
    softmax,
    softplus,
)
from .compiler.graph.makers import arange, eye, full, full_like, linspace, ones, ones_like, zeros_like
from .compiler.graph.node import scope, to_networkx, toposort
from .compiler.graph.ops.along import add_along_axis, put_along_axis, take_along_axis
from .compiler.graph.ops.contract import conv, conv_transpose, matmul
from .compiler.graph.ops.defined import elementwise
from .compiler.graph.ops.elementary import (
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cosh,
    exp2,
    log2,
    log10,
    reciprocal,
    sinh,
    square,
    tan,
    trunc,
)
from .compiler.graph.ops.elementwise import abs_ as abs
from .compiler.graph.ops.elementwise import (
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    ceil,
    clip,
    cos,
    equal,
    erf,
    exp,
    expm1,
    floor,
    floor_divide,
    invert,
    left_shift,
    log,
    log1p,
    maximum,
    minimum,
    not_equal,
    relu,
    remainder,
    right_shift,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sqrt,
    stop_gradient,
    tanh,
    where,
    zeros,
)
from .compiler.graph.ops.elementwise import round_ as round
from .compiler.graph.ops.gamma import digamma, lgamma, polygamma
from .compiler.graph.ops.indexing import gather, one_hot, scatter_add, take
from .compiler.graph.ops.movement import expand_dims, flatten, reshape, squeeze, transpose
from .compiler.graph.ops.random import Generator
from .compiler.graph.ops.reduce import argmax, argmin, mean, prod
from .compiler.graph.ops.reduce import max_ as max
from .compiler.graph.ops.reduce import min_ as min
from .compiler.graph.ops.reduce import sum_ as sum
from .compiler.graph.ops.slicing import concat, flip, stack
from .compiler.graph.ops.source import iota
from .compiler.graph.ops.window import avg_pool, max_pool, sum_pool
from .compiler.graph.padding import pad
from .compiler.graph.patches import pixel_shuffle, pixel_unshuffle, unfold
from .compiler.graph.predicates import (
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    nan_to_num,
)
from .compiler.graph.recurrences import scan
from .compiler.graph.resizing import adaptive_avg_pool, adaptive_max_pool, interpolate, resize
from .compiler.graph.scans import cumprod, cumsum
from .compiler.graph.sorting import argsort, median, sort, topk
from .compiler.graph.statistics import all_ as all
from .compiler.graph.statistics import any_ as any
from .compiler.graph.statistics import count_nonzero, logsumexp, norm, ptp, std, var
from .compiler.graph.tensor import Tensor, as_tensor, broadcast_to, cast, input
from .compiler.graph.variable import get_value, set_value, variable
from .compiler.pipeline import Compiled, compile
from .models import callbacks, data, images, losses, nn, vision
from .models import initializers as init
from .models import optimizers as optim
from .models.activations import (
    celu,
    elu,
    gelu,
    glu,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    log_sigmoid,
    mish,
    relu6,
    selu,
    silu,
    softsign,
)
from .models.callbacks import Callback
from .models.evaluation import evaluate
from .models.saved import load_model
from .models.trainer import Trainer
from .models.weights import load_weights
from .runtime.errors import IndexLimitError, KernelwrightError
