"""The virtual CPU interface of a REC: what the Host may put into it, gets to see of it, and what the REC keeps of it.

ICH_HCR_EL2 and the list registers come from the Host at each entry and go back to it at each exit. ICH_VMCR_EL2 and the
active priorities are the REC's own (DEN0137 "GIC").
"""

import struct
from collections.abc import Sequence
from typing import Final

from cca_arch.fields import Bits, Field
from cca_arch.rmi.v1_0 import RmiRecEnter, RmiRecExit
from cca_platform.gic.virtual import VMCR_RESET, VirtualInterface
from cca_platform.memory.ports import Port
from cca_rmm.features import NUM_LRS

__all__ = [
    "EMPTY_EXIT",
    "ENTER",
    "ENTER_SIZE",
    "HCR_PERMITTED",
    "HOSTS",
    "NOTHING",
    "USED",
    "VMCR_RESET",
    "IchHcr",
    "IchLr",
    "enter_words",
    "is_reset",
    "load",
    "load_host",
    "lrs_valid",
    "save_host",
    "store",
]


class IchHcr(Bits):
    """ICH_HCR_EL2: the bits that the Host may set."""

    uie = Field(1)
    lrenpie = Field(2)
    npie = Field(3)
    vgrp0eie = Field(4)
    vgrp0die = Field(5)
    vgrp1eie = Field(6)
    vgrp1die = Field(7)
    tdir = Field(14)


class IchLr(Bits):
    """ICH_LR<n>_EL2."""

    vintid = Field(31, 0)
    pintid = Field(44, 32)
    priority = Field(55, 48)
    group = Field(60)
    hw = Field(61)
    state = Field(63, 62)


HCR_PERMITTED: Final = sum(field.mask for field in IchHcr.fields().values())
USED: Final = 1  # bits of Rec.gic
HOSTS: Final = 2
_EN: Final = 1 << 0
_EOICOUNT: Final = 0x1F << 27
ENTER: Final = RmiRecEnter.offset("gicv3_hcr")
_ENTER_CODEC: Final = struct.Struct(f"<{1 + NUM_LRS}Q")  # ICH_HCR_EL2 and the list registers that there are
ENTER_SIZE: Final = _ENTER_CODEC.size
NOTHING: Final = bytes(ENTER_SIZE)
"""These members of RmiRecEnter when the Host has nothing for the REC."""
_EXIT: Final = RmiRecExit.offset("gicv3_hcr")
_EXIT_STATE: Final = RmiRecExit.offset("gicv3_misr")
_STATE_CODEC: Final = struct.Struct("<2Q")  # ICH_MISR_EL2, ICH_VMCR_EL2
EMPTY_EXIT: Final = RmiRecExit.pack(gicv3_vmcr=VMCR_RESET)
"""The exit record of a REC whose interface nobody has touched."""
_KEPT: Final = struct.Struct("<3Q")  # ICH_VMCR_EL2, ICH_AP0R0_EL2, ICH_AP1R0_EL2
_HOST: Final = struct.Struct(f"<{4 + NUM_LRS}Q")  # those, ICH_HCR_EL2, and the list registers
_NO_LRS: Final = [0] * NUM_LRS
_NO_ACTIVE: Final = [0, 0]
_EOI: Final = 1 << 9  # pINTID bit 9: with HW = 0 it asks for a maintenance interrupt at EOI
_PRIORITY_RAZ: Final = 0b111  # 5 priority bits are implemented
_SPECIAL: Final = 1020  # INTIDs 1020..8191 are special or reserved
_LPI: Final = range(8192, 1 << 16)  # 16-bit INTIDs


def lrs_valid(lrs: Sequence[int]) -> bool:
    """Whether no list register asks for more than a virtual interrupt; those in state 0 (invalid) are not looked at."""
    seen: set[int] = set()
    for value in lrs:
        lr = IchLr(value)
        if not lr.state:
            continue
        vintid = lr.vintid
        if lr.hw or lr.pintid & ~_EOI or lr.priority & _PRIORITY_RAZ or vintid in seen:
            return False
        if vintid >= _SPECIAL and vintid not in _LPI:
            return False
        seen.add(vintid)
    return True


def enter_words(content: bytes) -> tuple[int, ...]:
    """ICH_HCR_EL2 and the list registers of RmiRecEnter."""
    return _ENTER_CODEC.unpack_from(content, ENTER)


def is_reset(virtual: VirtualInterface) -> bool:
    """Whether an interface is as after reset: there is nothing to keep of it."""
    return (
        virtual.vmcr == VMCR_RESET
        and not virtual.hcr
        and virtual.lrs == _NO_LRS
        and virtual.active == _NO_ACTIVE
    )  # fmt: skip


def load(virtual: VirtualInterface, words: Sequence[int], port: Port, kept_at: int) -> None:
    """Give the interface to a REC; what it has kept lies at ``kept_at``, 0 when that is the reset state."""
    kept = _KEPT.unpack(port.read(kept_at, _KEPT.size)) if kept_at else (VMCR_RESET, 0, 0)
    virtual.load(words[0] | _EN, words[1:], *kept)


def store(virtual: VirtualInterface, record: bytearray, port: Port, kept_at: int) -> bool:
    """Show the Host the interface in its exit record, and keep what is the REC's: False when that is as after reset."""
    _ENTER_CODEC.pack_into(record, _EXIT, virtual.hcr & (_EOICOUNT | HCR_PERMITTED), *virtual.lrs)
    _STATE_CODEC.pack_into(record, _EXIT_STATE, virtual.misr(), virtual.vmcr)
    if virtual.vmcr == VMCR_RESET and virtual.active == _NO_ACTIVE:
        return False
    port.write(kept_at, _KEPT.pack(virtual.vmcr, *virtual.active))
    return True


def save_host(virtual: VirtualInterface, port: Port, pa: int) -> None:
    """Keep the interface that a Host has set up for a VM of its own."""
    port.write(pa, _HOST.pack(virtual.vmcr, *virtual.active, virtual.hcr, *virtual.lrs))


def load_host(virtual: VirtualInterface, port: Port, pa: int) -> None:
    """Give the Host its interface back."""
    vmcr, ap0r, ap1r, hcr, *lrs = _HOST.unpack(port.read(pa, _HOST.size))
    virtual.load(hcr, lrs, vmcr, ap0r, ap1r)
