"""Granule protection of an SMMU (IHI 0070, 3.25): the check of every access, and the Root Control Page (6.2.6)."""

from collections.abc import Callable
from enum import IntEnum
from typing import Final

from cca_arch.descriptors.gpt import L0GPTSZ_BITS, PPS_BITS, Gpccr
from cca_arch.smmu import RootCr0, RootOffset
from cca_arch.types import JEP106_ARM, Access, Pas
from cca_platform.board import DeviceRow
from cca_platform.devices.base import Device
from cca_platform.devices.keys import SmmuRootKeys, another, options
from cca_platform.devices.wiring import Wiring
from cca_platform.errors import GranuleProtectionFault
from cca_platform.memory.memory import Memory
from cca_platform.memory.words import address_of, words
from cca_platform.mmu.gpc import GPC_ADDRESS_SIZE, GPC_EXTERNAL_ABORT, GPC_GPF, GPC_WALK_FAULT, granule_protection_check
from cca_platform.native import block as w
from cca_platform.state import State

__all__ = ["GranuleProtection", "Reason", "SmmuRoot", "SmmuRootState"]

_CONFIGURATION: Final = 0x500  # besides the GPC_* codes: SMMU_ROOT_GPT_BASE_CFG has an invalid value
_CFG_ERR: Final = {_CONFIGURATION: 0, GPC_EXTERNAL_ABORT: 2, GPC_WALK_FAULT: 3, GPC_ADDRESS_SIZE: 4}
_BASE_BEYOND_PPS: Final = 1
_ACCESSEN, _GPCEN = RootCr0.accessen.mask, RootCr0.gpcen.mask
_FAULT: Final = 1
_IDR0: Final = 1 << 0 | 1 << 1  # ROOT_IMPL, and BGPTM: the TLBI by PA of a PE reaches the SMMU
_BASE_MASK: Final = 0x000F_FFFF_FFFF_F000
_CFG_MASK: Final = 0x2_FF07  # GPCP, PGS, SH, ORGN, IRGN, PPS; L0GPTSZ is read-only zero: 1 GiB an entry


class Reason(IntEnum):
    """REASON of the fault address registers, with the matching FAULTCODE in bits 11:4."""

    STE_FETCH = 0x03 << 4 | 0b001 << 1
    WALK = 0x0B << 4 | 0b001 << 1
    CMDQ = 0x00 << 4 | 0b010 << 1
    EVENTQ = 0x02 << 4 | 0b010 << 1
    TRANSACTION = 0b011 << 1


class GranuleProtection:
    """The granule protection check of one SMMU, by its own SMMU_ROOT_GPT_BASE and SMMU_ROOT_GPT_BASE_CFG.

    ``machine`` is the address of words in the layout of the machine block, with the SMMU's tables, for the walker.
    ``blocked`` refuses every access before any table is read: accesses are disabled, or the configuration is invalid.
    ``on_fault()`` is called when a fault becomes active in one of the fault address registers.
    """

    def __init__(self, memory: Memory) -> None:
        self._pa_bits = memory.board.pa_bits
        self._words = words(w.M_WORDS, memory.block)
        for word in range(w.M_DIRTY, w.M_CODE_WRITTEN):
            self._words[word] = 0  # only checks and walks use these words: they write nothing
        self.machine = address_of(self._words)
        self.port = memory.client(self.check)
        self.on_fault: Callable[[], None] = lambda: None
        self.cr0 = self.base = self.cfg = self.gpf_far = self.gpt_cfg_far = self.blocked = 0
        self.configure(0, 0, 0)

    def configure(self, cr0: int, base: int, cfg: int) -> None:
        """Apply SMMU_ROOT_CR0, SMMU_ROOT_GPT_BASE and SMMU_ROOT_GPT_BASE_CFG."""
        self.cr0, self.base, self.cfg = cr0, base, cfg
        control = Gpccr(cfg)
        valid = self._valid(control)
        self.blocked = GPC_GPF if not cr0 & _ACCESSEN else _CONFIGURATION if cr0 & _GPCEN and not valid else 0
        words = self._words
        words[w.M_GPTBR] = base >> 12
        words[w.M_GPCCR] = control.replace(gpc=bool(cr0 & _GPCEN))
        words[w.M_PPS_BITS] = PPS_BITS[control.pps] if valid else 0
        words[w.M_L0GPTSZ_BITS] = L0GPTSZ_BITS[0]
        self.port.tlb.clear()

    def _valid(self, control: Gpccr) -> bool:
        """True if no field has a reserved value: sizes, and cacheability with shareability."""
        if control.pps >= len(PPS_BITS) or PPS_BITS[control.pps] > self._pa_bits:
            return False
        cacheable = control.irgn or control.orgn
        return control.pgs == 0 and control.sh != 1 and bool(cacheable or control.sh == 2)

    def code(self, pa: int, pas: int) -> int:
        """Check an access: returns 0, or ``GPC_*`` plus the level."""
        return self.blocked or granule_protection_check(self.machine, pa, int(pas))

    def check(self, pa: int, pas: Pas, access: Access) -> None:
        """Check one access; raises GranuleProtectionFault."""
        code = self.code(pa, pas)
        if code:
            raise GranuleProtectionFault(pa, pas, code & 0xFF, access)

    def report(self, pa: int, reason: Reason) -> None:
        """Record a refused Non-secure access to ``pa``, unless an earlier fault is still active."""
        code = self.code(pa, Pas.NON_SECURE)
        far = Pas.NON_SECURE << 62 | pa & 0x00FF_FFFF_FFFF_F000 | reason | _FAULT
        if code & ~0xFF == GPC_GPF:
            if self.gpf_far:
                return
            self.gpf_far = far
        else:
            if self.gpt_cfg_far:
                return
            error = _CFG_ERR[code & ~0xFF]
            if error == _CFG_ERR[GPC_ADDRESS_SIZE] and self.base >> int(self._words[w.M_PPS_BITS]):
                error = _BASE_BEYOND_PPS
            self.gpt_cfg_far = far | error << 56
        self.on_fault()


