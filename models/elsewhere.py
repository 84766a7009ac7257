"""What people type who know PyTorch or Keras: names that `kw.nn`, `kw.losses` and `kw.optim` lack, and what to write.

A module whose `__getattr__` raises `missing(...)` answers with one line. Leans on `checks` for the nearest name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .checks import nearest

NO_ALIGNMENTS = (
    "the sum over alignments is not there as a loss (kw.scan makes recurrences); cross_entropy takes a label for each "
    "frame"
)
LAYERS = {
    "Linear": "Dense(units); the input's size is learnt from the first call",
    "Conv": "Conv(filters, window), for one to three spatial axes; the channels are learnt from the first call",
    "ConvTranspose": "ConvTranspose(filters, window), for one to three spatial axes; the channels are learnt",
    "MaxPool": "MaxPool(window)",
    "MaxPooling": "MaxPool(window)",
    "AvgPool": "AvgPool(window)",
    "AveragePooling": "AvgPool(window)",
    "AdaptiveAvgPool": "AdaptiveAvgPool(output_size)",
    "AdaptiveMaxPool": "AdaptiveMaxPool(output_size)",
    "GlobalAveragePooling": "GlobalAvgPool()",
    "GlobalMaxPooling": "GlobalMaxPool()",
    "BatchNorm": "BatchNorm(); the channels are learnt from the first call",
    "BatchNormalization": "BatchNorm()",
    "LayerNormalization": "LayerNorm()",
    "GroupNormalization": "GroupNorm(groups)",
    "InstanceNorm": "InstanceNorm()",
    "Dropout": "SpatialDropout(p)",
    "SpatialDropout": "SpatialDropout(p)",
    "UpSampling": "Upsample(scale_factor)",
    "UpsamplingNearest": "Upsample(scale_factor)",
    "UpsamplingBilinear": "Upsample(scale_factor, 'bilinear'), which keeps the centres of pixels in place",
    "MultiheadAttention": "MultiHeadAttention(num_heads)",
    "Module": "Layer",
    "Model": "Layer, or kw.models.Model for a classifier of images",
    "ModuleList": "a list, as an attribute of the layer",
    "ModuleDict": "a dict, as an attribute of the layer",
    "Parameter": "self.parameter(name, value) in build, or kw.variable(name, value) as an attribute of the layer",
    "Identity": "a function: lambda x: x",
    "Lambda": "the function itself, in a Sequential",
    "Unflatten": "Reshape(*shape)",
    "Permute": "a function: lambda x: kw.transpose(x, axes)",
    "ZeroPad": "a function: lambda x: kw.pad(x, widths)",
    "ZeroPadding": "a function: lambda x: kw.pad(x, widths)",
    "Add": "x + y, or Residual(body)",
    "Concatenate": "kw.concat([x, y], axis), or Parallel(...)",
    "LocalResponseNormalization": "LocalResponseNorm(size)",
    "Swish": "SiLU()",
    "SimpleRNN": "RNN(hidden_size)",
    "LSTMCell": "LSTM(hidden_size), or kw.scan with a step of one's own",
    "GRUCell": "GRU(hidden_size), or kw.scan with a step of one's own",
    "RNNCell": "RNN(hidden_size), or kw.scan with a step of one's own",
}
FUNCTIONS = {
    "Conv": "kw.nn.Conv, or kw.conv(x, weight, stride, pad)",
    "Linear": "kw.nn.Dense(units)",
    "Module": "kw.nn.Layer",
    "Parameter": "kw.variable(name, value)",
    "bmm": "kw.matmul, or x @ y",
    "mm": "kw.matmul, or x @ y",
    "mv": "kw.matmul, or x @ y",
    "dot": "kw.matmul, or x @ y",
    "linear": "x @ weight.T + bias",
    "dense": "kw.nn.Dense(units)",
    "conv_transpose": "kw.conv_transpose, for one to three spatial axes",
    "conv": "kw.conv, for one to three spatial axes",
    "max_pool": "kw.max_pool, for one to three spatial axes",
    "avg_pool": "kw.avg_pool, for one to three spatial axes",
    "adaptive_avg_pool": "kw.adaptive_avg_pool, for one to three spatial axes",
    "adaptive_max_pool": "kw.adaptive_max_pool, for one to three spatial axes",
    "batch_norm": "kw.nn.BatchNorm(), which keeps the running statistics",
    "dropout": "kw.nn.Dropout(p)",
    "embedding": "kw.gather(weight, indices), or kw.nn.Embedding",
    "scatter": "kw.put_along_axis(x, indices, values, axis)",
    "index_select": "kw.gather(x, positions, axis)",
    "index_add": "x + kw.scatter_add(values, positions, size, axis)",
    "upsample": "kw.interpolate",
    "fold": "the gradient of kw.unfold: kw.vjp",
    "tensor": "kw.input(name, shape) for what a call gives, kw.variable(name, value) for what is learnt",
    "array": "a NumPy array, or kw.as_tensor of one",
    "asarray": "kw.as_tensor",
    "from_numpy": "kw.as_tensor",
    "randn": "kw.Generator(seed).normal(shape)",
    "rand": "kw.Generator(seed).uniform(shape)",
    "random": "kw.Generator(seed)",
    "mse_loss": "kw.losses.mean_squared_error",
    "l1_loss": "kw.losses.mean_absolute_error",
    "nll_loss": "kw.losses.nll",
    "binary_cross_entropy_with_logits": "kw.losses.binary_cross_entropy",
    "no_grad": "nothing: a gradient is computed where kw.grad asks for it",
    "detach": "kw.stop_gradient",
    "backward": "kw.grad(loss, variables)",
    "vmap": "axes: ops broadcast and take batches",
    "jit": "kw.compile(inputs, outputs)",
    "function": "kw.compile(inputs, outputs)",
    "while_loop": "kw.scan, over a number of turns",
    "fori_loop": "kw.scan",
    "cond": "kw.where, which computes both sides",
    "det": "nothing: there is no linear algebra beyond products",
    "inv": "nothing: there is no linear algebra beyond products",
    "svd": "nothing: there is no linear algebra beyond products",
    "fft": "nothing: there are no complex numbers",
}
"""Of the package itself."""
DATA_DEPENDENT = "the shape of its result depends on data; kw.sort puts equal elements side by side"
REFUSED = {
    **dict.fromkeys(("unique", "unique_consecutive"), DATA_DEPENDENT),
    "bincount": "its size depends on data; kw.scatter_add(kw.ones_like(x), x, size) counts up to a size",
    "histogram": "its counts are no sums of a fixed size here; kw.scatter_add(kw.ones_like(x), places, size) counts",
    **dict.fromkeys(("CTCLoss", "ctc", "ctc_loss"), NO_ALIGNMENTS),
}
"""What there is not by another name either, and why."""
LOSSES = {
    "CrossEntropyLoss": "cross_entropy, or CrossEntropy(label_smoothing) for a Trainer",
    "SparseCategoricalCrossentropy": "cross_entropy, which takes logits",
    "CategoricalCrossentropy": "cross_entropy, which takes logits",
    "NLLLoss": "nll",
    "MSELoss": "mean_squared_error",
    "MeanSquaredError": "mean_squared_error",
    "L1Loss": "mean_absolute_error",
    "MeanAbsoluteError": "mean_absolute_error",
    "HuberLoss": "huber",
    "Huber": "huber",
    "SmoothL1Loss": "smooth_l1",
    "BCEWithLogitsLoss": "binary_cross_entropy",
    "BCELoss": "binary_cross_entropy, which takes logits: leave the sigmoid out",
    "BinaryCrossentropy": "binary_cross_entropy, which takes logits: leave the sigmoid out",
    "KLDivLoss": "kl_divergence(p, q), of probabilities",
    "KLDivergence": "kl_divergence(p, q)",
    "TripletMarginLoss": "triplet_margin",
    "CosineEmbeddingLoss": "cosine_embedding",
    "MultiMarginLoss": "weston_watkins",
    "Hinge": "hinge",
}
OPTIMIZERS = {
    "StepLR": "Step(initial, every, factor), as learning_rate",
    "MultiStepLR": "MultiStep(initial, milestones, factor), as learning_rate",
    "ExponentialLR": "Exponential(initial, factor), as learning_rate",
    "CosineAnnealingLR": "Cosine(initial, steps), as learning_rate",
    "PolynomialLR": "Polynomial(initial, steps, power), as learning_rate",
    "LinearLR": "WarmUp(steps, after), as learning_rate",
    "OneCycleLR": "OneCycle(peak, steps), as learning_rate",
    "ReduceLROnPlateau": "Plateau(after, factor, patience), as learning_rate",
    "lr_scheduler": "schedules are in kw.optim, and stand as an optimizer's learning_rate",
    "clip_grad_norm_": "clip_by_global_norm",
}


def missing(module: str, name: str, instead: Mapping[str, str], known: Sequence[str]) -> AttributeError:
    """The error for a name that `module` lacks. instead: by name without the 1d, 2d or 3d at its end, what to write."""
    plain = re.sub(r"[123][dD](?=Transpose$|$)", "", name)
    if name in REFUSED:
        return AttributeError(f"{module} has no {name!r}: {REFUSED[name]}")
    if plain in instead:
        return AttributeError(f"{module} has no {name!r}; here it is {instead[plain]}")
    near = nearest(name, known)
    hint = f"; {near}" if near.startswith("did you mean") and not name.startswith("_") else ""
    return AttributeError(f"{module} has no {name!r}{hint}")
