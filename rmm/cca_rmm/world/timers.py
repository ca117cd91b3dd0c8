"""The EL1 timers of a REC: the Host's view of them, and whether their interrupts are asserted."""

import struct
from typing import Final

from cca_arch.rmi.v1_0 import RmiRecExit
from cca_arch.sysregs import CntCtl
from cca_platform.isa import frame
from cca_platform.memory.ports import Port

__all__ = ["ASSERTED", "PHYSICAL", "VIRTUAL", "asserted", "store"]

VIRTUAL, PHYSICAL = 1, 2  # bits of Rec.timers: the interrupt of the timer is asserted
ASSERTED: Final = VIRTUAL | PHYSICAL
_ENABLED: Final = 4  # either is enabled
_CODEC: Final = struct.Struct("<4Q")  # CNTV_CTL, CNTV_CVAL, CNTP_CTL, CNTP_CVAL: the order of the frame
_AT: Final = frame.offset("cntv_ctl_el0")
_EXIT: Final = RmiRecExit.offset("cntp_ctl")
_ENABLE, _IMASK, _ISTATUS = CntCtl.enable.mask, CntCtl.imask.mask, CntCtl.istatus.mask
_FIRES: Final = _ENABLE | _ISTATUS


def raw_ctl(ctl: int, cval: int, now: int) -> int:
    """CNT*_CTL_EL0 with ISTATUS as the hardware reports it."""
    return ctl & (_ENABLE | _IMASK) | (_ISTATUS if ctl & _ENABLE and now >= cval else 0)


def asserted(port: Port, regs: int, now: int) -> int:
    """The timers of the register file at ``regs`` that assert their interrupts: VIRTUAL and PHYSICAL."""
    cntv_ctl, cntv_cval, cntp_ctl, cntp_cval = _CODEC.unpack(port.read(regs + _AT, _CODEC.size))
    return (raw_ctl(cntv_ctl, cntv_cval, now) == _FIRES) | (raw_ctl(cntp_ctl, cntp_cval, now) == _FIRES) << 1


def store(port: Port, regs: int, record: bytearray, now: int) -> int:
    """Write the timers to the exit record; returns Rec.timers."""
    cntv_ctl, cntv_cval, cntp_ctl, cntp_cval = _CODEC.unpack(port.read(regs + _AT, _CODEC.size))
    found = 0
    if (cntv_ctl | cntp_ctl) & _ENABLE:
        cntp_ctl, cntv_ctl = raw_ctl(cntp_ctl, cntp_cval, now), raw_ctl(cntv_ctl, cntv_cval, now)
        found = (cntv_ctl == _FIRES) | (cntp_ctl == _FIRES) << 1 | _ENABLED
    _CODEC.pack_into(record, _EXIT, cntp_ctl, cntp_cval, cntv_ctl, cntv_cval)
    return found
