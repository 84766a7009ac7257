"""Convolutions with 3x3 windows in fewer products: Winograd's minimal filtering F(4x4, 3x3) as a rewriting.

A tile of 4x4 results needs 144 products per pair of channels when it is summed directly and 36 between transformed
tiles: `y = A'[(G w G') * (B' x B)]A` (S. Winograd, Arithmetic Complexity of Computations, 1980; A. Lavin and S. Gray,
Fast Algorithms for Convolutional Neural Networks, arXiv 1509.09308, section 4.1). In the middle stand 36 matrix
products over channels. The gradients are the transposes of the same maps, so that the three contractions of a layer
are made of them: with V = B' x B, U = G w G' and D = A dy A' for every tile,

    y = A'(sum over channels of V U)A     dx = B(sum over filters of D U)B'     dw = G'(sum over tiles of V D)G

A map between images and tiles is a `contract` with a matrix on either side; `winograd_maps.py` schedules it. In float32
the result differs from the direct sum by about 1e-5 of its size, as wherever this is done; doubles are left alone. What
one value that is not finite, or far above the rest, would spoil in its tile is summed directly (the op `contained`).
Leans on `contract`, `contained` and `rewrite`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ... import config, dtypes
from ...graph.ops.contract import Access, Spec, axis_access, convolution_spec, gradient_spec
from ...graph.tensor import Tensor, apply, as_tensor
from ...rewriting.rewrite import Any_, Report, Rule, Table, op, rewrite
from ...shapes import Dim, Shape, nominal
from .winograd_matrices import MATRICES, POINTS, STEPS, TILE, WINDOW

PRODUCTS_PER_CYCLE, BYTES_PER_CYCLE = 13.0, 4.0
"""What one core multiplies and moves, for the choice between the two ways."""
WORTH = 0.9

Pads = tuple[tuple[int, int], tuple[int, int]]
Order = tuple[int, int, int]
NONE: Pads = ((0, 0), (0, 0))
IMAGE, FILTERS, FILTERS_BACK = (0, 1, 2), (0, 2, 1), (0, 1, 2)
"""How the axes before the pixels follow in tiles: n, g, c of images stay, g, k, c of filters become g, c, k; on the way
back they stay. So the last one is always that along which results are vectors."""


def fast_convolutions(outputs: Sequence[Tensor]) -> tuple[list[Tensor], Report]:
    """The outputs with every 3x3 convolution, and gradient of one, by Winograd's way where that should be faster."""
    return rewrite(outputs, _TABLE if config.winograd() else Table("none", []))


# ---------------------------------------------------------------- the three contractions of a layer


def _forward(node: Tensor, x: Tensor, w: Tensor) -> Tensor | None:
    """x (n, g, c, h, w), w (g, k, c, 3, 3)."""
    if not _fits(x, w, node):
        return None
    pads = _pads(node, -1, node.shape, x.shape)
    if pads is None or node.attrs.spec != _direct(x.shape, w.shape, pads) or not _pays(node.shape, w.shape):
        return None
    products = _product(_input(x, node.shape, pads, ""), _filters(w, FILTERS), "ijnhwgc", "ijg--ck", "ijnhwgk")
    return _to_image(products, "output", NONE, IMAGE, node)


def _by_input(node: Tensor, dy: Tensor, w: Tensor) -> Tensor | None:
    """The gradient by x: dy (n, g, k, h, w), w (g, k, c, 3, 3)."""
    if not _fits(node, w, dy):
        return None
    pads = _pads(node, 1, dy.shape, node.shape)
    if pads is None or not _pays(dy.shape, w.shape):
        return None
    if node.attrs.spec != gradient_spec(_direct(node.shape, w.shape, pads), 0, node.shape):
        return None
    products = _product(_output(dy), _filters(w, FILTERS_BACK), "ijnhwgk", "ijg--kc", "ijnhwgc")
    return _to_image(products, "input", pads, IMAGE, node)


def _by_filters(node: Tensor, x: Tensor, dy: Tensor) -> Tensor | None:
    """The gradient by w: x (n, g, c, h, w), dy (n, g, k, h, w)."""
    if not _fits(x, node, dy):
        return None
    pads = _pads(node, -1, dy.shape, x.shape)
    if pads is None or not _pays(dy.shape, node.shape):
        return None
    if node.attrs.spec != gradient_spec(_direct(x.shape, node.shape, pads), 1, node.shape):
        return None
    # another role than in the forward pass, so that the tiles are made again and need no memory in between
    tiles = _input(x, dy.shape, pads, "_again")
    products = _product(tiles, _output(dy), "ijnhwgc", "ijnhwgk", "ijg--ck")
    return _to_image(products, "filter", NONE, FILTERS, node)


def _fits(x: Tensor, w: Tensor, y: Tensor) -> bool:
    channels = all(isinstance(d, int) for t in (x, y) for d in t.shape[1:3]) and 0 not in (*x.shape[1:], *y.shape[1:])
    images = x.rank == w.rank == y.rank == 5 and w.shape[3:] == (WINDOW, WINDOW)
    return images and channels and x.dtype == dtypes.FLOAT32


def _pads(node: Tensor, sign: int, y: Shape, x: Shape) -> Pads | None:
    """The padding with which a convolution makes y of x, if the node belongs to one."""
    pads = []
    for access, out, size in zip(node.attrs.spec.operands[0][3:], y[3:], x[3:]):
        before = sign * access.offset
        after = out + (WINDOW - 1) - size - before
        if not 0 <= before < WINDOW or not isinstance(after, int) or not 0 <= after < WINDOW:
            return None
        pads.append((before, after))
    return pads[0], pads[1]


