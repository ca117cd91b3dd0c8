"""The RMM as a program of R-EL2: entered by EL3 with boot and RMI calls, and by exceptions of the Realm it runs.

Everything it knows is in Realm memory: objects in their granules, the rest in the data half of the ``realm_image``
region (see the offsets below). What Python keeps beside it are constants and caches that :meth:`Rmm.attach` rebuilds.
"""

import struct
from typing import TYPE_CHECKING, Any, Final

from cca_arch.descriptors import rtte
from cca_arch.el3 import BootCode, RmmEl3
from cca_arch.rmi.v1_0 import RecExitReason, RmiRipas, RmiStatus
from cca_arch.smccc import NOT_SUPPORTED, SVE_HINT
from cca_arch.types import Pas, SecurityState
from cca_platform.isa import frame
from cca_platform.memory.ports import Port
from cca_platform.trace.events import BootStage, RmiCall, RmiReturn, RttEdit
from cca_platform.trace.forms import UNSET
from cca_rmm.boot import MAX_PES, check_registers, read_banks
from cca_rmm.command import Call, Command, Result, execute
from cca_rmm.inspector import Inspector
from cca_rmm.objects import rtt
from cca_rmm.objects.granule import Granules
from cca_rmm.objects.realm import REALM, Realm
from cca_rmm.objects.rec import REC, Rec
from cca_rmm.versions.v1_0 import RMI
from cca_rmm.world.exits import synchronous
from cca_rmm.world.run import leave

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = ["Rmm"]

_FID_MASK: Final = 0xFFFF_FFFF & ~SVE_HINT
_COMPLETE: Final = int(RmmEl3.RMI_REQ_COMPLETE)
_HOST: Final = (int(SecurityState.NON_SECURE), 2)
_ID_AA64MMFR1: Final = (3, 0, 0, 7, 1)
_VMID16: Final = 2  # ID_AA64MMFR1_EL1.VMIDBits

# The RMM's data: offsets from the start of the realm_image region.
DATA: Final = 0x100_0000
_HEADER: Final = DATA  # magic, PEs, vmid bits, shared page, number of banks, then (base, size) of each
_PE_AREA: Final = DATA + 0x1000  # a page each: the REC that runs; of the Host the virtual CPU interface, the EL1 state
_PE_STRIDE: Final = 0x1000
_HOST_GIC: Final = 0x400
_HOST_FRAME: Final = 0x800
_VMIDS: Final = DATA + 0x5_0000  # one bit for each VMID
_KEYS: Final = DATA + 0x6_0000  # attestation: the RAK, and in the page after it the platform token
_STATES: Final = DATA + 0x10_0000  # one byte for each granule
_MAGIC: Final = int.from_bytes(b"RMM 1.0\0", "little")
_WORDS: Final = struct.Struct("<5Q")
_SHARED: Final = 24  # offset of the shared page's address in the header
assert _PE_AREA + MAX_PES * _PE_STRIDE <= _VMIDS
assert frame.EL1_FRAME_SIZE <= _PE_STRIDE - _HOST_FRAME


