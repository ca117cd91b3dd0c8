"""Bare hardware for the tests: a machine without firmware, code made from assembly, and granule protection by hand."""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import assembly
import pytest
from exact import exact_board

from cca_arch.descriptors import gpt
from cca_arch.gic import GICR_STRIDE
from cca_arch.sysregs import Scr
from cca_arch.types import Gpi, SecurityState, Ticks
from cca_platform.board import Board
from cca_platform.clock import ClockState
from cca_platform.machine.machine import Machine
from cca_platform.pe.pe import Pe

CODE = 0x8010_0000
VECTORS = 0x8011_0000
DATA = 0x8012_0000
_L0 = 0x8040_0000
_L1 = 0x8042_0000  # 128 KiB for the 1 GiB from 0x8000_0000
_EL1H, _EL2H = 0x3C5, 0x3C9
_CTLR, _WAKER, _SGI_BASE, _IGROUPR, _ISENABLER, _IPRIORITYR = 0x0, 0x14, 0x1_0000, 0x80, 0x100, 0x400
_GROUPS: Final = 0x37  # ARE_S, ARE_NS, and every group enabled
_ICC_PMR: Final = (3, 0, 4, 6, 0)
_ICC_IGRPEN1: Final = (3, 0, 12, 12, 7)
_REPORT = "mrs x20, esr_el1; mrs x21, far_el1; mrs x22, elr_el1; mrs x23, spsr_el1; smc #0"


def assemble(source: str, address: int = CODE) -> bytes:
    """AArch64 instructions, separated by semicolons, as bytes."""
    return assembly.assemble(source, address)


