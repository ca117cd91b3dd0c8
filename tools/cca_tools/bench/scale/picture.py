"""The curves as a picture: a chart for each family, sizes to the right, what each costs upwards, both as powers.

A cost that grows as its work is a level line.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from typing import Final

from cca_tools.bench.scale.curves import Curve

__all__ = ["draw"]

_WIDE, _HIGH, _LEFT, _TOP, _GAP = 380, 190, 66, 34, 70
_COLUMNS: Final = 2
_COLOURS: Final = ("#3578c4", "#c4572f", "#2f8f57", "#7a4fb5")
_STYLE: Final = (
    "text { font: 12px ui-sans-serif, system-ui, sans-serif; fill: #1f2933 } .h { font-weight: 600; font-size: 13px } "
    ".s { font-size: 10px; fill: #52606d } .g { stroke: #d9dee4 } .l { fill: none; stroke-width: 2 } "
    "rect { fill: #ffffff }"
)


def draw(curves: Sequence[Curve]) -> str:
    """An SVG document."""
    families = [list(group) for _, group in groupby(curves, key=lambda curve: curve.family.name)]
    rows = -(-len(families) // _COLUMNS)
    width, height = _COLUMNS * (_LEFT + _WIDE + 16), rows * (_TOP + _HIGH + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="t">',
        '  <title id="t">What each page, REC, Realm, PE and GiB costs: level lines grow as their work</title>',
        f"  <style>{_STYLE}</style>", f'  <rect width="{width}" height="{height}"/>',
    ]  # fmt: skip
    for number, family in enumerate(families):
        row, column = divmod(number, _COLUMNS)
        parts += _chart(family, column * (_LEFT + _WIDE + 16) + _LEFT, row * (_TOP + _HIGH + _GAP) + _TOP)
    return "\n".join([*parts, "</svg>", ""])


def _chart(curves: Sequence[Curve], left: int, top: int) -> Iterable[str]:
    family, sizes = curves[0].family, curves[0].sizes
    shown = [curve for curve in curves if not curve.is_memory]
    values = {curve.step.name: [_shown(curve, at) for at in range(len(sizes))] for curve in shown}
    known = [value for line in values.values() for value in line]
    low, high = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)) + 1e-9)
    high = max(high, low + 1)
    spread = math.log(sizes[-1] / sizes[0]) or 1.0

    def x(size: int) -> float:
        return left + _WIDE * math.log(size / sizes[0]) / spread

    def y(value: float) -> float:
        return top + _HIGH * (1 - (math.log10(value) - low) / (high - low))

    yield f'  <text class="h" x="{left}" y="{top - 12}">{escape(family.name)}</text>'
    for power in range(low, high + 1):
        at = y(10.0**power)
        yield f'  <path class="g" d="M{left},{at:.1f} h{_WIDE}"/>'
        yield f'  <text class="s" x="{left - 6}" y="{at + 3:.1f}" text-anchor="end">{_label(power)}</text>'
    for size in sizes:
        yield f'  <text class="s" x="{x(size):.1f}" y="{top + _HIGH + 14}" text-anchor="middle">{_size(size)}</text>'
    for number, curve in enumerate(shown):
        colour, line = _COLOURS[number % len(_COLOURS)], values[curve.step.name]
        points = " ".join(f"{x(size):.1f},{y(value):.1f}" for size, value in zip(sizes, line, strict=True))
        yield f'  <polyline class="l" stroke="{colour}" points="{points}"/>'
        name = f"{curve.step.name}, each" if curve.step.grows else curve.step.name
        at = left + number * _WIDE // 3
        yield f'  <text x="{at}" y="{top + _HIGH + 34}" style="fill: {colour}">{escape(name)}</text>'


def _shown(curve: Curve, at: int) -> float:
    """What each costs, its share of what is fixed included."""
    cost = curve.costs[at] / curve.sizes[at] if curve.step.grows else curve.costs[at]
    return max(cost, 1e-9)


def _size(size: int) -> str:
    return f"{size >> 10}K" if size >= 1024 else str(size)


def _label(power: int) -> str:
    """A power of ten of seconds."""
    for unit, exponent in (("s", 0), ("ms", -3), ("us", -6), ("ns", -9)):
        if power >= exponent:
            return f"{10 ** (power - exponent)} {unit}"
    return f"1e{power} s"
