"""The core of the RMM, which commands and exits work on: what it keeps, and where.

All its state is in Realm memory: objects in their granules, the rest in the data half of the ``realm_image`` region
(see the offsets below). Python keeps only constants, and caches that :meth:`Core.attach` rebuilds.
"""

import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from cca_arch.el3 import RmmEl3, result_count
from cca_arch.types import Pas, SecurityState
from cca_platform.isa import frame
from cca_platform.pe.refused import Refused, refuse
from cca_platform.trace.events import RmiReturn
from cca_rmm.base.offer import Offer
from cca_rmm.base.outputs import named
from cca_rmm.objects.granule import Granules, Moves
from cca_rmm.objects.realm import REALM, Realm
from cca_rmm.objects.rec import REC, Rec

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine
    from cca_platform.memory.ports import Port
    from cca_platform.pe.pe import Pe

__all__ = ["MAX_PES", "Core", "Facts", "Header", "Row"]

MAX_PES: Final = 64
_COMPLETE: Final = int(RmmEl3.RMI_REQ_COMPLETE)
_NON_SECURE: Final = int(SecurityState.NON_SECURE)
_HOST: Final = (_NON_SECURE, 2)
_ZEROES: Final = (0,) * 8

# The RMM's data: offsets from the start of the realm_image region.
DATA: Final = 0x100_0000
_HEADER: Final = DATA  # Header, then (base, size) of each bank
_PE_AREA: Final = DATA + 0x1000  # a page per PE: the running REC; the Host's virtual CPU interface, PMU and EL1 state
_PE_STRIDE: Final = 0x1000
_HOST_GIC: Final = 0x400
_HOST_PMU: Final = 0x600
_HOST_FRAME: Final = 0x800
_VMIDS: Final = DATA + 0x5_0000  # one bit per VMID
_KEYS: Final = DATA + 0x6_0000  # attestation: the RAK, and in the next page the platform token
_EXTENSION_KEYS: Final = DATA + 0x6_2000  # a page: cca_rmm.extensions.keys
_STATES: Final = DATA + 0x10_0000  # one byte per granule
_MAGIC: Final = int.from_bytes(b"RMM data", "little")
assert _PE_AREA + MAX_PES * _PE_STRIDE <= _VMIDS
assert frame.PMU_FRAME_SIZE <= _HOST_FRAME - _HOST_PMU
assert frame.EL1_FRAME_SIZE <= _PE_STRIDE - _HOST_FRAME


class Header(NamedTuple):
    """The header of the RMM's data, one word per field."""

    magic: int
    cpus: int
    vmid_bits: int
    shared_page: int  # shared by EL3 and the RMM
    el3: int  # version of the RMM-EL3 interface that EL3 speaks
    rmi: int  # version of the RMI in force
    settled: int  # 1: the Host has used it and can no longer select another
    banks: int


_WORDS: Final = struct.Struct(f"<{len(Header._fields)}Q")
_SEEN: Final = 0x200  # bytes: the header, and the banks after it
_AT: Final = {name: _HEADER + 8 * number for number, name in enumerate(Header._fields)}


@dataclass(frozen=True)
class Facts:
    """The facts of a version of the Host's and the Realm's interface, besides its tables."""

    name: str
    rmi: int
    """Its number in RMI_VERSION."""
    rsi: int
    """The number of its Realm interface in RSI_VERSION."""
    el3: int
    """The minimum version of the RMM-EL3 interface."""
    offer: Offer
    statuses: type[IntEnum]
    """Bits 7:0 of X0 of an RMI command."""
    moves: Moves
    """The transitions of granules."""


@cache
def _status_name(statuses: type[IntEnum], status: int) -> str:
    return statuses(status).name


class Row(Protocol):
    """What a result needs to know of its command."""

    @property
    def fid(self) -> int:
        """The function identifier."""

    @property
    def name(self) -> str:
        """The command's name."""

    @property
    def outs(self) -> tuple[str, ...]:
        """The names of X1, X2, ..."""

    @property
    def width(self) -> int:
        """The number of result registers that the command defines."""

    def title(self, interface: str) -> str:
        """Its name with the prefix of its interface."""


