"""The SMMUv3 (IHI 0070): its Non-secure programming interface, its caches, and the path of a transaction."""

from collections.abc import Callable
from typing import Final

from cca_arch.types import Access
from cca_platform.board import DeviceRow
from cca_platform.devices.base import Device
from cca_platform.devices.keys import SmmuKeys, options
from cca_platform.devices.smmu.granules import GranuleProtection, Reason
from cca_platform.devices.smmu.layout import (
    EVENTQ_ENTRY,
    IDENTIFICATION,
    WRITABLE,
    CommandError,
    Cr0,
    Event,
    EventFlags,
    Gerror,
    Offset,
    Opcode,
    Ste,
    SteConfig,
    output_size,
)
from cca_platform.devices.smmu.queues import Queue
from cca_platform.devices.smmu.streams import Leaf, Refusal, Stage2, StreamTable
from cca_platform.devices.wiring import Wiring
from cca_platform.errors import BusError, GranuleProtectionFault
from cca_platform.state import State
from cca_platform.trace.events import SmmuAbort

__all__ = ["DmaAborted", "Smmu", "SmmuState"]

_COMMAND: Final = 16
_PAGE_1: Final = 0x1_0000
_U64: Final = (1 << 64) - 1
_GBPA_ABORT, _GBPA_UPDATE = 1 << 20, 1 << 31
_RECINVSID: Final = 1 << 1
_GERROR_IRQEN, _EVENTQ_IRQEN = 1 << 0, 1 << 2
_OVERFLOW: Final = 1 << 31
_SSEC: Final = 1 << 10
_ALL_STREAMS: Final = 31
_TLB_ENTRIES: Final = 1024
_CACHED_STES: Final = 256
_STE: Final = 64  # bytes
_IN: Final = 0b10
_4K: Final = 0b01
_NEEDS: Final = {Access.READ: 1, Access.WRITE: 2}


class DmaAborted(Exception):
    """A device's transaction was terminated with an abort. ``iova`` is its address from the device."""

    def __init__(self, stream: int, iova: int, access: Access) -> None:
        super().__init__(f"DMA of stream {stream:#x} aborted: {access.name} of {iova:#x}")
        self.stream = stream
        self.iova = iova
        self.access = access


class SmmuState(State, frozen=True, tag="smmu/1"):
    """The registers of the Non-secure programming interface by offset, and what is cached.

    ``streams`` are StreamIDs with their STE, ``tlb`` VMID, page number of the IPA, page that it leads to, permissions
    and level: software that forgets an invalidation finds what it would have found. Both are in the order of eviction.
    """

    registers: dict[int, int]
    streams: tuple[tuple[int, bytes], ...] = ()
    tlb: tuple[tuple[int, int, int, int, int], ...] = ()


