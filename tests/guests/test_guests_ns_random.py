"""Random bytes and instructions as the software of Non-secure EL2, while a Realm with a secret is on the machine.

Whatever they do, the machine comes back with one of its ordinary ends, nothing that Non-secure software can read holds
the secret, and the same noise does the same again. A million instructions each; ``--ns-seeds 1000`` runs all seeds.
"""

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from ns_noise import BASE, KINDS, PAGES, TABLES, noise, tables

from cca_arch.psci import AffinityInfo
from cca_arch.types import Access, Pas, SecurityState
from cca_firmware.boot import boot
from cca_platform.board import Board
from cca_platform.errors import GranuleProtectionFault, InstructionLimit, MachineStopped
from cca_platform.isa import frame
from cca_platform.machine.machine import Machine
from cca_rmm.objects.granule import State
from cca_rmm.objects.rec import Rec
from cca_rmm.rmm import Rmm
from realmlab import find_payload

SECRET = bytes.fromhex("a7bec0e75ec0dedb")
INSTRUCTIONS = 1_000_000
HANG = 120  # seconds of the host: a seed takes about one
LINE = b"the Realm gets it\n"  # a Realm with two vCPUs is active, and at rest
NS = SecurityState.NON_SECURE
IPA = 0x8000_0000  # of the Realm's memory
MMU_OFF, MMU_ON = 0x30C5_0830, 0x30C5_1835
REGISTERS = {  # of EL2 and EL1, before the noise
    "tcr_el2": 0x8080_3519,
    "mair_el2": 0x00FF,
    "ttbr0_el2": TABLES,
    "hcr_el2": 1 << 31,
    "sctlr_el1": 0x30D0_0800,
}


