"""What a kernel's source calls by name, register tiles and maps of small tiles, as Python that says the same.

`python_of("outer_tile_8x2_3_f32")` is a function in the language of printed kernels. It is made of the name, as the
intrinsic is, and is what `interpret.py` runs: a test compares the two. An intrinsic keeps in registers what stands here
in `acc`, takes a loop over lanes as one instruction, and may round a product and a sum once. Leans on
`llvm/tile_code.py` and `llvm/winograd_tiles.py` for what a name means.
"""

from __future__ import annotations

import re

import numpy as np

from .llvm import copies, matrix_tiles, tile_code, transposed, winograd_tiles
from .llvm.matrix_tiles import MatrixCode
from .llvm.tile_code import TileCode
from .llvm.winograd_doubt import ARGUMENTS as DOUBT_ARGUMENTS
from .llvm.winograd_doubt import FLOOR, LARGE, RANGE
from .llvm.winograd_tiles import Map
from .machine import SIDE, lanes
from .winograd_matrices import MATRICES, STEPS

CALLED = re.compile(r"\b(?:(?:outer|dot)_tile|transform|matrix|transposed|copied)_\w+")


def called(source: str) -> list[str]:
    """The names of the tiles and maps that a kernel's source calls, in order."""
    return list(dict.fromkeys(CALLED.findall(source)))


def python_of(name: str) -> str:
    """The source of one tile or map. Raises ValueError for a name of neither."""
    if winograd_tiles.DOUBT.fullmatch(name):
        return _doubt(name, name.removeprefix("transform_doubt_"))
    if name.startswith("transform_"):
        return _map(winograd_tiles.shape(name))
    if name.startswith("transposed_"):
        return _transposed(name, *transposed.shape(name))
    if name.startswith("copied_"):
        return _copied(name, copies.width(name))
    if name.startswith("matrix_"):
        return _matrix(matrix_tiles.shape(name))
    tile = tile_code.shape(name)
    return _outer(tile) if tile.kind == "outer" else _dot(tile)


def _defined(name: str, arguments: tuple[str, ...], about: str, body: list[str]) -> str:
    return "\n".join([f"def {name}({', '.join(arguments)}):", f'    """{about}"""', *("    " + x for x in body), ""])


def _cleared(tile: TileCode, size: int) -> list[str]:
    return [] if tile.add else [f"for z in range({size}):", f"    acc[z] = {tile.dtype}(0)"]


def _nested(tile: TileCode, body: list[str]) -> list[str]:
    """The body inside the tile's loops."""
    lines = [f"{'    ' * loop}for k{loop} in range(n_{loop}):" for loop in range(tile.loops)]
    return lines + ["    " * tile.loops + line for line in body]


def _place(tile: TileCode, first: str, which: str) -> str:
    """Where a sum's term lies: `first`, moved by every loop."""
    return " + ".join([first, *(f"k{loop} * {which}_step_{loop}" for loop in range(tile.loops))])


def _outer(tile: TileCode) -> str:
    width = tile.columns * lanes(tile.dtype)
    about = f"{tile.rows} rows of a by {tile.columns} vectors of {lanes(tile.dtype)} columns of b, summed by the loops."
    body = [
        f"a_place = {_place(tile, 'a0', 'a')}",
        f"b_place = {_place(tile, 'b0', 'b')}",
        f"for y in range({tile.rows}):",
        "    row = a[a_place + min(y, row_count - 1) * a_row]",
        f"    for z in range({width if tile.full else 'lane_count'}):",
        f"        acc[y * {width} + z] = acc[y * {width} + z] + row * b[b_place + z]",
    ]
    return _defined(tile.name, tile.arguments, about, _cleared(tile, tile.rows * width) + _nested(tile, body))


def _dot(tile: TileCode) -> str:
    about = f"{tile.rows} rows of a by {tile.columns} columns of b, both along the innermost sum, of `length` terms."
    at = f"acc[y * {tile.columns} + z]"
    body = [
        f"for y in range({tile.rows}):",
        f"    a_place = {_place(tile, 'a0 + min(y, row_count - 1) * a_row', 'a')}",
        f"    for z in range({tile.columns}):",
        f"        b_place = {_place(tile, 'b0 + min(z, col_count - 1) * b_col', 'b')}",
        "        for i in range(length):",
        f"            {at} = {at} + a[a_place + i] * b[b_place + i]",
    ]
    return _defined(tile.name, tile.arguments, about, _cleared(tile, tile.rows * tile.columns) + _nested(tile, body))


def _transposed(name: str, side: int, dtype: str) -> str:
    body = [
        f"for y in range({side}):",
        "    for z in range(y):",
        f"        upper = x[first + z * {side} + y]",
        f"        x[first + z * {side} + y] = x[first + y * {side} + z]",
        f"        x[first + y * {side} + z] = upper",
    ]
    return _defined(name, transposed.ARGUMENTS, f"A square of {side} rows of {dtype} becomes its columns.", body)


def _copied(name: str, width: int) -> str:
    body = [
        f"for z in range({width}):",
        "    to[t0 + z] = 0",
        f"for z in range(max(low, 0), min(high, {width})):",
        "    to[t0 + z] = x[x0 + z]",
    ]
    return _defined(name, copies.ARGUMENTS, f"{width} elements of `to`: x's from `low` up to `high`, else 0.", body)


