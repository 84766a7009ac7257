"""docs/ops.md is what its generator writes, names what NumPy and PyTorch have, and leaves no op out."""

from __future__ import annotations

import re
from operator import attrgetter

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.bench import ops_page

MAKE_PROGRAMS = "as_tensor elementwise from_bfloat16 get_value grad hvp input scope set_value stop_gradient "
MAKE_PROGRAMS += "to_bfloat16 to_networkx toposort variable vjp"
LAYERS_AND_LOSSES = "cross_entropy layer_norm local_response_norm"
RAISES = "nonzero"
ELSEWHERE = {*MAKE_PROGRAMS.split(), *LAYERS_AND_LOSSES.split(), RAISES}


def test_the_page_is_what_is_true_now() -> None:
    assert ops_page.PAGE.read_text() == ops_page.page()


def test_names_of_numpy_exist() -> None:
    for section in ops_page.SECTIONS:
        for _, names, _ in ops_page.rows(section):
            for name in names.split(", ") if names != "-" else []:
                attrgetter(name)(np)


def test_names_of_torch_exist() -> None:
    torch = pytest.importorskip("torch")
    for section in ops_page.SECTIONS:
        for _, _, names in ops_page.rows(section):
            for name in names.split(", ") if names != "-" else []:
                assert hasattr(torch.Tensor, name) or attrgetter(name)(torch), name


def test_every_public_op_is_on_the_page() -> None:
    text = "".join(ops_page.SECTIONS.values())
    ours = {n for n in dir(kw) if getattr(getattr(kw, n), "__module__", "").startswith("kernelwright.compiler.graph")}
    functions = {name for name in ours if not isinstance(getattr(kw, name), type)}
    shown = set(re.findall(r"kw\.(\w+)\(", text))
    aliases = {name for name in functions - shown if any(getattr(kw, name) is getattr(kw, other) for other in shown)}
    assert functions - shown - aliases == ELSEWHERE
    assert all(f"`{name}`" in ops_page.HEAD for name in aliases if not name.startswith("arc")), aliases