def _direct(x: Shape, w: Shape, pads: Pads) -> Spec:
    return convolution_spec(x, w, (1, 1), pads, (1, 1))


def _pays(y: Shape, w: Shape) -> bool:
    """Are 36 products per tile, and what is moved for them, cheaper than 9 products per pixel?"""
    n, g, k, height, width = map(nominal, y)
    c, (rows, columns) = nominal(w[2]), _tiles(y)
    pixels, tiles, points = n * g * height * width, n * g * nominal(rows) * nominal(columns), POINTS * POINTS
    moved = (pixels + 2 * points * tiles) * (c + k) + g * c * k * (WINDOW * WINDOW + 2 * points)
    fast = points * tiles * c * k / PRODUCTS_PER_CYCLE + 4 * moved / BYTES_PER_CYCLE
    return fast < WORTH * WINDOW * WINDOW * pixels * c * k / PRODUCTS_PER_CYCLE


# ---------------------------------------------------------------- maps between images and tiles


def _input(x: Tensor, y: Shape, pads: Pads, when: str) -> Tensor:
    """V = B' x B, (6, 6, n, rows of tiles, columns of tiles, g, c)."""
    return _to_tiles(x, "input", _tiles(y), pads, IMAGE, f"winograd_input{when}")


def _filters(w: Tensor, order: Order) -> Tensor:
    """U = G w G', (6, 6, g, 1, 1, c, k) or (6, 6, g, 1, 1, k, c)."""
    return _to_tiles(w, "filter", (1, 1), NONE, order, "winograd_filter")


def _output(dy: Tensor) -> Tensor:
    """D = A dy A', (6, 6, n, rows of tiles, columns of tiles, g, k)."""
    return _to_tiles(dy, "output", _tiles(dy.shape), NONE, IMAGE, "winograd_gradient")


def _tiles(y: Shape) -> tuple[Dim, Dim]:
    """Rows and columns of tiles that cover the result."""
    rows, columns = ((d + (TILE - 1)) // TILE for d in y[3:])
    return rows, columns


def _to_tiles(x: Tensor, name: str, tiles: tuple[Dim, Dim], pads: Pads, order: Order, role: str) -> Tensor:
    matrix = as_tensor(MATRICES[name])
    spec = _map_spec(x.shape, name, tiles, pads, order)
    return apply("contract", (matrix, matrix, x), spec=spec, tiles=name, role=role)


def _to_image(tiles: Tensor, name: str, pads: Pads, order: Order, direct: Tensor) -> Tensor:
    """The transpose of `_to_tiles`: every pixel sums over the tiles that it lies in. Results that a tile's greatest
    values would spoil are those of the contraction `direct`."""
    matrix = as_tensor(MATRICES[name])
    counts = tiles.shape[3], tiles.shape[4]
    spec = gradient_spec(_map_spec(direct.shape, name, counts, pads, order), 2, direct.shape, keep_reduced=True)
    inputs = (matrix, matrix, tiles, *direct.inputs)
    return apply("contained", inputs, spec=spec, direct=direct.attrs.spec, tiles=name, role="winograd_output")


def _map_spec(x: Shape, name: str, tiles: tuple[Dim, Dim], pads: Pads, order: Order) -> Spec:
    """Operands (points, size), (points, size), image (a, b, c, h, w); result (points, points, *), where * are the
    axes a, b, c in the given order, with the rows and columns of tiles after the first."""
    points, size = MATRICES[name].shape
    first, second, third = order
    i, j, a, row, column, b, c, r, s = range(9)
    lead = [0, 0, 0]
    lead[first], lead[second], lead[third] = a, b, c
    step = STEPS[name]
    rows = Access(((row, step), (r, 1)), -pads[0][0])
    columns = Access(((column, step), (s, 1)), -pads[1][0])
    return Spec(
        (points, points, x[first], *tiles, x[second], x[third]),
        (size, size),
        (axis_access(i, r), axis_access(j, s), (*axis_access(*lead), rows, columns)),
    )


def _product(a: Tensor, b: Tensor, of_a: str, of_b: str, result: str) -> Tensor:
    """A sum of products as in einsum, one letter for each axis; a dash is an axis of size 1."""
    size: dict[str, Dim] = {**dict(zip(of_a, a.shape)), **dict(zip(of_b, b.shape)), "-": 1}
    kept = dict.fromkeys(result)
    summed = [letter for letter in dict.fromkeys(of_a + of_b) if letter not in kept and letter != "-"]
    out = tuple(size[letter] for letter in result)
    number = {letter: i for i, letter in enumerate(result) if letter != "-"}
    number |= {letter: len(result) + i for i, letter in enumerate(summed)}

    def accesses(letters: str) -> tuple[Access, ...]:
        return tuple(Access(()) if letter == "-" else Access(((number[letter], 1),)) for letter in letters)

    spec = Spec(out, tuple(size[letter] for letter in summed), (accesses(of_a), accesses(of_b)))
    return apply("contract", (a, b), spec=spec, role="winograd_products")


_x, _y = Any_("x"), Any_("y")
_CONTRACTION = op("contract", _x, _y, bind="node")
_TABLE = Table(
    "fast convolutions",
    [
        Rule("3x3 convolution by Winograd", _CONTRACTION, lambda node, x, y: _forward(node, x, y)),
        Rule("gradient by the input by Winograd", _CONTRACTION, lambda node, x, y: _by_input(node, x, y)),
        Rule("gradient by the filters by Winograd", _CONTRACTION, lambda node, x, y: _by_filters(node, x, y)),
    ],
)
