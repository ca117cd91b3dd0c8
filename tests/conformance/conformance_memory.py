"""What a call has changed: the pages written since the last snapshot whose contents are different now."""

import numpy as np

from cca_arch.types import Pas
from cca_platform.machine.machine import Machine

__all__ = ["changed_pages"]

_PAGE = 0x1000


def changed_pages(machine: Machine) -> dict[int, bytes]:
    """PA -> old contents of every page that the open snapshot finds changed; EL3's own memory does not count."""
    memory = machine.memory
    assert memory.shadow is not None
    root = [(region.base, region.top) for region in machine.board.regions if region.pas == Pas.ROOT]
    result = {}
    for index in np.flatnonzero(memory.dirty).tolist():
        pa = memory.page_address(index)
        old = memory.shadow[index * _PAGE : (index + 1) * _PAGE]
        if not any(base <= pa < top for base, top in root) and memory.backdoor.read(pa, _PAGE) != old:
            result[pa] = old
    return result
