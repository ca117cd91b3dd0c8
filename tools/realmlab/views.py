"""Views of a machine: granules, stage 2 tables and RECs, read from memory. The reprs are readable tables."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from cca_arch.descriptors import rtte
from cca_arch.descriptors.stage2 import BLOCK, PAGE, TABLE, Stage2Descriptor
from cca_arch.sysregs import Vtcr, Vttbr
from cca_arch.types import GRANULE_SIZE, Gpi
from cca_platform.errors import MachineError
from cca_platform.machine.inspection import RealmFacts, RecFacts, RmmInspector
from cca_platform.machine.machine import Machine as Platform
from cca_platform.printable import brief

from .cpu import Cpu, shows_closed

__all__ = ["GranuleView", "RecRegisters", "RecView", "RttEntry", "RttView"]

_ENTRIES: Final = 512
_SL0: Final = {0: 2, 1: 1, 2: 0, 3: 3}  # VTCR_EL2.SL0 -> the starting level, 4 KiB granule
_U64: Final = (1 << 64) - 1
_COLUMNS: Final = 4
_SHOWN: Final = 40  # runs of entries in a repr


def _size(level: int) -> int:
    """The bytes that one entry of ``level`` maps."""
    return 1 << 12 + 9 * (3 - level)


class GranuleView:
    """A granule of physical memory in its present state."""

    def __init__(self, platform: Platform, inspector: RmmInspector | None, pa: int) -> None:
        self.pa = pa & -GRANULE_SIZE
        self._memory = platform.memory
        self._inspector = inspector

    @property
    def gpi(self) -> Gpi | None:
        """Its entry in the granule protection tables; None if they cannot be walked."""
        return self._memory.gpi(self.pa)

    @property
    def state(self) -> str | None:
        """Its state in the RMM, such as ``DATA``; None if the RMM does not track it."""
        return None if self._inspector is None else self._inspector.granule(self.pa)

    @property
    def data(self) -> bytes:
        """Its 4,096 bytes, regardless of access rights."""
        return self._memory.backdoor.read(self.pa, GRANULE_SIZE)

    @shows_closed
    def __repr__(self) -> str:
        gpi = "no GPT entry" if self.gpi is None else f"GPT {self.gpi.name}"
        state = "" if self.state is None else f", RMM {self.state}"
        return f"<Granule {self.pa:#x}: {gpi}{state}>"


class RttEntry(Struct, frozen=True):
    """An entry of a stage 2 table: ``descriptor`` at ``at`` (PA) maps, or would map, ``size`` bytes from ``ipa`` on.

    ``state`` is its state in the RMM, such as ``ASSIGNED,RAM``; without an inspector, ``TABLE``, ``MAPPED`` or
    ``INVALID``.
    """

    ipa: int
    level: int
    at: int
    descriptor: int
    state: str

    @property
    def size(self) -> int:
        """The bytes of IPA space that it covers."""
        return _size(self.level)

    @property
    def maps(self) -> bool:
        """True if the hardware translates through it."""
        fields = Stage2Descriptor(self.descriptor)
        return bool(fields.type == (PAGE if self.level == 3 else BLOCK))

    @property
    def table(self) -> int | None:
        """The PA of the next-level table that it points to, or None."""
        is_table = self.level < 3 and Stage2Descriptor(self.descriptor).type == TABLE
        return self.descriptor & Stage2Descriptor.address.mask if is_table else None

    @property
    def pa(self) -> int | None:
        """The PA of the memory that it maps, or None."""
        return self.descriptor & Stage2Descriptor.address.mask & -self.size if self.maps else None

    @property
    def version(self) -> int | None:
        """The version of the page, if it is out, sealed (``state`` is ``SEALED,RAM``); else None."""
        return rtte.version(self.descriptor) if self.state.startswith(rtte.Kind.SEALED.name) else None

    @property
    def ns(self) -> bool:
        """True if it maps memory of the Non-secure PAS into a Realm."""
        return bool(Stage2Descriptor(self.descriptor).ns)


class RttView:
    """Stage 2 tables, walked in memory as the hardware does: a Realm's RTTs, or those of a Non-secure VM.

    Iteration yields every entry other than tables, in IPA order. The repr has a row for each run of similar entries.
    """

    def __init__(
        self, platform: Platform, inspector: RmmInspector | None, base: int, level: int, ipa_width: int
    ) -> None:
        self.base = base
        """The PA of the first table of the starting level."""
        self.level = level
        """The starting level."""
        self.ipa_width = ipa_width
        """The number of bits in an IPA."""
        self._read = platform.memory.backdoor.read64
        self._inspector = inspector

    @classmethod
    def of_cpu(cls, cpu: Cpu, inspector: RmmInspector | None = None) -> "RttView":
        """The tables that VTTBR_EL2 and VTCR_EL2 of a PE point to."""
        vtcr, vttbr = Vtcr(cpu.regs.vtcr_el2), Vttbr(cpu.regs.vttbr_el2)
        base = (vttbr.baddr << Vttbr.baddr.low) & -GRANULE_SIZE
        return cls(cpu.pe.machine, inspector, base, _SL0[vtcr.sl0], 64 - vtcr.t0sz)

    @classmethod
    def of_realm(cls, platform: Platform, inspector: RmmInspector, facts: RealmFacts) -> "RttView":
        """The tables that a Realm Descriptor points to."""
        return cls(platform, inspector, facts.rtt_base, facts.rtt_level_start, facts.ipa_width)

    def _entry(self, table: int, slot: int, level: int, ipa: int) -> RttEntry:
        at = table + 8 * slot
        descriptor = self._read(at)
        if self._inspector is not None:
            state = self._inspector.rtt_entry(descriptor, level)
        else:
            kind = Stage2Descriptor(descriptor).type
            leaf = PAGE if level == 3 else BLOCK
            state = "MAPPED" if kind == leaf else "TABLE" if kind == TABLE and level < 3 else "INVALID"
        return RttEntry(ipa & -_size(level), level, at, descriptor, state)

    def walk(self, ipa: int) -> list[RttEntry]:
        """The entries that a walk for ``ipa`` reads, top down; raises MachineError outside the IPA space."""
        if ipa >> self.ipa_width:
            raise MachineError(f"an IPA must have {self.ipa_width} bits, not be {ipa:#x}")
        index = ipa // _size(self.level)
        entries = [self._entry(self.base, index, self.level, ipa)]  # tables of the starting level follow each other
        while (table := entries[-1].table) is not None:
            level = entries[-1].level + 1
            entries.append(self._entry(table, ipa // _size(level) % _ENTRIES, level, ipa))
        return entries

    def __getitem__(self, ipa: int) -> RttEntry:
        """The last entry of the walk for an IPA."""
        return self.walk(ipa)[-1]

    def translate(self, ipa: int) -> int:
        """Translate an IPA to a PA; raises MachineError if nothing is mapped there."""
        entry = self[ipa]
        if entry.pa is None:
            raise MachineError(f"IPA {ipa:#x} must be mapped, not {entry.state} (level {entry.level})")
        return entry.pa | ipa & entry.size - 1

    def __iter__(self) -> Iterator[RttEntry]:
        count = max(1, (1 << self.ipa_width) // _size(self.level))
        yield from self._leaves(self.base, self.level, 0, count)

    def _leaves(self, table: int, level: int, ipa: int, count: int) -> Iterator[RttEntry]:
        for slot in range(count):
            entry = self._entry(table, slot, level, ipa + slot * _size(level))
            below = entry.table
            if below is None:
                yield entry
            else:
                yield from self._leaves(below, level + 1, entry.ipa, _ENTRIES)

    def runs(self) -> Iterator[tuple[RttEntry, int]]:
        """(first entry, total bytes) of each run of entries with one level, one state and consecutive PAs."""
        first: RttEntry | None = None
        size = 0
        for entry in self:
            if first is not None and _continues(first, size, entry):
                size += entry.size
                continue
            if first is not None:
                yield first, size
            first, size = entry, entry.size
        if first is not None:
            yield first, size

    @shows_closed
    def __repr__(self) -> str:
        lines = [f"<stage 2 at {self.base:#x}, level {self.level}, {self.ipa_width} bits>"]
        for shown, (entry, size) in enumerate(self.runs()):
            if shown == _SHOWN:
                lines.append("  ...")
                break
            target = "" if entry.pa is None else f"  -> {entry.pa:#x}"
            lines.append(
                f"  {entry.ipa:#014x}..{entry.ipa + size - 1:#014x}  level {entry.level}  {entry.state}{target}"
            )
        return "\n".join(lines)


def _continues(first: RttEntry, size: int, entry: RttEntry) -> bool:
    """True if an entry extends a run of ``size`` bytes."""
    if (entry.level, entry.state) != (first.level, first.state):
        return False
    return entry.pa == (None if first.pa is None else first.pa + size)


class RecRegisters:
    """The registers of a vCPU that is not running, as the RMM or the host keeps them, readable and writable.

    Names are architectural. A register that is not kept raises AttributeError. The repr is a table of the
    general-purpose registers.
    """

    __slots__ = ("_names", "_port")

    _names: dict[str, int]
    _port: Any

    def __init__(self, platform: Platform, registers: Mapping[str, int]) -> None:
        """``registers`` has the physical address of each."""
        object.__setattr__(self, "_names", dict(registers))
        object.__setattr__(self, "_port", platform.memory.backdoor)

    def _at(self, name: str) -> tuple[int, int]:
        """The address of a register and its size in bytes."""
        name = {"fp": "x29", "lr": "x30"}.get(name, name)
        if name not in self._names:
            import difflib  # slow, and rarely needed

            near = difflib.get_close_matches(name, self._names, 1)
            guess = f"; did you mean {near[0]!r}?" if near else ""
            raise AttributeError(f"a register must be one that is kept for a vCPU, not {brief(name)}{guess}")
        return self._names[name], 16 if name[0] == "v" and name[1:].isdigit() else 8

    def __getattr__(self, name: str) -> int:
        at, size = self._at(name)
        return int.from_bytes(self._port.read(at, size), "little")

    def __setattr__(self, name: str, value: int) -> None:
        at, size = self._at(name)
        self._port.write(at, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))

    def __dir__(self) -> list[str]:
        return sorted(self._names)

    @shows_closed
    def __repr__(self) -> str:
        general = [name for name in self._names if name in ("pc", "pstate") or name[0] == "x"]
        cells = [f"{name:>6} {getattr(self, name):#018x}" for name in general]
        return "\n".join("  ".join(cells[at : at + _COLUMNS]) for at in range(0, len(cells), _COLUMNS))


class RecView:
    """A Realm Execution Context, as the RMM keeps it. ``facts`` are its present contents."""

    def __init__(self, platform: Platform, inspector: RmmInspector, pa: int) -> None:
        self.pa = pa
        self._platform = platform
        self._inspector = inspector

    @property
    def facts(self) -> RecFacts:
        """Its present contents; raises MachineError if it has been destroyed."""
        try:
            return self._inspector.rec(self.pa)
        except KeyError as error:
            raise MachineError(f"{self.pa:#x} must be a REC: {error.args[0]}") from None

    @property
    def state(self) -> str:
        """``READY`` or ``RUNNING``."""
        return self.facts.state

    @property
    def pending(self) -> tuple[str, ...]:
        """What its next entry must complete: ``PSCI``, ``HOST_CALL``, ``RIPAS_CHANGE``, ``MMIO``."""
        return self.facts.pending

    @property
    def regs(self) -> RecRegisters:
        """Its registers in memory; while it runs, those of its last exit."""
        return RecRegisters(self._platform, self.facts.registers)

    @shows_closed
    def __repr__(self) -> str:
        facts = self.facts
        waits = f", answers {' '.join(facts.pending)} next" if facts.pending else ""
        runnable = "" if facts.runnable else ", not runnable"
        return f"<REC {facts.index} at {self.pa:#x} of Realm {facts.rd:#x}: {facts.state}{runnable}{waits}>"