class Smmu(Device):
    """The SMMU of a board: registers for its driver, ``translate`` for devices.

    The options ``gerror_irq`` and ``cmd_sync_irq`` of its row are INTIDs beside ``irq``, that of the event queue; all
    of them are edges. What it has read of stream and translation tables it keeps until a command invalidates it.
    """

    keys = SmmuKeys

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        self._trace = wiring.trace
        self._pa_bits = wiring.memory.board.pa_bits
        keys = options(row, SmmuKeys)
        self._irqs = {"eventq": row.irq, "gerror": keys.gerror_irq, "cmd_sync": keys.cmd_sync_irq}
        self.granules = GranuleProtection(wiring.memory)
        self._table = StreamTable(self.granules, self._pa_bits)
        self._stage2 = Stage2(wiring.memory, self.granules)
        self._constant = {**IDENTIFICATION, Offset.IDR5: output_size(self._pa_bits)}
        self._actions: dict[int, Callable[[], None]] = {
            Offset.CR0: self._consume,
            Offset.GERRORN: self._consume,
            Offset.CMDQ_PROD: self._consume,
        }
        self._commands: dict[int, Callable[[int, int], bool]] = {
            Opcode.PREFETCH_CONFIG: lambda low, high: not low & _SSEC,
            Opcode.PREFETCH_ADDR: lambda low, high: not low & _SSEC,
            Opcode.CFGI_STE: self._cfgi_ste,
            Opcode.CFGI_STE_RANGE: self._cfgi_ste_range,
            Opcode.TLBI_S12_VMALL: self._tlbi_s12_vmall,
            Opcode.TLBI_S2_IPA: self._tlbi_s2_ipa,
            Opcode.TLBI_NSNH_ALL: self._tlbi_nsnh_all,
            Opcode.SYNC: self._sync,
        }
        self._registers: dict[int, int] = {}
        self._stes: dict[int, Ste] = {}
        self._tlb: dict[tuple[int, int], Leaf] = {}
        self.reset()

    # -- registers ---------------------------------------------------------------------------------------------------
    def read(self, offset: int, size: int) -> int:
        """Read an aligned register of 32 or 64 bits; every other access reads as zero."""
        if size not in (4, 8) or offset % size:
            return 0
        offset &= ~_PAGE_1
        if size == 8:
            return self._word(offset) | self._word(offset + 4) << 32
        return self._word(offset)

    def _word(self, offset: int) -> int:
        if offset == Offset.CR0ACK:
            return self._registers[Offset.CR0]
        if offset == Offset.IRQ_CTRLACK:
            return self._registers[Offset.IRQ_CTRL]
        found = self._registers.get(offset)
        return self._constant.get(offset, 0) if found is None else found

    def write(self, offset: int, size: int, value: int) -> None:
        """Write an aligned register of 32 or 64 bits; every other access is ignored."""
        if size not in (4, 8) or offset % size:
            return
        offset &= ~_PAGE_1
        self._write_word(offset, value & 0xFFFF_FFFF)
        if size == 8:
            self._write_word(offset + 4, value >> 32)

    def _write_word(self, offset: int, value: int) -> None:
        register = WRITABLE.get(offset)
        if register is None or register.guard & self._registers[Offset.CR0]:
            return
        if offset == Offset.GBPA:
            if not value & _GBPA_UPDATE:
                return
            value &= ~_GBPA_UPDATE
        self._registers[offset] = value & register.mask
        action = self._actions.get(offset)
        if action is not None:
            action()

    def _long(self, offset: int) -> int:
        return self._registers[offset] | self._registers[offset + 4] << 32

    def _pulse(self, name: str, enable: int = 0) -> None:
        """Send an edge on an interrupt if the bits ``enable`` of IRQ_CTRL are set."""
        if self._registers[Offset.IRQ_CTRL] & enable == enable:
            self.wiring.signal(self._irqs[name], True)
            self.wiring.signal(self._irqs[name], False)

    def _error(self, error: Gerror) -> None:
        """Make a global error active, unless it already is (7.5)."""
        if not self._active(error):
            self._registers[Offset.GERROR] ^= error
            self._pulse("gerror", _GERROR_IRQEN)

    def _active(self, error: Gerror) -> bool:
        return bool((self._registers[Offset.GERROR] ^ self._registers[Offset.GERRORN]) & error)

    # -- command queue -----------------------------------------------------------------------------------------------
    def _consume(self) -> None:
        """Execute the pending commands; stop at the first error (7.1)."""
        registers = self._registers
        queue = Queue(self._long(Offset.CMDQ_BASE), _COMMAND, self._pa_bits)
        while registers[Offset.CR0] & Cr0.CMDQEN and not self._active(Gerror.CMDQ_ERR):
            prod, cons = registers[Offset.CMDQ_PROD], registers[Offset.CMDQ_CONS]
            if queue.empty(prod, cons):
                return
            error = self._execute(queue.place(cons))
            registers[Offset.CMDQ_CONS] = queue.position(cons + (error is None)) | (error or 0) << 24
            if error is not None:
                self._error(Gerror.CMDQ_ERR)

    def _execute(self, place: int) -> CommandError | None:
        try:
            command = self.granules.port.read(place, _COMMAND)
        except GranuleProtectionFault:
            self._refused(place, Reason.CMDQ)
            return CommandError.ABT
        except BusError:
            return CommandError.ABT
        execute = self._commands.get(command[0])
        low, high = (int.from_bytes(command[at : at + 8], "little") for at in (0, 8))
        return None if execute is not None and execute(low, high) else CommandError.ILL

    def _cfgi_ste(self, low: int, high: int) -> bool:
        self._stes.pop(low >> 32, None)
        return not low & _SSEC

    def _cfgi_ste_range(self, low: int, high: int) -> bool:
        drop = (high & 31) + 1
        for stream in list(self._stes):
            if high & 31 == _ALL_STREAMS or stream >> drop == low >> 32 >> drop:
                del self._stes[stream]
        return not low & _SSEC

    def _tlbi_s12_vmall(self, low: int, high: int) -> bool:
        self._drop(low >> 32 & 0xFFFF, 0, _U64)
        return True

    def _tlbi_s2_ipa(self, low: int, high: int) -> bool:
        granule, num, scale = high >> 10 & 3, low >> 12 & 31, low >> 20 & 31
        if granule and not (high >> 8 & 3 or num or scale):
            return False
        first = high & 0x000F_FFFF_FFFF_F000
        size = (num + 1) << scale + 12 if granule else 0x1000
        if granule in (0, _4K):
            self._drop(low >> 32 & 0xFFFF, first, first + size - 1)
        return True

    def _tlbi_nsnh_all(self, low: int, high: int) -> bool:
        self._tlb.clear()
        return True

    def _drop(self, vmid: int, first: int, last: int) -> None:
        """Invalidate the translations of a VMID whose page or block overlaps these IPAs."""
        for key, leaf in list(self._tlb.items()):
            if key[0] == vmid:
                shift = 39 - 9 * leaf.level
                if first >> shift <= key[1] << 12 >> shift <= last >> shift:
                    del self._tlb[key]

    def _sync(self, low: int, high: int) -> bool:
        signal = low >> 12 & 3
        if signal == 1:
            self._pulse("cmd_sync")
        return signal != 3

    # -- transactions ------------------------------------------------------------------------------------------------
    def translate(self, stream: int, iova: int, access: Access) -> int:
        """Translate ``iova`` to a PA, before the granule check; records an event and raises DmaAborted on failure."""
        try:
            if not self._registers[Offset.CR0] & Cr0.SMMUEN:
                if self._registers[Offset.GBPA] & _GBPA_ABORT or iova >> self._pa_bits:
                    raise Refusal(None)
                return iova
            ste = self._ste(stream)
            if ste.config < SteConfig.BYPASS:
                raise Refusal(None)
            if iova >> self._pa_bits:  # stage 1 is bypassed, and its input exceeds the output size
                raise Refusal(Event.F_ADDR_SIZE, EventFlags.make(class_=_IN))
            if ste.config == SteConfig.BYPASS:
                return iova
            return self._leaf(ste, iova, access).page | iova & 0xFFF
        except Refusal as refusal:
            self._abort(stream, iova, access, refusal)
            raise DmaAborted(stream, iova, access) from None

    def _ste(self, stream: int) -> Ste:
        ste = self._stes.get(stream)
        if ste is None:
            registers = self._registers
            ste = self._table.find(self._long(Offset.STRTAB_BASE), registers[Offset.STRTAB_BASE_CFG], stream)
            if len(self._stes) == _CACHED_STES:
                del self._stes[next(iter(self._stes))]
            self._stes[stream] = ste
            self.wiring.changed()
        return ste

    def _leaf(self, ste: Ste, ipa: int, access: Access) -> Leaf:
        key = (ste.s2vmid, ipa >> 12)
        leaf = self._tlb.get(key)
        if leaf is None:
            leaf = self._stage2.walk(ste, ipa, access)
            if len(self._tlb) == _TLB_ENTRIES:
                del self._tlb[next(iter(self._tlb))]
            self._tlb[key] = leaf
            self.wiring.changed()
        elif not leaf.permitted & _NEEDS[access]:
            event = Event.F_PERMISSION if ste.s2r else None
            raise Refusal(event, EventFlags.make(s2=1, class_=_IN), ipa & ~0xFFF)
        return leaf

    def refuse(self, stream: int, iova: int, pa: int, access: Access, error: Exception) -> DmaAborted:
        """Abort a transaction whose output address ``pa`` the system refused.

        A granule protection fault is in SMMU_ROOT_GPF_FAR, and no event (3.25.1).
        """
        reason = Reason.TRANSACTION if isinstance(error, GranuleProtectionFault) else None
        self._abort(stream, iova, access, Refusal(None, fetch=pa, reason=reason))
        return DmaAborted(stream, iova, access)

    def _abort(self, stream: int, iova: int, access: Access, refusal: Refusal) -> None:
        """Report a transaction terminated with an abort."""
        if self._trace.on:
            event = SmmuAbort(
                device=self.name, stream=stream, iova=iova, access=access,
                fault=None if refusal.event is None else refusal.event.name,
                gpf=refusal.reason is not None, pa=refusal.fetch if refusal.reason is not None else None,
            )  # fmt: skip
            self._trace.emit(event)
        if refusal.reason is not None:
            self.granules.report(refusal.fetch, refusal.reason)
        if refusal.event is not None:
            self._record(stream, iova, access, refusal.event, refusal.flags, refusal.address)

    def _refused(self, pa: int, reason: Reason) -> None:
        """Report that granule protection refused an access of the SMMU's own, outside a transaction."""
        if self._trace.on:
            self._trace.emit(SmmuAbort(device=self.name, access=reason.name, gpf=True, pa=pa))
        self.granules.report(pa, reason)

    # -- event queue -------------------------------------------------------------------------------------------------
    def _record(self, stream: int, iova: int, access: Access, event: Event, flags: int, address: int) -> None:
        """Write an event record (7.3), if the queue is writable (7.2.1)."""
        registers = self._registers
        if event == Event.C_BAD_STREAMID and not registers[Offset.CR2] & _RECINVSID:
            return
        if not registers[Offset.CR0] & Cr0.EVENTQEN or self._active(Gerror.EVENTQ_ABT_ERR):
            return
        self.wiring.changed()
        words = [event | stream << 32, flags, 0, 0]
        if event not in (Event.C_BAD_STREAMID, Event.C_BAD_STE):
            words[3] = address
            if event != Event.F_STE_FETCH:
                words[1] |= EventFlags.make(rnw=access != Access.WRITE)
                words[2] = iova
        queue = Queue(self._long(Offset.EVENTQ_BASE), EVENTQ_ENTRY, self._pa_bits)
        prod, cons = registers[Offset.EVENTQ_PROD], registers[Offset.EVENTQ_CONS]
        if queue.full(prod, cons):
            if not (prod ^ cons) & _OVERFLOW:
                registers[Offset.EVENTQ_PROD] = prod ^ _OVERFLOW
            return
        place = queue.place(prod)
        try:
            self.granules.port.write(place, b"".join(word.to_bytes(8, "little") for word in words))
        except (GranuleProtectionFault, BusError) as error:
            if isinstance(error, GranuleProtectionFault):
                self._refused(place, Reason.EVENTQ)
            self._error(Gerror.EVENTQ_ABT_ERR)
            return
        registers[Offset.EVENTQ_PROD] = prod & _OVERFLOW | queue.position(prod + 1)
        if queue.empty(prod, cons):
            self._pulse("eventq", _EVENTQ_IRQEN)

    # -- state -------------------------------------------------------------------------------------------------------
    def save(self) -> SmmuState:
        """State for a snapshot."""
        return SmmuState(
            registers=dict(self._registers),
            streams=tuple((stream, ste.to_bytes(_STE, "little")) for stream, ste in self._stes.items()),
            tlb=tuple((*key, *leaf) for key, leaf in self._tlb.items()),
        )

    def restore(self, state: SmmuState) -> None:
        """Restore what ``save`` returned."""
        self._registers = dict(state.registers)
        self._stes = {stream: Ste.from_bytes(ste, "little") for stream, ste in state.streams}
        self._tlb = {(vmid, page): Leaf(*leaf) for vmid, page, *leaf in state.tlb}

    def reset(self) -> None:
        """Disable translation and queues; traffic passes."""
        self.restore(SmmuState({int(offset): 0 for offset in (*WRITABLE, Offset.GERROR)}))