class Core(ABC):
    """The RMM's own memory, its caches, and the results that it returns to EL3."""

    port: "Port"  # the RMM's own memory: Realm PAS
    ns: "Port"  # what the Host shares: Non-secure PAS
    granules: Granules
    vmid_bits: int
    facts: Facts  # of the version in force
    enter_row: Row  # RMI_REC_ENTER of that version
    revisions: tuple[int, ...]  # the versions that the Host can select, ascending

    def __init__(self, machine: "Machine") -> None:
        self.machine = machine
        self.trace = machine.trace
        self.port = machine.memory.port(SecurityState.REALM)
        self.ns = machine.memory.port(SecurityState.REALM, Pas.NON_SECURE)
        self.base = machine.board.region("realm_image").base
        self.results = 0  # the number of registers that EL3 passes to the Host
        self._attached = b""  # the header as it was when the caches were made, if it has not been changed since
        self._running: dict[int, tuple[int, Rec, Realm]] = {}  # a cache of what is in the REC granules

    # -- head -------------------------------------------------------------------------------------------------------
    @property
    def booted(self) -> bool:
        """True if a cold boot has initialised the RMM's data."""
        return self.port.read64(self.base + _HEADER) == _MAGIC

    def found(self, cpus: int, vmid_bits: int, shared: int, el3: int, banks: Sequence[tuple[int, int]]) -> None:
        """Initialise the RMM's data from what the cold boot has found; every granule is UNDELEGATED."""
        head = Header(_MAGIC, cpus, vmid_bits, shared, el3, rmi=0, settled=0, banks=len(banks))
        self.port.write(self.base + _HEADER, _WORDS.pack(*head))
        for position, bank in enumerate(banks):
            self.port.write(self.base + _HEADER + _WORDS.size + 16 * position, struct.pack("<2Q", *bank))

    def attach(self) -> Header:
        """Rebuild the caches from memory."""
        self._running.clear()
        at = self.base + _HEADER
        self._attached = self.port.read(at, _SEEN)
        head = Header(*_WORDS.unpack_from(self._attached))
        banks = struct.unpack(f"<{2 * head.banks}Q", self.port.read(at + _WORDS.size, 16 * head.banks))
        pairs = list(zip(banks[::2], banks[1::2], strict=True))
        table = self.base + _STATES
        self.vmid_bits = head.vmid_bits
        self.results = result_count(head.el3)
        known: Granules | None = getattr(self, "granules", None)
        if known is None or (known.table, known.banks) != (table, pairs):
            self.granules = Granules(self.machine.memory, self.trace, table, pairs)
        return head

    @property
    def is_attached(self) -> bool:
        """True if the header in memory is that of the caches."""
        return self.port.read(self.base + _HEADER, _SEEN) == self._attached

    def write_head(self, **words: int) -> None:
        """Change words of the header."""
        self._attached = b""
        for name, value in words.items():
            self.port.write64(self.base + _AT[name], value)

    @property
    def cpus(self) -> int:
        """The number of PEs."""
        return self.port.read64(self.base + _AT["cpus"])

    @property
    def shared_page(self) -> int:
        """The PA of the page that EL3 and the RMM share."""
        return self.port.read64(self.base + _AT["shared_page"])

    @property
    def key_area(self) -> int:
        """The PA of the two pages with the RAK and the platform token."""
        area: int = self.base + _KEYS
        return area

    @property
    def extension_key_area(self) -> int:
        """The PA of the page with the keys of the extensions."""
        area: int = self.base + _EXTENSION_KEYS
        return area

    # -- the version in force ---------------------------------------------------------------------------------------
    def revision_range(self, req: int) -> tuple[int, int]:
        """``lower`` and ``higher`` of RMI_VERSION: the nearest version not above ``req``, and the highest."""
        known = self.revisions
        return max((number for number in known if number <= req), default=known[0]), known[-1]

    def choose(self, number: int) -> None:
        """The Host has selected a version: its table is in force from the next call."""
        if number != self.facts.rmi:
            self.write_head(rmi=number)
            self.adopt(number)

    @abstractmethod
    def adopt(self, number: int) -> None:
        """Adopt the facts and tables of a version; the RMM has booted."""

    # -- results ----------------------------------------------------------------------------------------------------
    def note(self, pe: "Pe", fid: int, name: str, status: str, failed: str = "") -> None:
        """Note an RMI call that is refused; a Host in Python looks at its results itself."""
        if _HOST not in self.machine.programs:
            refuse(pe, Refused(_NON_SECURE, 0, fid, name, status, failed))

    def answer(self, pe: "Pe", row: Row, result: Sequence[int], kept: Sequence[int], failed: str | None = None) -> None:
        """Complete an RMI call; the caller must return at once.

        Outputs that a command does not write are 0, including X1 to X3 in any case; the others are ``kept``, the Host's
        X4 and up.
        """
        if result[0]:
            status = _status_name(self.facts.statuses, result[0] & 0xFF)
            self.note(pe, row.fid, row.title("RMI_"), status, failed or "")
        if self.trace.on:
            outs = named(row.outs, result)
            status = _status_name(self.facts.statuses, result[0] & 0xFF)
            event = RmiReturn(
                fid=row.fid, cmd=row.name, status=status, index=result[0] >> 8, results=outs, failed=failed
            )
            self.trace.emit(event, pe)
        width = row.width
        pe.leave(_COMPLETE, *result, *_ZEROES[len(result) : width], *kept[width - 4 : self.results - 4])

    # -- which REC runs on which PE ---------------------------------------------------------------------------------
    def area(self, pe: "Pe") -> int:
        """The PA of the RMM's page for a PE."""
        area: int = self.base + _PE_AREA + pe.index * _PE_STRIDE
        return area

    def start(self, pe: "Pe", rec_pa: int, rec: Rec, realm: Realm) -> None:
        """Record that the REC at ``rec_pa`` runs on ``pe``, until the next one does."""
        index = pe.index
        last = self._running.get(index)
        if last is None or last[0] != rec_pa:
            self.port.write64(self.area(pe), rec_pa)
        self._running[index] = (rec_pa, rec, realm)

    def running(self, pe: "Pe") -> tuple[int, Rec, Realm]:
        """What runs on ``pe``: the PA of the REC, its record and its Realm's record.

        Only the RMM on this PE changes the record of a running REC and the used words of its Realm's.
        """
        found = self._running.get(pe.index)
        if found is None:
            rec_pa = self.port.read64(self.area(pe))
            rec = REC.load(self.port, rec_pa)
            found = self._running[pe.index] = (rec_pa, rec, REALM.load(self.port, rec.rd))
        return found

    def current(self, pe: "Pe") -> int:
        """The PA of the REC that runs on ``pe``."""
        return self.running(pe)[0]

    def host_gic(self, pe: "Pe") -> int:
        """The PA of the Host's saved virtual CPU interface while a Realm uses the interface."""
        return self.area(pe) + _HOST_GIC

    def host_pmu(self, pe: "Pe") -> int:
        """The PA of the Host's saved performance monitors while a Realm runs."""
        return self.area(pe) + _HOST_PMU

    def save_host(self, pe: "Pe") -> None:
        """Save the Host's EL1 state while a Realm uses the registers; a Host written in Python has none."""
        if _HOST not in self.machine.programs:
            pe.save_el1(self.port.host_address(self.area(pe) + _HOST_FRAME, frame.EL1_FRAME_SIZE))

    def restore_host(self, pe: "Pe") -> None:
        """Restore the Host's EL1 state; if it has none, hide the Realm's timers and keys."""
        in_python = _HOST in self.machine.programs
        if in_python:
            pe.forget_keys()
        else:
            pe.restore_el1(self.port.host_address(self.area(pe) + _HOST_FRAME, frame.EL1_FRAME_SIZE))
        pe.mask_timers(in_python, in_python)

    # -- VMIDs ------------------------------------------------------------------------------------------------------
    def vmid_free(self, vmid: int) -> bool:
        """True if the PEs support this VMID and no Realm uses it."""
        if vmid >> self.vmid_bits:
            return False
        return not self.port.read8(self.base + _VMIDS + (vmid >> 3)) >> (vmid & 7) & 1

    def set_vmid(self, vmid: int, used: bool) -> None:
        """Reserve or free a VMID."""
        at = self.base + _VMIDS + (vmid >> 3)
        bit = 1 << (vmid & 7)
        self.port.write8(at, self.port.read8(at) & ~bit | (bit if used else 0))
