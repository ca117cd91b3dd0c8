"""One RTT entry of each kind that the specification names."""

from cca_arch.descriptors import rtte
from cca_arch.rmi.v1_0 import RmiRipas

__all__ = ["entries"]


def entries(level: int) -> dict[str, int]:
    """One entry of each kind that the specification names, as it stands at ``level``."""
    pa = 0x8_8000_0000
    found = {f"UNASSIGNED_{value.name}": rtte.unassigned(value) for value in RmiRipas}
    found |= {f"ASSIGNED_{value.name}": rtte.assigned(value, pa, level) for value in RmiRipas}
    found |= {"UNASSIGNED_NS": rtte.UNASSIGNED_NS, "ASSIGNED_NS": rtte.assigned_ns(pa | rtte.HOST_NORMAL, level)}
    return found | ({"TABLE": rtte.table(pa)} if level < 3 else {})
