"""Stacks of matrices, as the heads of an attention: every product gets a register tile, whatever the batch is."""

import pytest

import kernelwright as kw
from kernelwright.compiler.shapes import typical
from kernelwright.compiler.targets.base import Options
from kernelwright.compiler.targets.cpu.schedule import Tile
from kernelwright.compiler.targets.cpu.target import Cpu


def products(inputs, outputs, batch=8):
    """The schedules of the kernels that hold a product of matrices."""
    with typical({"batch": batch}):
        kernels = Cpu(Options()).planned(inputs, outputs, {}).kernels
    return [k.schedule for k in kernels if any(n.op.name == "contract" for n in k.nodes)]


@pytest.mark.parametrize("batch", [8, None])
@pytest.mark.parametrize("causal", [False, True])
def test_every_product_of_attention_and_its_gradients_is_a_tile(batch, causal):
    x = kw.input("x", (batch, 128, 256))
    layer = kw.nn.MultiHeadAttention(8, causal=causal)
    loss = (layer(x) ** 2).mean()
    schedules = products([x], kw.grad(loss, [x, *layer.parameters()]))
    assert len(schedules) >= 18  # 6 products, and 2 for the gradient of each
    assert all(isinstance(s, Tile) for s in schedules)