class Victim:
    """A machine on which `rmi` has built a Realm, with the secret in everything that is not Non-secure."""

    def __init__(self) -> None:
        self.machine = machine = Machine(Board.load("fvp"))
        self.rmm = Rmm(machine)
        self.firmware = boot(machine, rmm=self.rmm, ns_image=find_payload("rmi").read_bytes())
        uart: Any = machine.bus.devices["uart0"]
        uart.on_output = lambda _: machine.stop("there") if uart.output.endswith(LINE) else None
        assert machine.run(10_000_000) == "there"
        uart.on_output, machine.stopped = None, None
        memory, states = machine.memory, self.states()
        self.hidden = [pa for pa, state in states.items() if state == State.DATA and not self.is_code(pa)]
        self.hidden += [region.top - 0x3000 for region in machine.board.regions]
        for pa in self.hidden:
            memory.backdoor.write(pa, SECRET * 512)
        for pa in (pa for pa, state in states.items() if state == State.REC):
            registers = memory.backdoor.read64(pa + 8 * Rec._fields.index("aux_regs"))
            memory.backdoor.write(registers + frame.offset("v0"), SECRET * 64)
            for name in ("tpidr_el0", "tpidr_el1", "elr_el1", "far_el1"):
                memory.backdoor.write(registers + frame.offset(name), SECRET)
        memory.backdoor.write(TABLES, tables())
        for pe in machine.pes[1:4]:  # through the RMM's warm boot
            self.firmware.monitor.rmmd.boot(pe, BASE, 0)
            pe.on = False
        self.targets = {
            "rd": [pa for pa, state in states.items() if state == State.RD],
            "rec": [pa for pa, state in states.items() if state == State.REC],
            "granule": [pa for pa, state in states.items() if state != State.DATA] + self.hidden[-24:] + PAGES[:8],
            "page": PAGES[8:],
            "ipa": [IPA + (number << shift) for number in range(16) for shift in (12, 21)],
            "level": [1, 2, 3],
        }
        self.snapshot = machine.snapshot()

    def states(self) -> dict[int, State]:
        """The granules that the RMM has, by PA."""
        memory = self.machine.memory
        found = {}
        for bank in self.machine.board.ns_banks():
            table = self.rmm.granules.slot(bank.base)
            for number, state in enumerate(memory.backdoor.read(table, bank.size >> 12)):
                if state:
                    found[bank.base + (number << 12)] = State(state)
        return found

    def is_code(self, pa: int) -> bool:
        """Whether a PE has run code of this page."""
        return bool(self.machine.memory.executed[self.machine.memory.page_index(pa)])

    def play(self, seed: int) -> tuple[str, int, list[int]]:
        """Run the noise of a seed: why it ended, the clock, X0 to X30 and PC of each PE."""
        machine, program = self.machine, noise(seed, self.targets)
        machine.restore(self.snapshot)
        machine.memory.port(NS).write(BASE, program.code)
        for pe, (start, registers) in zip(machine.pes, program.starts, strict=False):
            pe.security, pe.el, pe.on, pe.waiting = NS, program.el, True, False
            self.firmware.psci.power[pe.index] = AffinityInfo.ON
            for name, value in REGISTERS.items():
                pe.write_sysreg(name, value)
            pe.write_sysreg(f"vbar_el{program.el}", program.vectors)
            pe.write_sysreg("sctlr_el2", MMU_ON if seed // len(KINDS) % 2 else MMU_OFF)
            pe.x[:] = memoryview(b"".join(value.to_bytes(8, "little") for value in registers)).cast("Q")
            pe.elr, pe.spsr = start, 0x3C1 | program.el << 2
        try:
            end = machine.run(INSTRUCTIONS)
        except InstructionLimit:
            end = "limit"
        except MachineStopped as stopped:
            end = str(stopped)
        return end, machine.clock.now, [word for pe in machine.pes for word in (*pe.x, pe.elr)]

    def leaks(self) -> list[str]:
        """Where Non-secure software can find the secret."""
        memory = self.machine.memory
        pages = {*np.flatnonzero(memory.dirty).tolist()} | {memory.page_index(pa) for pa in self.hidden}
        found = []
        for page in sorted(pages):
            pa = memory.page_address(page)
            try:
                memory.check(pa, Pas.NON_SECURE, Access.READ)
            except GranuleProtectionFault:
                continue
            if SECRET in memory.backdoor.read(pa, 4096):
                found.append(f"{pa:#x}")
        return found + [f"PE {pe.index}" for pe in self.machine.pes if pe.on and pe.security == NS and _holds(pe)]


def _holds(pe: Any) -> bool:
    """Whether a register that Non-secure software can read has the secret."""
    buffer = ctypes.create_string_buffer(frame.EL1_FRAME_SIZE + frame.EL2_FRAME_SIZE)
    pe.save_el1(ctypes.addressof(buffer))
    pe.save_el2(ctypes.addressof(buffer) + frame.EL1_FRAME_SIZE)
    return SECRET in buffer.raw or SECRET in bytes(pe.x)


@pytest.fixture(scope="module")
def victim() -> Iterator[Victim]:
    """One machine, which every seed finds as it was."""
    found = Victim()
    yield found
    found.machine.close()


def pytest_generate_tests(metafunc: Any) -> None:
    """A test for each seed."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(metafunc.config.getoption("--ns-seeds")))


class TestRandom:
    """Non-secure software can do anything at all."""

    def test_secret(self, victim: Victim) -> None:
        """The secret is there to be found: what is looked for is found in memory that has it."""
        assert len(victim.hidden) > 100
        victim.machine.restore(victim.snapshot)
        assert not victim.leaks()
        victim.machine.memory.port(NS).write(BASE + 0x1234, SECRET)
        assert victim.leaks() == [f"{BASE + 0x1000:#x}"]

    @pytest.mark.timeout(HANG)
    def test_seed(self, victim: Victim, seed: int) -> None:
        """No crash, no hang, no leak; each fifth seed is run again and does the same."""
        outcome = victim.play(seed)
        assert not victim.leaks()
        assert "EL3 panic" not in outcome[0]
        if seed % 5 == 0:
            assert victim.play(seed) == outcome
