"""`kernelwright see`: what a network sees in images, and what fools it; one file for each kind of answer."""

from __future__ import annotations

import typer

from .attack import attack
from .distort import distort
from .dreaming import dream, unit
from .imitate import invert, style
from .maps import gradcam, occlusion, saliency
from .nearest import nearest
from .responding import deconv, exciting, filters
from .rubbish import rubbish
from .transfer import transfer
from .untangle import untangle

see = typer.Typer(no_args_is_help=True, help="What a network sees in images, and what fools it.")
for command in (
    saliency,
    gradcam,
    occlusion,
    attack,
    rubbish,
    transfer,
    style,
    invert,
    unit,
    dream,
    filters,
    exciting,
    deconv,
    distort,
    untangle,
    nearest,
):
    see.command()(command)
