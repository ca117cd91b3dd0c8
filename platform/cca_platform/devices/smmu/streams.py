"""From a StreamID to its stream table entry (IHI 0070, chapter 5.2), and from there through stage 2 (3.4)."""

import ctypes
from typing import TYPE_CHECKING, Final, NamedTuple

from cca_arch.descriptors.stage2 import Stage2Descriptor
from cca_arch.sysregs import FSC_LEVEL, OUTPUT_BITS, Fsc, Hcr, Vtcr
from cca_arch.types import Access, Pas
from cca_platform.devices.smmu.granules import GranuleProtection, Reason
from cca_platform.devices.smmu.layout import (
    STREAM_BITS,
    Event,
    EventFlags,
    L1Std,
    Ste,
    SteConfig,
    StrtabBaseCfg,
    address,
)
from cca_platform.errors import BusError, GranuleProtectionFault
from cca_platform.memory.words import address_of, words
from cca_platform.mmu.dram import host_address
from cca_platform.mmu.stage2 import walk_stage2
from cca_platform.mmu.walk import OUTPUT
from cca_platform.native import block as w

if TYPE_CHECKING:
    from cca_platform.memory.memory import Memory

__all__ = ["Leaf", "Refusal", "Stage2", "StreamTable", "illegal"]

_STE: Final = 64
_L1STD: Final = 8
_SPLITS: Final = (6, 8, 10)
_MAX_SPAN: Final = 11
_TWO_LEVEL: Final = 1
_MAX_T0SZ: Final = 39  # without small translation tables
_IN: Final = 0b10  # CLASS: the input address caused the fault
_PS_BITS: Final = (
    *(min(bits, 48) for bits in OUTPUT_BITS),
    48,
)  # reserved sizes count as the largest; 4 KiB tables reach 48 bits
_NEEDS: Final = {Access.READ: 1, Access.WRITE: 2}
_EVENTS: Final[dict[int, Event]] = {
    Fsc.ADDRESS_SIZE: Event.F_ADDR_SIZE,
    Fsc.TRANSLATION: Event.F_TRANSLATION,
    Fsc.ACCESS_FLAG: Event.F_ACCESS,
    Fsc.PERMISSION: Event.F_PERMISSION,
    Fsc.EXTERNAL_WALK: Event.F_WALK_EABT,
    Fsc.GPF_WALK: Event.F_WALK_EABT,
}


class Refusal(Exception):
    """A transaction is terminated with an abort. ``event`` is the event to record, or None.

    ``flags`` and ``address`` are the second and fourth words of its record; ``fetch`` and ``reason`` are what the
    granule protection check refused meanwhile.
    """

    def __init__(
        self, event: Event | None, flags: int = 0, address: int = 0, fetch: int = 0, reason: Reason | None = None
    ) -> None:
        super().__init__("silently" if event is None else event.name)
        self.event = event
        self.flags = flags
        self.address = address
        self.fetch = fetch
        self.reason = reason


class Leaf(NamedTuple):
    """A TLB entry: the output page, the permissions (bits 2:0), the level."""

    page: int
    permitted: int
    level: int


def _start(ste: Ste) -> tuple[int, int]:
    """The starting level of the stage 2 walk of ``ste``, and the bits below the index of that level."""
    level = 2 - ste.s2sl0
    return level, 39 - 9 * level


def illegal(ste: Ste, pa_bits: int) -> bool:
    """SteIllegal() of 5.2.2, for an SMMU with stage 2 only, 4 KiB granules, little-endian, no HTTU, no stalls."""
    if not ste.v:
        return True
    if ste.config < SteConfig.BYPASS:
        return False
    if ste.config in (SteConfig.STAGE1, SteConfig.NESTED):
        return True
    if ste.config == SteConfig.BYPASS:
        return False
    if ste.s2s or not ste.s2aa64 or ste.s2ha or ste.s2hd or ste.s2endi or ste.s2tg != 0:
        return True
    bits = 64 - ste.s2t0sz
    level, shift = _start(ste)
    if not max(16, 64 - pa_bits) <= ste.s2t0sz <= _MAX_T0SZ or level < 0 or not shift < bits <= min(shift + 13, 48):
        return True
    return bool(ste.s2ttb << 4 >> min(_PS_BITS[ste.s2ps], pa_bits))


