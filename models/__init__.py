"""The networks: `names()` lists them, and each is a function here that builds one with random weights."""

from __future__ import annotations

from .adaptation import recompute_statistics
from .model import Model
from .networks import *
from .networks import build, names, register
from .recipe import Recipe
from .scaling import Scaling

__all__ = ["Model", "Recipe", "Scaling", "build", "names", "recompute_statistics", "register"]