class SmmuRootState(State, frozen=True, tag="smmu-root/1"):
    """The registers of the SMMU Root Control Page."""

    cr0: int
    base: int
    cfg: int
    gpf_far: int
    gpt_cfg_far: int


class SmmuRoot(Device):
    """The SMMU Root Control Page of the SMMU that ``smmu`` of the board row names. Its interrupt signals faults.

    The board places it in the Root PAS only.
    """

    keys = SmmuRootKeys

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        smmu = options(row, SmmuRootKeys).smmu
        self._granules: GranuleProtection = another(row, wiring, "smmu", smmu, "smmuv3").granules
        self._granules.on_fault = self._fault

    def _fault(self) -> None:
        self.wiring.changed()
        self.wiring.line(True)
        self.wiring.line(False)

    def read(self, offset: int, size: int) -> int:
        """Read an aligned register of 32 or 64 bits; every other access reads as zero."""
        if size not in (4, 8) or offset % size:
            return 0
        own = self._granules
        values: dict[int, int] = {
            RootOffset.IDR0: _IDR0,
            RootOffset.IIDR: JEP106_ARM,
            RootOffset.CR0: own.cr0 | own.cr0 << 32,
            RootOffset.GPT_BASE: own.base,
            RootOffset.GPT_BASE_CFG: own.cfg,
            RootOffset.GPF_FAR: own.gpf_far,
            RootOffset.GPT_CFG_FAR: own.gpt_cfg_far,
        }
        return values.get(offset & ~7, 0) >> 8 * (offset & 7) & (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        """Write an aligned register of 32 or 64 bits; every other access is ignored."""
        if size not in (4, 8) or offset % size:
            return
        own = self._granules
        shift = 8 * (offset & 7)
        changed = ((1 << 8 * size) - 1) << shift
        target, value = offset & ~7, value << shift
        if target == RootOffset.CR0 and not shift:
            own.configure(value & (_ACCESSEN | _GPCEN), own.base, own.cfg)
        elif target == RootOffset.GPT_BASE and not own.cr0 & _GPCEN:
            own.configure(own.cr0, (own.base & ~changed | value) & _BASE_MASK, own.cfg)
        elif target == RootOffset.GPT_BASE_CFG and not own.cr0 & _GPCEN:
            own.configure(own.cr0, own.base, (own.cfg & ~changed | value) & _CFG_MASK)
        elif target == RootOffset.GPF_FAR and not (shift or value & _FAULT):
            own.gpf_far = 0
        elif target == RootOffset.GPT_CFG_FAR and not (shift or value & _FAULT):
            own.gpt_cfg_far = 0

    def save(self) -> SmmuRootState:
        """State for a snapshot."""
        own = self._granules
        return SmmuRootState(own.cr0, own.base, own.cfg, own.gpf_far, own.gpt_cfg_far)

    def restore(self, state: SmmuRootState) -> None:
        """Restore what ``save`` returned."""
        own = self._granules
        own.gpf_far, own.gpt_cfg_far = state.gpf_far, state.gpt_cfg_far
        own.configure(state.cr0, state.base, state.cfg)

    def reset(self) -> None:
        """Disable accesses and checks."""
        self.restore(SmmuRootState(0, 0, 0, 0, 0))