class StreamTable:
    """The stream table in memory, read through the granule protection check."""

    def __init__(self, granules: GranuleProtection, pa_bits: int) -> None:
        self._granules = granules
        self._pa_bits = pa_bits

    def find(self, base: int, configuration: int, stream: int) -> Ste:
        """Find the valid STE of ``stream`` by STRTAB_BASE and STRTAB_BASE_CFG; raises Refusal if there is none."""
        cfg = StrtabBaseCfg(configuration)
        log2size = min(cfg.log2size, STREAM_BITS)
        if stream >> log2size:
            raise Refusal(Event.C_BAD_STREAMID)
        if cfg.fmt == _TWO_LEVEL:
            split = cfg.split if cfg.split in _SPLITS else _SPLITS[0]
            size = max(64, _L1STD << max(0, log2size - split))
            table = address(base, size, self._pa_bits)
            descriptor = L1Std(int.from_bytes(self._fetch(table + _L1STD * (stream >> split), _L1STD), "little"))
            span = descriptor.span
            index = stream & (1 << split) - 1
            if not 0 < span <= min(_MAX_SPAN, split + 1) or index >> span - 1:
                raise Refusal(Event.C_BAD_STREAMID)
            entries = address(descriptor.l2ptr << 6, _STE << span - 1, self._pa_bits)
        else:
            entries, index = address(base, _STE << log2size, self._pa_bits), stream
        ste = Ste(int.from_bytes(self._fetch(entries + _STE * index, _STE), "little"))
        if illegal(ste, self._pa_bits):
            raise Refusal(Event.C_BAD_STE)
        return ste

    def _fetch(self, pa: int, size: int) -> bytes:
        """Read ``size`` bytes of the table, which never cross a page."""
        try:
            return self._granules.port.read(pa, size)
        except GranuleProtectionFault:
            flags = EventFlags.make(gpcf=1)
            raise Refusal(Event.F_STE_FETCH, flags, pa & ~7, pa, Reason.STE_FETCH) from None
        except BusError:
            raise Refusal(Event.F_STE_FETCH, 0, pa & ~7) from None


class Stage2:
    """Stage 2 of one SMMU: the PEs' walker, on the SMMU's own words."""

    def __init__(self, memory: "Memory", granules: GranuleProtection) -> None:
        self._granules = granules
        self._words = words(w.P_WORDS)
        self._address = address_of(self._words)
        self._pa_bits = memory.board.pa_bits
        self._words[w.P_MACHINE] = granules.machine
        self._words[w.P_SECURITY] = Pas.NON_SECURE
        self._words[w.P_EL] = 1
        self._words[w.P_HCR] = Hcr.vm.mask

    def walk(self, ste: Ste, ipa: int, access: Access) -> Leaf:
        """Translate ``ipa``, which fits the output size, with the tables of ``ste``; raises Refusal with the fault."""
        words, ttb = self._words, ste.s2ttb << 4
        if self._granules.blocked:
            raise Refusal(Event.F_WALK_EABT, EventFlags.make(s2=1, class_=_IN, gpcf=1), ttb & ~7, ttb, Reason.WALK)
        words[w.P_VTCR] = ste.s2t0sz | ste.s2sl0 << Vtcr.sl0.low | ste.s2ps << Vtcr.ps.low
        words[w.P_VTTBR] = ttb
        words[w.P_WALK_IPA] = -1
        found = walk_stage2(self._address, ipa, int(access), 0)
        if found >= 0:
            return Leaf(found & OUTPUT, found & 7, int(words[w.P_WALK_DEPTH]))
        fsc = int(words[w.P_FAULT_FSC])
        event = _EVENTS[fsc & ~FSC_LEVEL]
        if event == Event.F_ACCESS and ste.s2affd:
            return self._without_access_flag(ste, ipa, access, fsc & FSC_LEVEL)
        if event == Event.F_WALK_EABT:
            fetch, refused = int(words[w.P_FAULT_PA]), fsc & ~FSC_LEVEL == Fsc.GPF_WALK
            flags = EventFlags.make(s2=1, class_=_IN, gpcf=refused)
            raise Refusal(event, flags, fetch & ~7, fetch, Reason.WALK if refused else None)
        raise Refusal(event if ste.s2r else None, EventFlags.make(s2=1, class_=_IN), ipa & ~0xFFF)

    def _without_access_flag(self, ste: Ste, ipa: int, access: Access, level: int) -> Leaf:
        """The leaf that the walk has just refused for its access flag alone, taken as STE.S2AFFD wants it."""
        start, shift = _start(ste)
        if level == start:
            table = ste.s2ttb << 4 & ~((8 << 64 - ste.s2t0sz - shift) - 1)
            entry = host_address(self._granules.machine, table + 8 * (ipa >> shift))
        else:
            entry = int(self._words[w.P_WALK_TABLE + level]) + 8 * (ipa >> 39 - 9 * level & 511)
        descriptor = ctypes.c_uint64.from_address(entry).value
        low = (1 << 39 - 9 * level) - 1
        permitted = Stage2Descriptor(descriptor).s2ap
        if not permitted & _NEEDS[access]:
            event = Event.F_PERMISSION if ste.s2r else None
            raise Refusal(event, EventFlags.make(s2=1, class_=_IN), ipa & ~0xFFF)
        return Leaf(descriptor & OUTPUT & ~low | ipa & low & ~0xFFF, permitted, level)