def _matrix(code: MatrixCode) -> str:
    """Pairs of words are multiplied and added one after the other; the unit may round between them otherwise."""
    width = SIDE * code.columns
    if code.kind == "tile":
        about = f"{code.rows} rows of a by {width} columns of b, whose rows lie in pairs, summed over the steps."
        body = [] if code.add else [f"for z in range({code.rows * width}):", "    acc[z] = float32(0)"]
        body += [
            "for k in range(steps):",
            f"    pair = b0 + k // 2 * {2 * width} + k % 2",
            f"    for y in range({code.rows}):",
            "        row = a[a0 + y * a_row + k]",
            f"        for z in range({width}):",
            f"            acc[y * {width} + z] = acc[y * {width} + z] + row * b[pair + 2 * z]",
        ]
    elif code.kind == "pairs":
        about = f"Rows of {width} words, one after the other, become pairs of rows, word by word."
        body = [
            f"both = bfloat16_scratch({2 * width})",
            "for k in range(0, steps, 2):",
            f"    for z in range({width}):",
            f"        both[2 * z] = b[b0 + k * {width} + z]",
            f"        both[2 * z + 1] = b[b0 + (k + 1) * {width} + z]",
            f"    for z in range({2 * width}):",
            f"        b[b0 + k * {width} + z] = both[z]",
        ]
    elif code.kind == "turned":
        about = f"Pairs of rows of x, of {code.rows} words, become rows of a along the steps."
        body = [
            "for k in range(steps):",
            f"    for y in range({code.rows}):",
            f"        a[a0 + y * a_row + k] = x[x0 + k // 2 * {2 * code.rows} + 2 * y + k % 2]",
        ]
    else:
        about, body = f"The tile registers: {code.kind}.", ["pass"]
    return _defined(code.name, code.arguments, about, body)


def _map(each: Map) -> str:
    """Columns of the tile first, then rows, as the intrinsic does it; a lane after the other."""
    left, right = each.side(each.left), each.side(each.right)
    (down, rows), (along, columns) = left.shape, right.shape
    width, dtype = lanes(each.dtype), each.dtype
    inside = "first_row <= p < end_row and first_column <= q < end_column and lane < lane_count"
    load = "pixels[p] = x[x0 + p * row_step + q * column_step + lane]"
    fill = [load] if each.whole else [f"pixels[p] = {dtype}(0)", f"if {inside}:", f"    {load}"]
    body = [f"pixels = {dtype}_scratch({rows})", f"half = {dtype}_scratch({down * columns})"]
    body += [f"for lane in range({width}):", f"    for q in range({columns}):", f"        for p in range({rows}):"]
    body += ["            " + line for line in fill]
    if each.left != "all":
        greatest = f"acc[{each.pitch**2 * width} + lane]"
        loop = body.index(f"    for q in range({columns}):")
        body.insert(loop, f"    top = {greatest if each.add else f'{dtype}(0)'}")
        body.append("            top = maximum(top, abs(pixels[p]))")
    body += [f"        half[{i * columns} + q] = {_combined(row, 'pixels[{}]')}" for i, row in enumerate(left)]
    body += [f"    for i in range({down}):"]
    for j, row in enumerate(right):
        at = f"acc[(i * {each.pitch} + {j}) * {width} + lane]"
        total = _combined(row, f"half[i * {columns} + {{}}]")
        body.append(f"        {at} = {f'{at} + ({total})' if each.add else total}")
    if each.left != "all":
        body.append(f"    {greatest} = top")
    about = f"The map of a tile of {rows} by {columns} to one of {down} by {along}, for each of {width} lanes."
    return _defined(each.name, each.arguments, about, body)


def _doubt(name: str, matrix: str) -> str:
    """A lane after the other, up to one that is large everywhere."""
    pitch, width = min(STEPS[matrix], MATRICES[matrix].shape[1]), lanes("float32")
    body = [
        "top = float32(0)",
        "for lane in range(lane_count):",
        f"    top = maximum(top, acc[{pitch * pitch * width} + lane])",
        f"if not top < float32({2.0**LARGE!r}):",
        "    return 2",
        "for lane in range(lane_count):",
        "    low = float32(INFINITY)",
        "    for y in range(first_row, end_row):",
        "        for x in range(first_column, end_column):",
        f"            low = minimum(low, abs(acc[(y * {pitch} + x) * {width} + lane]))",
        f"    if low >= top * float32({2.0 ** -RANGE[matrix]!r}):",
        "        return 0",
        f"return 1 if top >= float32({2.0 ** FLOOR[matrix]!r}) else 0",
    ]
    return _defined(
        name, DOUBT_ARGUMENTS, "May all these results stand? 0: yes; 1: one is small; 2: all are lost.", body
    )


def _combined(row: np.ndarray, element: str) -> str:
    """A sum of products with numbers, those of 0 left out."""
    terms = [(float(c), element.format(i)) for i, c in enumerate(row) if c != 0]
    return " + ".join(text if c == 1 else f"{row.dtype}({c!r}) * {text}" for c, text in terms)
