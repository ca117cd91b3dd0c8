"""How costs grow with sizes: pages, RECs, Realms, PEs, DRAM. ``realmlab bench --scale`` measures and draws them."""

from cca_tools.bench.scale.curves import Curve, measure
from cca_tools.bench.scale.families import FAMILIES, Family, Meter, Step
from cca_tools.bench.scale.picture import draw
from cca_tools.bench.scale.table import cells

__all__ = ["FAMILIES", "Curve", "Family", "Meter", "Step", "cells", "draw", "measure"]