class Rmm:
    """The monitor of one machine: the program to install at (REALM, 2)."""

    port: Port  # the RMM's own memory: Realm PAS
    ns: Port  # what the Host shares: Non-secure PAS
    granules: Granules
    vmid_bits: int

    def __init__(self, machine: "Machine") -> None:
        self.machine = machine
        self.trace = machine.trace
        self.port = machine.memory.port(SecurityState.REALM)
        self.ns = machine.memory.port(SecurityState.REALM, Pas.NON_SECURE)
        self.base = machine.board.region("realm_image").base
        self.inspector = Inspector(self.port, lambda: self.granules)
        """What it tells whoever looks at the machine."""
        self._running: dict[int, tuple[int, Rec, Realm]] = {}  # a cache: the REC granules have it all
        machine.parts["rmm"] = self

    # -- state of a snapshot: all of it is memory -------------------------------------------------------------------
    def save(self) -> Any:
        """Nothing: memory has it."""
        return None

    def restore(self, data: Any) -> None:
        """Forget what was cached of the state before."""
        self._running.clear()
        if self.port.read64(self.base + _HEADER) == _MAGIC:
            self.attach()

    # -- boot -------------------------------------------------------------------------------------------------------
    def boot(self, pe: "Pe") -> None:
        """Cold boot of the first PE, warm boot of the others; ends in RMM_BOOT_COMPLETE."""
        if self.port.read64(self.base + _HEADER) != _MAGIC:
            code = self.cold_boot(pe)
        else:
            known = pe.x[0] < self.port.read64(self.base + _HEADER + 8)
            code = BootCode.SUCCESS if known else BootCode.CPU_ID_OUT_OF_RANGE
        if self.trace.on:
            self.trace.emit(BootStage(stage="RMM", status=code), pe=pe)
        pe.leave(RmmEl3.BOOT_COMPLETE, code)

    def cold_boot(self, pe: "Pe") -> BootCode:
        """Check what EL3 says, note the banks, and start with every granule UNDELEGATED."""
        code = check_registers(pe, self.port)
        if code != BootCode.SUCCESS:
            return code
        cpus, shared = pe.x[2], pe.x[3]
        banks = read_banks(self.port, shared)
        if banks is None:
            return BootCode.MANIFEST_DATA_ERROR
        vmid_bits = 16 if pe.id_register(*_ID_AA64MMFR1) >> 4 & 0xF == _VMID16 else 8
        self.port.write(self.base + _HEADER, _WORDS.pack(_MAGIC, cpus, vmid_bits, shared, len(banks)))
        for position, bank in enumerate(banks):
            self.port.write(self.base + _HEADER + _WORDS.size + 16 * position, struct.pack("<2Q", *bank))
        self.attach()
        return BootCode.SUCCESS

    def attach(self) -> None:
        """Rebuild from memory what Python caches of it."""
        header = self.base + _HEADER
        _, _, self.vmid_bits, _, count = _WORDS.unpack(self.port.read(header, _WORDS.size))
        banks = struct.unpack(f"<{2 * count}Q", self.port.read(header + _WORDS.size, 16 * count))
        pairs = list(zip(banks[::2], banks[1::2], strict=True))
        self.granules = Granules(self.machine.memory, self.trace, self.base + _STATES, pairs)

    # -- program of R-EL2 -------------------------------------------------------------------------------------------
    def on_eret(self, pe: "Pe") -> None:
        """EL3 enters: with a CPU index in X0 to boot this PE, else with an RMI call in X0..X6."""
        x = pe.x[0:7].tolist()
        row = RMI.get(x[0] & _FID_MASK)
        if row is None and x[0] < MAX_PES:  # no FID of a fast call is as small
            self.boot(pe)
            return
        tracing = self.trace.on
        if tracing:
            ins = row.ins if row is not None else ()
            name = row.name if row is not None else "UNKNOWN"
            self.trace.emit(RmiCall(fid=x[0], cmd=name, args=dict(zip(ins, x[1:], strict=False))), pe=pe)
        if row is None or row.handler is None:
            pe.leave(_COMPLETE, NOT_SUPPORTED, 0, 0, 0, x[4])
            return
        call = Call(self, pe, row, x[1:])
        result = execute(call)
        if result is not None:
            self.complete(pe, row, result, x[4], call.failed if tracing else None)

    def complete(self, pe: "Pe", row: Command, result: Result, x4: int, failed: str | None = None) -> None:
        """Give X0..X4 to the Host: outputs that a command does not write are 0, and X4 is the Host's own."""
        if self.trace.on:
            status = RmiStatus(result[0] & 0xFF).name
            outs = dict(zip(row.outs, result[1:], strict=False))
            index = result[0] >> 8
            event = RmiReturn(fid=row.fid, cmd=row.name, status=status, index=index, results=outs, failed=failed)
            self.trace.emit(event, pe=pe)
        x0, x1, x2, x3, *rest = (*result, 0, 0, 0)
        if len(row.outs) == 4:
            x4 = rest[0] if len(result) > 4 else 0
        pe.leave(_COMPLETE, x0, x1, x2, x3, x4)

    def on_sync(self, pe: "Pe", esr: int, far: int, hpfar: int) -> None:
        """A Realm's exception."""
        synchronous(self, pe, esr, far, hpfar)

    def on_irq(self, pe: "Pe") -> None:
        """A physical interrupt while a Realm runs belongs to the Host."""
        leave(self, pe, RecExitReason.IRQ)

    # -- which REC runs on which PE ---------------------------------------------------------------------------------
    def area(self, pe: "Pe") -> int:
        """PA of the RMM's page for a PE."""
        area: int = self.base + _PE_AREA + pe.index * _PE_STRIDE
        return area

    def start(self, pe: "Pe", rec_pa: int, rec: Rec, realm: Realm) -> None:
        """Note that the REC at ``rec_pa`` runs on ``pe``: true until the next one."""
        self.port.write64(self.area(pe), rec_pa)
        self._running[pe.index] = (rec_pa, rec, realm)

    def running(self, pe: "Pe") -> tuple[int, Rec, Realm]:
        """What runs on ``pe``: the PA of the REC, its record and its Realm's.

        Nothing but the RMM on this PE changes the record of a REC that runs, nor what is asked of its Realm's.
        """
        found = self._running.get(pe.index)
        if found is None:
            rec_pa = self.port.read64(self.area(pe))
            rec = REC.load(self.port, rec_pa)
            found = self._running[pe.index] = (rec_pa, rec, REALM.load(self.port, rec.rd))
        return found

    def current(self, pe: "Pe") -> int:
        """PA of the REC that runs on ``pe``."""
        return self.running(pe)[0]

    def host_gic(self, pe: "Pe") -> int:
        """PA where the virtual CPU interface of the Host is kept while a Realm has it."""
        return self.area(pe) + _HOST_GIC

    def save_host(self, pe: "Pe") -> None:
        """Keep the Host's EL1 state while a Realm has the registers; a Host written in Python has none."""
        if _HOST not in self.machine.programs:
            pe.save_el1(self.port.host_address(self.area(pe) + _HOST_FRAME, frame.EL1_FRAME_SIZE))

    def restore_host(self, pe: "Pe") -> None:
        """Give the Host its EL1 state back; where it has none, nobody sees the Realm's timers any more."""
        in_python = _HOST in self.machine.programs
        if not in_python:
            pe.restore_el1(self.port.host_address(self.area(pe) + _HOST_FRAME, frame.EL1_FRAME_SIZE))
        pe.mask_timers(in_python, in_python)

    # -- what attestation needs --------------------------------------------------------------------------------------
    @property
    def key_area(self) -> int:
        """PA of the two pages with the RAK and the platform token."""
        area: int = self.base + _KEYS
        return area

    @property
    def shared_page(self) -> int:
        """PA of the page that EL3 and the RMM share."""
        return self.port.read64(self.base + _HEADER + _SHARED)

    # -- VMIDs ------------------------------------------------------------------------------------------------------
    def vmid_free(self, vmid: int) -> bool:
        """Whether the PEs have this VMID and no Realm uses it."""
        if vmid >> self.vmid_bits:
            return False
        return not self.port.read8(self.base + _VMIDS + (vmid >> 3)) >> (vmid & 7) & 1

    def set_vmid(self, vmid: int, used: bool) -> None:
        """Take or give back a VMID."""
        at = self.base + _VMIDS + (vmid >> 3)
        bit = 1 << (vmid & 7)
        self.port.write8(at, self.port.read8(at) & ~bit | (bit if used else 0))

    # -- RTT edits --------------------------------------------------------------------------------------------------
    def edit(self, call: Call, w: rtt.Walk, new: int, ipa: int | None = None) -> None:
        """Write the entry that a walk found; ``ipa`` is that of the entry when it is not the call's."""
        self.port.write64(w.pa, new)
        if self.trace.on:
            kind = rtte.kind_of(new, w.level)
            event = RttEdit(
                rd=call.rd, ipa=call.ipa if ipa is None else ipa, level=w.level,
                old=rtte.name(w.entry, w.level), new=rtte.name(new, w.level), cmd=call.command.name,
                pa=rtte.address(new), rtt=w.table, state=kind,
                ripas=RmiRipas(rtte.ripas(new)) if kind in rtte.WITH_RIPAS else UNSET,
            )  # fmt: skip
            self.trace.emit(event, pe=call.pe)

    def invalidate(self, call: Call, ipa: int, level: int) -> None:
        """TLBI IPAS2 for what one entry of ``level`` at ``ipa`` mapped, on every PE."""
        size = rtte.level_size(level)
        self.machine.tlbi_ipas2(call.realm.vmid, ipa & -size, size)

