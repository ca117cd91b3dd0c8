"""The virtual CPU interface of one PE: list registers and other ICH registers, and a VM's ICV registers.

Virtual priorities have 5 bits and no Secure half. Group 0 is G0; a virtual Group 1 behaves as Non-secure (G1NS).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cca_arch.gic import FIRST_LPI, FIRST_SPECIAL, SPURIOUS, Ppi
from cca_arch.sysregs import IchHcr, IchLr, IchMisr, IchVmcr, LrState
from cca_platform.gic.priorities import (
    CBPR,
    EOIMODE,
    G1NS,
    IDLE,
    LEVELS,
    MIN_BPR,
    PRIORITY_MASK,
    group_mask,
    highest_active,
    level_bit,
)
from cca_platform.native.block import SIGNAL_VFIQ, SIGNAL_VIRQ
from cca_platform.state import State

if TYPE_CHECKING:
    from cca_platform.gic.cpu import CpuInterface

__all__ = ["LIST_REGISTERS", "VMCR_RESET", "VirtualInterface", "VirtualState"]

LIST_REGISTERS: Final = 4
"""The number of ICH_LR<n>_EL2."""

_SPECIAL: Final = range(FIRST_SPECIAL, SPURIOUS + 1)
_AP: Final = (1 << LEVELS) - 1

_LR_VINTID: Final = 0xFFFF  # 16-bit INTIDs
_LR_EOI, _LR_GROUP1, _LR_HW = IchLr.eoi.mask, IchLr.group.mask, IchLr.hw.mask
_LR_STATE, _STATE = IchLr.state.mask, IchLr.state.low
_LR_PENDING, _LR_ACTIVE = LrState.PENDING << _STATE, LrState.ACTIVE << _STATE
_GROUP, _PRIORITY, _PINTID = IchLr.group.low, IchLr.priority.low, IchLr.pintid.low
_LR_MASK: Final = (
    _LR_STATE | _LR_HW | _LR_GROUP1 | PRIORITY_MASK << _PRIORITY | IchLr.pintid.mask | _LR_VINTID
)  # fmt: skip

_EN, _UIE, _LRENPIE, _NPIE = IchHcr.en.mask, IchHcr.uie.mask, IchHcr.lrenpie.mask, IchHcr.npie.mask
_VGRP0E, _VGRP0D = IchHcr.vgrp0eie.mask, IchHcr.vgrp0die.mask  # at the places of the causes in ICH_MISR_EL2
_VGRP1E, _VGRP1D = IchHcr.vgrp1eie.mask, IchHcr.vgrp1die.mask
assert IchMisr.vgrp1d.mask == _VGRP1D
_EOICOUNT: Final = IchHcr.eoicount.low
_HCR_MASK: Final = sum(field.mask for field in IchHcr.fields().values())

_MISR_EOI, _MISR_U, _MISR_LRENP, _MISR_NP = (
    IchMisr.eoi.mask, IchMisr.u.mask, IchMisr.lrenp.mask, IchMisr.np.mask,
)  # fmt: skip

_VENG0, _VENG1, _VFIQEN = IchVmcr.veng0.mask, IchVmcr.veng1.mask, IchVmcr.vfiqen.mask
_VCBPR, _VEOIM = IchVmcr.vcbpr.mask, IchVmcr.veoim.mask
_VBPR0, _VBPR1, _VPMR = IchVmcr.vbpr0.low, IchVmcr.vbpr1.low, IchVmcr.vpmr.low
_VMCR_CONTROL: Final = _VENG0 | _VENG1 | _VCBPR | _VEOIM
VMCR_RESET: Final = _VFIQEN | MIN_BPR << _VBPR0 | MIN_BPR + 1 << _VBPR1
"""ICH_VMCR_EL2 with every group disabled, the lowest binary points and priority mask 0."""


class VirtualState(State, frozen=True, tag="gic.virtual/1"):
    """The ICH registers of one PE."""

    hcr: int
    lrs: tuple[int, ...]
    vmcr: int
    ap0r: int
    ap1r: int


class VirtualInterface:
    """ICH state of one PE. ``signals`` is SIGNAL_VIRQ, SIGNAL_VFIQ or neither."""

    def __init__(self, cpu: "CpuInterface") -> None:
        self._cpu = cpu
        self.reset()

    def reset(self) -> None:
        """Disabled and empty."""
        self.hcr = 0
        self.lrs = [0] * LIST_REGISTERS
        self.vmcr = VMCR_RESET
        self.active = [0, 0]  # ICH_AP0R0_EL2, ICH_AP1R0_EL2
        self.signals = 0

    def load(self, hcr: int, lrs: Sequence[int], vmcr: int = VMCR_RESET, ap0r: int = 0, ap1r: int = 0) -> None:
        """Write ICH_HCR_EL2, ICH_LR<n>_EL2, ICH_VMCR_EL2, ICH_AP0R0_EL2 and ICH_AP1R0_EL2; LRs not given are 0."""
        self.hcr = hcr & _HCR_MASK
        self.lrs = [lr & _LR_MASK for lr in lrs] + [0] * (LIST_REGISTERS - len(lrs))
        self.vmcr = _legal_vmcr(vmcr)
        self.active = [ap0r & _AP, ap1r & _AP]
        self.update()

    # -- ICH registers ------------------------------------------------------------------------------------------------
    def misr(self) -> int:
        """ICH_MISR_EL2."""
        hcr = self.hcr
        states = [lr >> _STATE for lr in self.lrs]
        value = _MISR_EOI if self.eisr() else 0
        if hcr & _UIE and sum(state != 0 for state in states) <= 1:
            value |= _MISR_U
        if hcr & _LRENPIE and hcr >> _EOICOUNT:
            value |= _MISR_LRENP
        if hcr & _NPIE and LrState.PENDING not in states:
            value |= _MISR_NP
        enabled = (_VGRP0E if self.vmcr & _VENG0 else _VGRP0D) | (_VGRP1E if self.vmcr & _VENG1 else _VGRP1D)
        return value | hcr & enabled

    def eisr(self) -> int:
        """ICH_EISR_EL2: the list registers whose interrupt has ended and requested a maintenance interrupt."""
        return sum(1 << n for n, lr in enumerate(self.lrs) if lr & (_LR_STATE | _LR_HW | _LR_EOI) == _LR_EOI)

    def elrsr(self) -> int:
        """ICH_ELRSR_EL2: the list registers that are free."""
        return sum(1 << n for n, lr in enumerate(self.lrs) if not lr & _LR_STATE and (lr & _LR_HW or not lr & _LR_EOI))

    def write_hcr(self, value: int) -> None:
        """Write ICH_HCR_EL2."""
        self.hcr = value & _HCR_MASK
        self.update()

    def write_vmcr(self, value: int) -> None:
        """Write ICH_VMCR_EL2; a binary point below the minimum becomes the minimum."""
        self.vmcr = _legal_vmcr(value)
        self.update()

    def write_lr(self, index: int, value: int) -> None:
        """Write ICH_LR<n>_EL2."""
        self.lrs[index] = value & _LR_MASK
        self.update()

    def write_active(self, group: int, value: int) -> None:
        """Write ICH_AP0R0_EL2 (``group`` 0) or ICH_AP1R0_EL2."""
        self.active[group] = value & _AP
        self.update()

    # -- what the VM is shown -----------------------------------------------------------------------------------------
    def update(self) -> None:
        """Update VIRQ, VFIQ and the maintenance interrupt after a change."""
        cpu = self._cpu
        self.signals = 0
        index = self._highest()
        if index >= 0 and self._can_preempt(self.lrs[index]):
            self.signals = SIGNAL_VIRQ if self.lrs[index] & _LR_GROUP1 else SIGNAL_VFIQ
        cpu.changed()
        cpu.gic.set_ppi(cpu.index, Ppi.MAINTENANCE, bool(self.hcr & _EN and self.misr()))

    def _highest(self) -> int:
        """The list register of the highest priority pending virtual interrupt, the lowest of equals, or -1."""
        if not self.hcr & _EN:
            return -1
        best, index = IDLE + 1, -1
        for n, lr in enumerate(self.lrs):
            if lr & _LR_STATE == _LR_PENDING and self.vmcr & (_VENG1 if lr & _LR_GROUP1 else _VENG0):
                priority = lr >> _PRIORITY & 0xFF
                if priority < best:
                    best, index = priority, n
        return index

    def _group_priority(self, lr: int) -> int:
        """The part of an interrupt's priority that decides preemption."""
        group1 = lr & _LR_GROUP1 and not self.vmcr & _VCBPR
        return lr >> _PRIORITY & group_mask((self.vmcr >> _VBPR1 & 7) - 1 if group1 else self.vmcr >> _VBPR0 & 7)

    def _can_preempt(self, lr: int) -> bool:
        return lr >> _PRIORITY & 0xFF < self.vmcr >> _VPMR and self._group_priority(lr) < self.running_priority()

    def running_priority(self) -> int:
        """ICV_RPR_EL1."""
        return highest_active(self.active[0] | self.active[1])

    # -- ICV registers ------------------------------------------------------------------------------------------------
    def pending_for(self, group: int) -> int:
        """ICV_HPPIR<group>_EL1."""
        index = self._highest()
        if index < 0 or self.lrs[index] >> _GROUP & 1 != group:
            return SPURIOUS
        return self.lrs[index] & _LR_VINTID

    def acknowledge(self, group: int) -> int:
        """ICV_IAR<group>_EL1: a pending virtual interrupt becomes active, an LPI inactive."""
        intid, index = self.pending_for(group), self._highest()
        if intid in _SPECIAL or not self._can_preempt(self.lrs[index]):
            return SPURIOUS
        lr = self.lrs[index]
        self.active[group] |= level_bit(self._group_priority(lr))
        self.lrs[index] = lr & ~_LR_STATE | (_LR_ACTIVE if intid < FIRST_LPI else 0)
        self.update()
        return intid

    def end(self, intid: int, group: int) -> None:
        """ICV_EOIR<group>_EL1; ignored unless the running priority is of this group (CONSTRAINED UNPREDICTABLE)."""
        running = self.running_priority()
        if intid in _SPECIAL or running == IDLE:
            return
        bit = level_bit(running)
        if not self.active[group] & bit:
            return
        self.active[group] &= ~bit
        if not self.vmcr & _VEOIM or intid >= FIRST_LPI:
            index = self._active_lr(intid)
            if index < 0:
                self._count_eoi(intid)
            elif self.lrs[index] >> _GROUP & 1 == group and self._group_priority(self.lrs[index]) == running:
                self._deactivate(index)
        self.update()

    def deactivate(self, intid: int) -> None:
        """ICV_DIR_EL1, which is ignored without EOImode."""
        if self.vmcr & _VEOIM and intid not in _SPECIAL:
            index = self._active_lr(intid)
            if index < 0:
                self._count_eoi(intid)
            else:
                self._deactivate(index)
            self.update()

    def _active_lr(self, intid: int) -> int:
        """The list register in which this interrupt is active, or -1."""
        for n, lr in enumerate(self.lrs):
            if lr & _LR_ACTIVE and lr & _LR_VINTID == intid:
                return n
        return -1

    def _count_eoi(self, intid: int) -> None:
        """End an interrupt that is in no list register; an LPI has nothing to deactivate."""
        if intid < FIRST_LPI:
            self.hcr = (self.hcr + (1 << _EOICOUNT)) & _HCR_MASK

    def _deactivate(self, index: int) -> None:
        """End an active interrupt, and the physical one behind it (HW)."""
        lr = self.lrs[index]
        self.lrs[index] = lr & ~_LR_ACTIVE
        if lr & _LR_HW:
            self._cpu.gic.deactivate(self._cpu, lr >> _PINTID & 0x1FFF, 1 << G1NS)

    def read_bpr(self, group: int) -> int:
        """ICV_BPR<group>_EL1; with ICV_CTLR_EL1.CBPR, that of Group 1 is one more than that of Group 0."""
        if not group:
            return self.vmcr >> _VBPR0 & 7
        return min((self.vmcr >> _VBPR0 & 7) + 1, 7) if self.vmcr & _VCBPR else self.vmcr >> _VBPR1 & 7

    def write_bpr(self, group: int, value: int) -> None:
        """Write ICV_BPR<group>_EL1; ignored for Group 1 with ICV_CTLR_EL1.CBPR."""
        if not (group and self.vmcr & _VCBPR):
            shift = _VBPR1 if group else _VBPR0
            self.write_vmcr(self.vmcr & ~(7 << shift) | (value & 7) << shift)

    def read_pmr(self) -> int:
        """ICV_PMR_EL1."""
        return self.vmcr >> _VPMR

    def write_pmr(self, value: int) -> None:
        """Write ICV_PMR_EL1."""
        self.write_vmcr(self.vmcr & ~IchVmcr.vpmr.mask | (value & 0xFF) << _VPMR)

    def read_control(self) -> int:
        """The bits of ICV_CTLR_EL1 that can be written: CBPR and EOImode."""
        return (CBPR if self.vmcr & _VCBPR else 0) | (EOIMODE if self.vmcr & _VEOIM else 0)

    def write_control(self, value: int) -> None:
        """Write ICV_CTLR_EL1."""
        chosen = (_VCBPR if value & CBPR else 0) | (_VEOIM if value & EOIMODE else 0)
        self.write_vmcr(self.vmcr & ~(_VCBPR | _VEOIM) | chosen)

    def read_enable(self, group: int) -> int:
        """ICV_IGRPEN<group>_EL1."""
        return self.vmcr >> group & 1

    def write_enable(self, group: int, value: int) -> None:
        """Write ICV_IGRPEN<group>_EL1."""
        self.write_vmcr(self.vmcr & ~(1 << group) | (value & 1) << group)

    # -- snapshots ----------------------------------------------------------------------------------------------------
    def save(self) -> VirtualState:
        """State for a snapshot."""
        return VirtualState(self.hcr, tuple(self.lrs), self.vmcr, *self.active)

    def restore(self, state: VirtualState) -> None:
        """Restore what ``save`` returned."""
        self.load(state.hcr, state.lrs, state.vmcr, state.ap0r, state.ap1r)


def _legal_vmcr(value: int) -> int:
    point0, point1 = max(value >> _VBPR0 & 7, MIN_BPR), max(value >> _VBPR1 & 7, MIN_BPR + 1)
    return value & (_VMCR_CONTROL | PRIORITY_MASK << _VPMR) | _VFIQEN | point0 << _VBPR0 | point1 << _VBPR1
