"""The benchmark: the paths that have bounds, and guest code beside others that run it. ``realmlab bench`` runs it."""

from cca_tools.bench.guest import LOOPS, GuestLoop, Qemu, Timing, measure_guest
from cca_tools.bench.paths import ROWS
from cca_tools.bench.report import changed, guest_table, measure, table
from cca_tools.bench.rig import Bench
from cca_tools.bench.rows import Measured, Row
from cca_tools.bench.saved import Change, Figure, Report, changes, figures, load, report

__all__ = [
    "LOOPS", "ROWS", "Bench", "Change", "Figure", "GuestLoop", "Measured", "Qemu", "Report", "Row", "Timing",
    "changed", "changes", "figures", "guest_table", "load", "measure", "measure_guest", "report", "table",
]  # fmt: skip
