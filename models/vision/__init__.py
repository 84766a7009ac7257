"""What a network sees in an image, as `kw.vision`: maps of the pixels that matter, and adversarial examples."""

from __future__ import annotations

from .adversarial import Attack, deepfool, fgsm, pgd, random_noise
from .attribution import (
    deconvolution,
    grad_cam,
    gradient,
    gradient_times_input,
    guided_backpropagation,
    integrated_gradients,
    saliency,
    smooth_grad,
)
from .explain import METHODS, Attribution, attribute
from .features import features, layers
from .occlusion import occlusion
from .pictures import heat_map, load_image, save_sheet
