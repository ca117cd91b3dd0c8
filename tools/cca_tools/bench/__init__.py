"""The benchmark: measures the paths that have bounds, against must and aim. ``realmlab bench`` runs it."""

from cca_tools.bench.paths import ROWS
from cca_tools.bench.report import measure, table
from cca_tools.bench.rig import Bench
from cca_tools.bench.rows import Measured, Row

__all__ = ["ROWS", "Bench", "Measured", "Row", "measure", "table"]
