"""What the RMM keeps, and where: the part of it that commands and exits work on.

Everything it knows is in Realm memory: objects in their granules, the rest in the data half of the ``realm_image``
region (see the offsets below). What Python keeps beside it are constants and caches that :meth:`Core.attach` rebuilds.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from cca_arch.el3 import RmmEl3, result_count
from cca_arch.types import Pas, SecurityState
from cca_platform.isa import frame
from cca_platform.trace.events import RmiReturn
from cca_rmm.base.offer import Offer
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
_HOST: Final = (int(SecurityState.NON_SECURE), 2)
_ZEROES: Final = (0,) * 8

# The RMM's data: offsets from the start of the realm_image region.
DATA: Final = 0x100_0000
_HEADER: Final = DATA  # Header, then (base, size) of each bank
_PE_AREA: Final = DATA + 0x1000  # a page each: the REC that runs; of the Host the virtual CPU interface, the EL1 state
_PE_STRIDE: Final = 0x1000
_HOST_GIC: Final = 0x400
_HOST_FRAME: Final = 0x800
_VMIDS: Final = DATA + 0x5_0000  # one bit for each VMID
_KEYS: Final = DATA + 0x6_0000  # attestation: the RAK, and in the page after it the platform token
_STATES: Final = DATA + 0x10_0000  # one byte for each granule
_MAGIC: Final = int.from_bytes(b"RMM data", "little")
assert _PE_AREA + MAX_PES * _PE_STRIDE <= _VMIDS
assert frame.EL1_FRAME_SIZE <= _PE_STRIDE - _HOST_FRAME


class Header(NamedTuple):
    """The head of the RMM's data, a word each."""

    magic: int
    cpus: int
    vmid_bits: int
    shared_page: int  # that EL3 and the RMM share
    el3: int  # version of the RMM-EL3 interface that EL3 speaks
    rmi: int  # version of the RMI that is in force
    settled: int  # 1: the Host has used it, and cannot have another any more
    banks: int


_WORDS: Final = struct.Struct(f"<{len(Header._fields)}Q")
_AT: Final = {name: _HEADER + 8 * number for number, name in enumerate(Header._fields)}


@dataclass(frozen=True)
class Facts:
    """What a version of the Host's and the Realm's interface says beside its tables."""

    name: str
    rmi: int
    """The number by which the Host asks for it with RMI_VERSION."""
    rsi: int
    """The number by which a Realm asks for its own half with RSI_VERSION."""
    el3: int
    """The RMM-EL3 interface that it needs, at least."""
    offer: Offer
    statuses: type[IntEnum]
    """Bits 7:0 of X0 of an RMI command."""
    moves: Moves
    """The transitions of granules."""


class Row(Protocol):
    """What a result needs to know of the command that gives it."""

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
        """How many registers of the answer are the command's."""


class Core:
    """The RMM's own memory, its caches, and the answers that it gives to EL3."""

    port: "Port"  # the RMM's own memory: Realm PAS
    ns: "Port"  # what the Host shares: Non-secure PAS
    granules: Granules
    vmid_bits: int
    facts: Facts  # of the version in force
    enter_row: Row  # RMI_REC_ENTER of that version
    revisions: tuple[int, ...]  # the versions that the Host can have, ascending

    def __init__(self, machine: "Machine") -> None:
        self.machine = machine
        self.trace = machine.trace
        self.port = machine.memory.port(SecurityState.REALM)
        self.ns = machine.memory.port(SecurityState.REALM, Pas.NON_SECURE)
        self.base = machine.board.region("realm_image").base
        self.results = 0  # how many registers EL3 carries to the Host
        self._running: dict[int, tuple[int, Rec, Realm]] = {}  # a cache: the REC granules have it all

    # -- head -------------------------------------------------------------------------------------------------------
    @property
    def booted(self) -> bool:
        """Whether a cold boot has made the RMM's data."""
        return self.port.read64(self.base + _HEADER) == _MAGIC

    def found(self, cpus: int, vmid_bits: int, shared: int, el3: int, banks: Sequence[tuple[int, int]]) -> None:
        """Make the RMM's data of what the cold boot has found; every granule is UNDELEGATED."""
        head = Header(_MAGIC, cpus, vmid_bits, shared, el3, rmi=0, settled=0, banks=len(banks))
        self.port.write(self.base + _HEADER, _WORDS.pack(*head))
        for position, bank in enumerate(banks):
            self.port.write(self.base + _HEADER + _WORDS.size + 16 * position, struct.pack("<2Q", *bank))

    def attach(self) -> Header:
        """Rebuild from memory what Python caches of it."""
        self._running.clear()
        at = self.base + _HEADER
        head = Header(*_WORDS.unpack(self.port.read(at, _WORDS.size)))
        banks = struct.unpack(f"<{2 * head.banks}Q", self.port.read(at + _WORDS.size, 16 * head.banks))
        pairs = list(zip(banks[::2], banks[1::2], strict=True))
        self.vmid_bits = head.vmid_bits
        self.results = result_count(head.el3)
        self.granules = Granules(self.machine.memory, self.trace, self.base + _STATES, pairs)
        return head

    def write_head(self, **words: int) -> None:
        """Change words of the head."""
        for name, value in words.items():
            self.port.write64(self.base + _AT[name], value)

    @property
    def cpus(self) -> int:
        """How many PEs there are."""
        return self.port.read64(self.base + _AT["cpus"])

    @property
    def shared_page(self) -> int:
        """PA of the page that EL3 and the RMM share."""
        return self.port.read64(self.base + _AT["shared_page"])

    @property
    def key_area(self) -> int:
        """PA of the two pages with the RAK and the platform token."""
        area: int = self.base + _KEYS
        return area

    # -- the version in force ---------------------------------------------------------------------------------------
    def revision_range(self, req: int) -> tuple[int, int]:
        """``lower`` and ``higher`` of RMI_VERSION: the nearest version that is not above ``req``, and the highest."""
        known = self.revisions
        return max((number for number in known if number <= req), default=known[0]), known[-1]

    def choose(self, number: int) -> None:
        """The Host has asked for a version that it can have: from the next call on its table is in force."""
        if number != self.facts.rmi:
            self.write_head(rmi=number)
            self.adopt(number)

    def adopt(self, number: int) -> None:
        """Take facts and tables of a version; the RMM has booted."""
        raise NotImplementedError

    # -- results ----------------------------------------------------------------------------------------------------
    def answer(self, pe: "Pe", row: Row, result: Sequence[int], kept: Sequence[int], failed: str | None = None) -> None:
        """Complete an RMI call; the caller must return at once.

        Outputs that a command does not write are 0, and so are X1 to X3 at least; the others are ``kept``, X4 and up of
        the Host.
        """
        if self.trace.on:
            outs = dict(zip(row.outs, result[1:], strict=False))
            status = self.facts.statuses(result[0] & 0xFF).name
            event = RmiReturn(
                fid=row.fid, cmd=row.name, status=status, index=result[0] >> 8, results=outs, failed=failed
            )
            self.trace.emit(event, pe=pe)
        width = row.width
        pe.leave(_COMPLETE, *result, *_ZEROES[len(result) : width], *kept[width - 4 : self.results - 4])

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
