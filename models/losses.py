"""The losses, as `kw.losses`: each takes logits (or scores, or predictions) and targets and gives a scalar mean.

They are composed in `compiler.functions`; this file only gathers them.
"""

from __future__ import annotations

from ..compiler.functions import binary_cross_entropy, cross_entropy, hinge, kl_divergence, mean_squared_error

__all__ = ["binary_cross_entropy", "cross_entropy", "hinge", "kl_divergence", "mean_squared_error"]
