"""The table of curves: what one more costs in the middle and at the end, and how it grows."""

from collections.abc import Sequence

from cca_tools.bench.scale.curves import Curve

__all__ = ["cells"]


def _time(seconds: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if abs(seconds) * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def _bytes(count: float) -> str:
    return f"{count / 1024:,.1f} KiB" if abs(count) >= 1 << 17 else f"{count:,.0f} bytes"


def cells(curves: Sequence[Curve]) -> list[list[str]]:
    """The rows, the first of which is the head."""
    rows = [["What grows", "Step", "From", "Up to", "The smallest", "One more, half-way", "One more, at the end",
             "Grows as", "Verdict"]]  # fmt: skip
    for curve in curves:
        told, middle, grows = _bytes if curve.is_memory else _time, len(curve.sizes) // 2, curve.step.grows
        rows.append([
            curve.family.name, f"{curve.step.name}: {curve.step.does}", f"{curve.sizes[0]:,}",
            f"{curve.sizes[-1]:,} {curve.family.unit}{'s' if curve.family.unit != 'GiB' else ''}",
            told(curve.costs[0]), told(curve.each(middle)) + ("" if grows else " in all"),
            told(curve.each(-1)) + ("" if grows else " in all"),
            f"n^{curve.exponent:.2f}" if grows else f"n^{curve.exponent:.2f}, of the same work",
            "ok" if curve.good else "FASTER",
        ])  # fmt: skip
    return rows
