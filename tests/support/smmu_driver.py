"""A driver of the SMMU for tests: registers over the bus, tables and queues in Non-secure memory, as software does."""

from typing import Any, Final, NamedTuple

from cca_arch.descriptors.gpt import Gpccr
from cca_arch.smmu import RootOffset
from cca_arch.types import Pas, SecurityState
from cca_platform.devices.smmu import DmaPort
from cca_platform.devices.smmu.layout import Cr0, Event, EventFlags, Offset, Opcode, Ste, SteConfig
from cca_platform.machine.machine import Machine

STREAM_TABLE: Final = 0x8100_0000
COMMANDS: Final = 0x8101_0000
EVENTS: Final = 0x8102_0000
TABLES: Final = 0x8110_0000
LEAF: Final = 3 << 6 | 1 << 10 | 0xF << 2  # S2AP read and write, AF, Normal Write-Back
STREAMS: Final = 8  # log2 of the entries of the stream table
SIZE: Final = 6  # log2 of the entries of a queue
ACCESSEN, GPCEN = 1, 2


class Record(NamedTuple):
    """An event record, decoded."""

    event: Event
    stream: int
    flags: EventFlags
    iova: int
    address: int


class SmmuDriver:
    """The SMMU of a machine as a hypervisor drives it; ``access(ACCESSEN)`` of EL3 has to come first."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.model = machine.bus.devices["smmu"]
        self.memory = machine.memory.port(SecurityState.NON_SECURE)
        self.base = machine.board.device("smmu").base
        self.root_base = machine.board.device("smmu-root").base
        self._next_table = TABLES

    # -- registers ---------------------------------------------------------------------------------------------------
    def get(self, offset: int, size: int = 4) -> int:
        return self.machine.bus.read(self.base + offset, size)

    def set(self, offset: int, value: int, size: int = 4) -> None:
        self.machine.bus.write(self.base + offset, size, value)

    def root(self, offset: RootOffset) -> int:
        return self.machine.bus.read(self.root_base + offset, 8, Pas.ROOT)

    def set_root(self, offset: RootOffset, value: int) -> None:
        self.machine.bus.write(self.root_base + offset, 8, value, Pas.ROOT)

    def access(self, control: int) -> None:
        """EL3: SMMU_ROOT_CR0, with the granule protection tables of the PEs."""
        memory = self.machine.memory
        self.set_root(RootOffset.CR0, control & ~GPCEN)
        self.set_root(RootOffset.GPT_BASE, memory.gptbr << 12)
        self.set_root(RootOffset.GPT_BASE_CFG, Gpccr(memory.gpccr).replace(gpc=0, irgn=1, orgn=1))
        self.set_root(RootOffset.CR0, control)

    def start(self, enable: int = Cr0.SMMUEN | Cr0.EVENTQEN | Cr0.CMDQEN, split: int = 0) -> None:
        """A linear stream table (2-level with ``split``), both queues, interrupts, and on."""
        self.set(Offset.CR0, 0)
        self.set(Offset.STRTAB_BASE, STREAM_TABLE, 8)
        self.set(Offset.STRTAB_BASE_CFG, STREAMS + split | split << 6 | bool(split) << 16)
        self.set(Offset.CMDQ_BASE, COMMANDS | SIZE, 8)
        self.set(Offset.EVENTQ_BASE, EVENTS | SIZE, 8)
        for offset in (Offset.CMDQ_PROD, Offset.CMDQ_CONS, Offset.EVENTQ_PROD, Offset.EVENTQ_CONS):
            self.set(offset, 0)
        self.set(Offset.CR2, 1 << 1)
        self.set(Offset.IRQ_CTRL, 0b101)
        self.set(Offset.CR0, enable)
        assert self.get(Offset.CR0ACK) == enable

    # -- queues ------------------------------------------------------------------------------------------------------
    def command(self, opcode: int, low: int = 0, high: int = 0) -> None:
        """Put one command on the queue and let the SMMU have it."""
        prod = self.get(Offset.CMDQ_PROD)
        at = COMMANDS + 16 * (prod & (1 << SIZE) - 1)
        self.memory.write64(at, opcode | low)
        self.memory.write64(at + 8, high)
        self.set(Offset.CMDQ_PROD, prod + 1 & (2 << SIZE) - 1)

    def sync(self, signal: int = 0) -> None:
        self.command(Opcode.SYNC, signal << 12)
        assert self.get(Offset.CMDQ_CONS) == self.get(Offset.CMDQ_PROD)

    def records(self) -> list[Record]:
        """The event records since the last call."""
        found = []
        cons = self.get(Offset.EVENTQ_CONS + 0x1_0000)
        while (cons ^ self.get(Offset.EVENTQ_PROD)) & (2 << SIZE) - 1:
            at = EVENTS + 32 * (cons & (1 << SIZE) - 1)
            words = [self.memory.read64(at + 8 * n) for n in range(4)]
            found.append(Record(Event(words[0] & 0xFF), words[0] >> 32, EventFlags(words[1]), words[2], words[3]))
            cons = cons & 1 << 31 | (cons & (2 << SIZE) - 1) + 1 & (2 << SIZE) - 1
            self.set(Offset.EVENTQ_CONS + 0x1_0000, cons)
        return found

    # -- streams -----------------------------------------------------------------------------------------------------
    def write_ste(self, stream: int, ste: int, table: int = STREAM_TABLE) -> None:
        self.memory.write(table + 64 * stream, ste.to_bytes(64, "little"))

    def ste(self, stream: int, config: int = SteConfig.STAGE2, **fields: int) -> None:
        """A valid STE (by default stage 2, 40 bits from level 1, tables at ``root``), and its invalidation."""
        values = {"v": 1, "config": config, "s2aa64": 1, "s2r": 1, "s2t0sz": 24, "s2sl0": 1, "s2ps": 5} | fields
        self.write_ste(stream, Ste.make(**values))
        self.command(Opcode.CFGI_STE, stream << 32)

    def table(self, pages: int = 1) -> int:
        """Zeroed pages for a table, aligned to their size."""
        at = (self._next_table + pages * 0x1000 - 1) & ~(pages * 0x1000 - 1)
        self._next_table = at + pages * 0x1000
        self.memory.zero(at, pages * 0x1000)
        return at

    def map(self, root: int, ipa: int, pa: int, level: int = 3, leaf: int = LEAF) -> int:
        """Map a page or block in a tree that starts at level 1; gives the address of its descriptor."""
        table = root
        for at in range(1, level + 1):
            entry = table + 8 * (ipa >> 39 - 9 * at & (0x3FF if at == 1 else 0x1FF))
            if at == level:
                self.memory.write64(entry, pa | leaf | (3 if level == 3 else 1))
                return entry
            if not self.memory.read64(entry) & 1:
                self.memory.write64(entry, self.table() | 3)
            table = self.memory.read64(entry) & 0xFFFF_FFFF_F000
        raise AssertionError("level must be 1 to 3")

    def stage2(self, stream: int, **fields: int) -> int:
        """Empty tables for a stream; gives the address of the two of level 1."""
        root = self.table(2)
        self.ste(stream, s2ttb=root >> 4, **fields)
        return root

    def port(self, stream: int) -> DmaPort:
        model: Any = self.model
        return DmaPort(model, stream)
