"""What a network sees in an image, as `kw.vision`: what matters, what excites a unit, dreams, style, and attacks."""

# mypy: implicit-reexport

from __future__ import annotations

from .adversarial import fgsm, pgd, random_noise
from .ascent import total_variation
from .attack import Attack, classified
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
from .deconvnet import Projection, project
from .deepfool import deepfool
from .descent import Imitation
from .distort import Distortion, distort
from .dream import dream
from .exciting import Exciting, cropped, exciting
from .explain import METHODS, Attribution, attribute
from .features import features, layers
from .figures import plot, plot_map
from .filters import filters
from .hardening import adversarial_loss, robust_accuracy
from .inversion import invert
from .lbfgs_attack import lbfgs_attack
from .neighbours import Neighbours, neighbours, pca, spread_out
from .occlusion import occlusion
from .pictures import heat_map, load_image, save_animation, save_image, save_sheet
from .receptive import receptive_field
from .responses import responses
from .rubbish import Rubbish, rubbish
from .style import gram, style
from .transfer import TransferTable, nearest_neighbour, transfer_table
from .unit import unit
from .universal import Universal, universal
from .untangling import Untangling, untangling
from .zoom import zoom