class Recorder:
    """EL3 of a bare machine: keeps the registers of each SMC and powers off."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.calls: list[list[int]] = []
        self.syndromes: list[int] = []

    def on_sync(self, pe: Pe, esr: int, far: int, hpfar: int) -> None:
        self.calls.append(list(pe.x))
        self.syndromes.append(esr)
        self.machine.stop("SMC")

    def on_irq(self, pe: Pe) -> None:
        raise AssertionError("no interrupt is routed to EL3")

    def on_eret(self, pe: Pe) -> None:
        raise AssertionError("nothing is above EL3")


class Bench:
    """A machine on which an instruction takes a tick, what runs on it and what came of it."""

    def __init__(self, cpu: str = "a72", board: Board | None = None, **options: Any) -> None:
        self.machine = Machine(board or exact_board(), cpu=cpu, **options)
        self.machine.scr = [int(Scr.make(apk=1, api=1))] * len(SecurityState)  # no traps of pointer authentication
        self.pe = self.machine.pes[0]
        self.el3 = Recorder(self.machine)
        self.machine.install(SecurityState.ROOT, 3, self.el3)
        self.write = self.machine.memory.backdoor.write

    def place(self, address: int, source: str) -> None:
        """Assemble ``source`` at ``address``."""
        self.write(address, assemble(source, address))

    def vectors(self, handler: str = _REPORT) -> None:
        """Every EL1 vector runs ``handler``; VBAR_EL1 points there."""
        for offset in range(0, 0x800, 0x80):
            self.place(VECTORS + offset, handler)
        self.pe.write_sysreg("vbar_el1", VECTORS)

    def run(
        self,
        source: str,
        state: SecurityState = SecurityState.NON_SECURE,
        el: int = 1,
        ticks: int = 100_000,
        **registers: int,
    ) -> list[int]:
        """Run ``source`` until an SMC; X0..X30 at that SMC."""
        pe = self.pe
        self.place(CODE, source)
        for name, value in registers.items():
            pe.x[int(name[1:])] = value
        pe.elr, pe.spsr = CODE, {0: 0x3C0, 1: _EL1H, 2: _EL2H}[el]
        self.machine.stopped = None
        pe.eret(state, el)
        before = len(self.el3.calls)
        pe.run(self.machine.clock.now + ticks)
        if len(self.el3.calls) == before:
            raise AssertionError(f"the code must end with an SMC, not {pe!r}")
        return self.el3.calls[-1]

    def enable_interrupts(self, *intids: int) -> None:
        """The interrupt controller as firmware leaves it, and these SGIs and PPIs of every PE as Group 1, enabled."""
        gic = self.machine.gic
        gic.secure_distributor.write(_CTLR, 4, _GROUPS)
        for pe in self.machine.pes:
            at = GICR_STRIDE * pe.index
            gic.secure_redistributors.write(at + _WAKER, 4, 0)
            gic.secure_redistributors.write(at + _SGI_BASE + _IGROUPR, 4, 0xFFFF_FFFF)
            for intid in intids:
                gic.secure_redistributors.write(at + _SGI_BASE + _IPRIORITYR + intid, 1, 0xA0)
                gic.secure_redistributors.write(at + _SGI_BASE + _ISENABLER, 4, 1 << intid)
            gic.cpus[pe.index].write(_ICC_PMR, 0xFF, 3, SecurityState.SECURE, 0)
            gic.cpus[pe.index].write(_ICC_IGRPEN1, 1, 2, SecurityState.NON_SECURE, 0)

    def protect(self, granules: dict[int, Gpi], default: Gpi = Gpi.ANY) -> None:
        """Turn the granule protection check on: ``default`` everywhere but for these granules."""
        memory = self.machine.memory
        raw = memory.backdoor
        for index in range(64):
            raw.write64(_L0 + 8 * index, gpt.l0_block(default))
        raw.write64(_L0 + 8 * (0x8000_0000 >> 30), gpt.l0_table(_L1))
        raw.write(_L1, gpt.l1_granules(default).to_bytes(8, "little") * (gpt.l1_table_size(30) // 8))
        self.assign(granules)
        memory.gptbr = _L0 >> 12
        memory.gpccr = gpt.Gpccr.make(pps=1, gpc=1, sh=3)
        memory.tlbi_paall()

    def assign(self, granules: dict[int, Gpi]) -> None:
        """Change the entries of granules, without invalidating what was cached of them."""
        raw = self.machine.memory.backdoor
        for pa, gpi in granules.items():
            at = _L1 + gpt.l1_entry_offset(pa, 30)
            shift = gpt.gpi_shift(pa)
            raw.write64(at, raw.read64(at) & ~(15 << shift) | gpi << shift)


class Report(NamedTuple):
    """An exception of a guest: the level that got it (0: there was none) and its registers there."""

    level: int
    esr: int
    far: int
    elr: int
    spsr: int
    hpfar: int  # of EL2 alone
    x: list[int]


class Guest(Bench):
    """A VM under real EL2 code: stage 2 by hand, and what an exception of it tells EL1 or EL2.

    The first 2 MiB of DRAM, with code and vectors, are mapped flat. Start level 1, 40 bits, two concatenated tables.
    """

    S2: Final = 0x3C0 | 1 << 10 | 0xF << 2  # AF, inner shareable, read-write, Normal Write-Back
    VTCR: Final = 24 | 1 << 6 | 0x3500 | 5 << 16
    HCR: Final = 1 << 31 | 1
    START: Final = CODE + 7 * 4  # of the guest's code
    _SETUP = (
        "msr hcr_el2, x10; msr vtcr_el2, x11; msr vttbr_el2, x12; msr spsr_el2, x13; adr x14, lower; "
        "msr elr_el2, x14; eret; lower: "
    )

    def __init__(self, cpu: str = "a72") -> None:
        super().__init__(cpu)
        self._next = 0x8060_0000
        self.root = self.table(2)
        self.map(0x8000_0000, 0x8000_0000, self.S2, level=2)
        for level, vectors in ((1, VECTORS), (2, VECTORS + 0x1000)):
            names = [f"{name}_el{level}" for name in ("esr", "far", "elr", "spsr", "hpfar")][: 3 + level]
            report = "; ".join(f"mrs x{20 + n}, {name}" for n, name in enumerate(names))
            for offset in range(0, 0x800, 0x80):
                self.place(vectors + offset, f"{report}; mrs x25, currentel; smc #0")
            self.pe.write_sysreg(f"vbar_el{level}", vectors)

    def table(self, pages: int = 1) -> int:
        """Zeroed pages for a table, aligned to their size."""
        size = 0x1000 * pages
        table = self._next + size - 1 & -size
        self._next = table + size
        return table

    def map(self, ipa: int, pa: int, attributes: int, level: int = 3, start: int = 1) -> int:
        """Stage 2: make tables down to ``level`` and put a page or block there; gives the descriptor's address."""
        raw = self.machine.memory.backdoor
        table = self.root
        for at in range(start, level):
            entry = table + 8 * (ipa >> 39 - 9 * at & (0x1FFF if at == start else 511))
            if not raw.read64(entry) & 1:
                raw.write64(entry, self.table() | 3)
            table = raw.read64(entry) & 0xFFFF_FFFF_F000
        entry = table + 8 * (ipa >> 39 - 9 * level & (0x1FFF if level == start else 511))
        raw.write64(entry, (pa | attributes | (3 if level == 3 else 1)) if attributes else 0)
        return entry

    def enter(self, source: str, el: int = 1, **registers: int) -> Report:
        """Run ``source`` as the guest, at EL1 or EL0; X10 to X12 are HCR_EL2, VTCR_EL2 and VTTBR_EL2."""
        given = {"x10": self.HCR, "x11": self.VTCR, "x12": self.root, "x13": 0x3C5 if el else 0x3C0, "x25": 0}
        x = self.run(f"{self._SETUP}{source}; {'smc #0' if el else 'svc #0'}", el=2, **given | registers)
        return Report(x[25] >> 2, *x[20:25], x)


