"""The virtual CPU interface of a REC: what the Host may set, what it sees, and what the REC keeps.

ICH_HCR_EL2 and the list registers come from the Host at each entry and return to it at each exit. ICH_VMCR_EL2 and the
active priorities are the REC's own (DEN0137 "GIC").
"""

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cca_arch.gic import FIRST_SPECIAL
from cca_arch.rmi.v1_0 import RmiRecEnter, RmiRecExit
from cca_arch.sysregs import IchHcr, IchLr
from cca_platform.gic.virtual import LIST_REGISTERS, VMCR_RESET, VirtualInterface
from cca_platform.memory.ports import Port
from cca_rmm.base.core import Core
from cca_rmm.objects.rec import GIC_OFFSET, Rec

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = [
    "EMPTY_EXIT",
    "HCR_PERMITTED",
    "HOSTS",
    "USED",
    "VMCR_RESET",
    "enter_invalid",
    "lrs_valid",
    "switch_in",
    "switch_out",
]


HCR_PERMITTED: Final = int(
    IchHcr.make(uie=1, lrenpie=1, npie=1, vgrp0eie=1, vgrp0die=1, vgrp1eie=1, vgrp1die=1, tdir=1)
)
"""The bits of ICH_HCR_EL2 that the Host may set."""
USED: Final = 1  # bits of Rec.gic
HOSTS: Final = 2
_EN: Final = IchHcr.en.mask
_EOICOUNT: Final = IchHcr.eoicount.mask
_ENTER: Final = RmiRecEnter.offset("gicv3_hcr")
_ENTER_CODEC: Final = struct.Struct(f"<{1 + LIST_REGISTERS}Q")  # ICH_HCR_EL2 and the implemented list registers
_ENTER_END: Final = _ENTER + _ENTER_CODEC.size
_NOTHING: Final = bytes(_ENTER_CODEC.size)  # these members of RmiRecEnter if the Host has no interrupts for the REC
_EXIT: Final = RmiRecExit.offset("gicv3_hcr")
_EXIT_STATE: Final = RmiRecExit.offset("gicv3_misr")
_STATE_CODEC: Final = struct.Struct("<2Q")  # ICH_MISR_EL2, ICH_VMCR_EL2
EMPTY_EXIT: Final = RmiRecExit.pack(gicv3_vmcr=VMCR_RESET)
"""The exit record of a REC whose interface is unused."""
_KEPT: Final = struct.Struct("<3Q")  # ICH_VMCR_EL2, ICH_AP0R0_EL2, ICH_AP1R0_EL2
_HOST: Final = struct.Struct(f"<{4 + LIST_REGISTERS}Q")  # those, ICH_HCR_EL2, and the list registers
_NO_LRS: Final = [0] * LIST_REGISTERS
_NO_ACTIVE: Final = [0, 0]
_EOI: Final = IchLr.eoi.mask >> IchLr.pintid.low  # in pINTID: a maintenance interrupt at the end of the interrupt
_PRIORITY_RAZ: Final = 0b111  # 5 priority bits are implemented
_LPI: Final = range(8192, 1 << 16)  # 16-bit INTIDs


def lrs_valid(lrs: Sequence[int]) -> bool:
    """True if every list register holds only a virtual interrupt; those in state 0 (invalid) are ignored."""
    seen: set[int] = set()
    for value in lrs:
        lr = IchLr(value)
        if not lr.state:
            continue
        vintid = lr.vintid
        if lr.hw or lr.pintid & ~_EOI or lr.priority & _PRIORITY_RAZ or vintid in seen:
            return False
        if vintid >= FIRST_SPECIAL and vintid not in _LPI:
            return False
        seen.add(vintid)
    return True


def enter_invalid(content: bytes) -> bool:
    """ICH_HCR or a list register of RmiRecEnter has bits that the Host may not set."""
    if content[_ENTER:_ENTER_END] == _NOTHING:
        return False
    hcr, *lrs = enter_words(content)
    return bool(hcr & ~HCR_PERMITTED) or not lrs_valid(lrs)


def switch_in(rmm: Core, pe: "Pe", rec_pa: int, rec: Rec, enter: bytes) -> int:
    """Load the PE's virtual CPU interface, unless it is in the reset state; returns Rec.gic for the run."""
    virtual, state = rmm.machine.gic.cpus[pe.index].virtual, 0
    if not is_reset(virtual):
        save_host(virtual, rmm.port, rmm.host_gic(pe))
        state = HOSTS | USED
    if rec.gic or enter[_ENTER:_ENTER_END] != _NOTHING:
        state |= USED
    if state:
        load(virtual, enter_words(enter), rmm.port, rec_pa + GIC_OFFSET if rec.gic else 0)
    return state


def switch_out(rmm: Core, pe: "Pe", rec_pa: int, rec: Rec, record: bytearray) -> int:
    """Save the virtual CPU interface into ``record`` and the REC, and restore the Host's.

    Returns Rec.gic for the next entry.
    """
    virtual = rmm.machine.gic.cpus[pe.index].virtual
    if not rec.gic and virtual.vmcr == VMCR_RESET:
        return 0
    used = store(virtual, record, rmm.port, rec_pa + GIC_OFFSET)
    if rec.gic & HOSTS:
        load_host(virtual, rmm.port, rmm.host_gic(pe))
    else:
        virtual.load(0, ())
    return USED if used else 0


def enter_words(content: bytes) -> tuple[int, ...]:
    """ICH_HCR_EL2 and the list registers of RmiRecEnter."""
    return _ENTER_CODEC.unpack_from(content, _ENTER)


def is_reset(virtual: VirtualInterface) -> bool:
    """True if an interface is in the reset state, so that nothing need be kept."""
    return (
        virtual.vmcr == VMCR_RESET
        and not virtual.hcr
        and virtual.lrs == _NO_LRS
        and virtual.active == _NO_ACTIVE
    )  # fmt: skip


def load(virtual: VirtualInterface, words: Sequence[int], port: Port, kept_at: int) -> None:
    """Load the interface of a REC; its saved words are at ``kept_at``, or 0 for the reset state."""
    kept = _KEPT.unpack(port.read(kept_at, _KEPT.size)) if kept_at else (VMCR_RESET, 0, 0)
    virtual.load(words[0] | _EN, words[1:], *kept)


def store(virtual: VirtualInterface, record: bytearray, port: Port, kept_at: int) -> bool:
    """Write the interface to the exit record and keep the REC's part; returns False if that is in the reset state."""
    _ENTER_CODEC.pack_into(record, _EXIT, virtual.hcr & (_EOICOUNT | HCR_PERMITTED), *virtual.lrs)
    _STATE_CODEC.pack_into(record, _EXIT_STATE, virtual.misr(), virtual.vmcr)
    if virtual.vmcr == VMCR_RESET and virtual.active == _NO_ACTIVE:
        return False
    port.write(kept_at, _KEPT.pack(virtual.vmcr, *virtual.active))
    return True


def save_host(virtual: VirtualInterface, port: Port, pa: int) -> None:
    """Save the interface that the Host has set up for its own VM."""
    port.write(pa, _HOST.pack(virtual.vmcr, *virtual.active, virtual.hcr, *virtual.lrs))


def load_host(virtual: VirtualInterface, port: Port, pa: int) -> None:
    """Restore the Host's interface."""
    vmcr, ap0r, ap1r, hcr, *lrs = _HOST.unpack(port.read(pa, _HOST.size))
    virtual.load(hcr, lrs, vmcr, ap0r, ap1r)
