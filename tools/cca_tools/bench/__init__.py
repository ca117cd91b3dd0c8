"""The benchmark: the paths that have bounds, and guest code beside others that run it. ``realmlab bench`` runs it."""

from cca_tools.bench.guest import LOOPS, GuestLoop, Place, Timing, measure_guest
from cca_tools.bench.markdown import blocks, page
from cca_tools.bench.paths import ROWS
from cca_tools.bench.places import Bare, NsEl2, Qemu, Realm
from cca_tools.bench.report import changed, guest_table, measure, summaries, table
from cca_tools.bench.rig import Bench
from cca_tools.bench.rows import STOCK, Measured, Row, Tier
from cca_tools.bench.saved import Change, Figure, Report, changes, figures, load, report
from cca_tools.bench.took import Took

__all__ = [
    "LOOPS", "ROWS", "STOCK", "Bare", "Bench", "Change", "Figure", "GuestLoop", "Measured", "NsEl2", "Place", "Qemu",
    "Realm", "Report", "Row", "Tier", "Timing", "Took", "blocks", "changed", "changes", "figures", "guest_table",
    "load", "measure", "measure_guest", "page", "report", "summaries", "table",
]  # fmt: skip