class Rig:
    """The devices of a board, as software and time drive them; ``lines`` has the level of every interrupt line."""

    def __init__(self, board: str = "fvp", clock: str = "virtual") -> None:
        self.machine = Machine(Board.load(board), clock=clock)
        self.bus = self.machine.bus
        self.lines: dict[int, bool] = {}
        self.bus.signal = self.lines.__setitem__
        self._power_on = self.bus.save()

    def device(self, name: str) -> "Registers":
        """The registers of a device, through the bus."""
        return Registers(self, name)

    def fresh(self) -> None:
        """As after power-on, for one more example of a property."""
        self.machine.clock.restore(ClockState(retired=0, skipped=0))
        self.machine.stopped = None
        self.bus.restore(self._power_on)
        self.lines.clear()

    def go(self, ticks: int) -> None:
        """Let the system counter go on; devices act when their time has come."""
        clock = self.machine.clock
        end = clock.now + ticks
        events = self.machine.events
        while events.next is not None and events.next <= end:
            clock.skip_to(events.next)
            events.run(clock.now)
        clock.skip_to(Ticks(end))


class Registers:
    """One device of a rig."""

    def __init__(self, rig: Rig, name: str) -> None:
        self._rig = rig
        self._device = rig.machine.board.device(name)

    def read(self, offset: int, size: int = 4) -> int:
        return self._rig.bus.read(self._device.base + offset, size, pas=self._device.pases[0])

    def write(self, offset: int, value: int, size: int = 4) -> None:
        self._rig.bus.write(self._device.base + offset, size, value, pas=self._device.pases[0])

    @property
    def irq(self) -> bool:
        """The level of its interrupt line."""
        return self._rig.lines.get(self._device.irq, False)


@pytest.fixture
def rigs() -> Iterator[Callable[..., Rig]]:
    """A maker of rigs."""
    made: list[Rig] = []

    def make(**options: Any) -> Rig:
        made.append(Rig(**options))
        return made[-1]

    yield make
    for item in made:
        item.machine.close()


@pytest.fixture
def rig(rigs: Callable[..., Rig]) -> Rig:
    """The devices of the default board."""
    return rigs()


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A bare machine."""
    made = Bench()
    yield made
    made.machine.close()


@pytest.fixture
def guest() -> Iterator[Guest]:
    """A VM under real EL2 code."""
    made = Guest()
    yield made
    made.machine.close()


@pytest.fixture
def guests() -> Iterator[Callable[..., Guest]]:
    """A maker of VMs."""
    made: list[Guest] = []

    def make(**options: Any) -> Guest:
        made.append(Guest(**options))
        return made[-1]

    yield make
    for item in made:
        item.machine.close()


@pytest.fixture
def benches() -> Iterator[Callable[..., Bench]]:
    """A maker of bare machines."""
    made: list[Bench] = []

    def make(**options: Any) -> Bench:
        made.append(Bench(**options))
        return made[-1]

    yield make
    for item in made:
        item.machine.close()
