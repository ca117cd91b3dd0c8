"""The SMMU as EL3 leaves it: devices reach Non-secure memory and nothing else."""

import struct
from collections.abc import Callable
from typing import Any

import pytest
from assembly import assemble

from cca_arch.el3 import RmmEl3Status
from cca_arch.psci import Psci
from cca_arch.smmu import RootOffset
from cca_arch.types import Pas, SecurityState
from cca_firmware.boot import boot
from cca_platform.devices.dma import DmaCommand, DmaOffset, DmaStatus
from cca_platform.devices.smmu import DmaAborted, DmaPort
from cca_platform.devices.smmu.layout import Cr0, Event, Offset, Opcode, Ste, SteConfig

ENTRY, RESULTS = 0x8800_0000, 0x8900_0000
STREAM_TABLE, COMMANDS, EVENTS, LEVEL1 = 0x8A00_0000, 0x8A01_0000, 0x8A02_0000, 0x8A04_0000
DATA = 0x9000_0000
BLOCK = 3 << 6 | 1 << 10 | 0xF << 2 | 1


class Program:
    """Non-secure EL2 code: a store after another, and loads whose results it leaves at RESULTS."""

    def __init__(self) -> None:
        self.source: list[str] = []
        self.results = 0

    def constant(self, register: str, value: int) -> None:
        self.source.append(f"movz {register}, #{value & 0xFFFF}")
        self.source += [
            f"movk {register}, #{value >> shift & 0xFFFF}, lsl #{shift}" for shift in (16, 32, 48) if value >> shift
        ]

    def store(self, address: int, value: int, size: int = 4) -> None:
        self.constant("x1", address)
        self.constant("x2", value)
        self.source.append(f"str {'x' if size == 8 else 'w'}2, [x1]")

    def load(self, address: int, size: int = 4) -> None:
        self.constant("x1", address)
        self.constant("x3", RESULTS + 8 * self.results)
        self.source += [f"ldr {'x' if size == 8 else 'w'}2, [x1]", "str x2, [x3]"]
        self.results += 1

    def end(self) -> bytes:
        """The code, which turns the system off at its end."""
        self.constant("x0", Psci.SYSTEM_OFF)
        self.source.append("smc #0")
        return assemble("; ".join(self.source), ENTRY)


def root(machine: Any, offset: RootOffset) -> int:
    """A register of the Root Control Page."""
    return int(machine.bus.read(machine.board.device("smmu-root").base + offset, 8, Pas.ROOT))


def device(machine: Any) -> DmaPort:
    """The port of some device."""
    return DmaPort(machine.bus.devices["smmu"], 7)


@pytest.mark.parametrize("board", ["fvp", "virt"])
class TestBoot:
    """BL2 programs the Root Control Page as soon as there are granule protection tables."""

    def test_registers(self, boot_machine: Callable[..., Any], board: str) -> None:
        """The tables are those of the PEs; checks and accesses are enabled."""
        machine = boot_machine(board).machine
        assert root(machine, RootOffset.GPT_BASE) == machine.memory.gptbr << 12
        assert root(machine, RootOffset.GPT_BASE_CFG) == machine.memory.gpccr & ~(1 << 16)
        assert root(machine, RootOffset.CR0) & 3 == 3

    def test_regions(self, boot_machine: Callable[..., Any], board: str) -> None:
        """The first and the last granule of what is not Non-secure are out of reach; other DRAM is not."""
        machine = boot_machine(board).machine
        port = device(machine)
        for region in machine.board.regions:
            for pa in (region.base, region.top - 0x1000):
                with pytest.raises(DmaAborted):
                    port.read(pa, 8)
                with pytest.raises(DmaAborted):
                    port.write(pa, b"data")
        for bank in machine.board.ns_banks():
            port.write(bank.base, b"data")
            assert port.read(bank.base, 4) == b"data"


class TestTransitions:
    """A granule that changes its physical address space."""

    def test_delegation(self, booted: Any) -> None:
        """EL3's TLBI by PA reaches the SMMU: what a device could reach, it cannot after the delegation."""
        port, pa = device(booted.machine), 0x9000_0000
        port.write(pa, b"data")
        assert booted.firmware.tables.delegate(pa) == RmmEl3Status.OK
        with pytest.raises(DmaAborted):
            port.read(pa, 4)
        assert root(booted.machine, RootOffset.GPF_FAR) & 0xFFFF_FFFF_F000 == pa
        assert booted.firmware.tables.undelegate(pa) == RmmEl3Status.OK
        port.read(pa, 4)


class TestCode:
    """A hypervisor in real code."""

    def test_drives_smmu_and_device(self, boot_machine: Callable[..., Any]) -> None:
        """Stage 2 that maps all of DRAM gives its device Non-secure granules alone; what is not mapped is an event."""
        program, stream = Program(), 0x40
        smmu, engine = 0x2B40_0000, 0x1C30_0000
        ste = Ste.make(
            v=1, config=SteConfig.STAGE2, s2aa64=1, s2r=1, s2t0sz=24, s2sl0=1, s2ps=5, s2ttb=LEVEL1 >> 4, s2vmid=1
        )
        for at, word in enumerate(struct.unpack("<8Q", ste.to_bytes(64, "little"))):
            program.store(STREAM_TABLE + 64 * stream + 8 * at, word, 8)
        program.store(LEVEL1 + 8, 0x8000_0000 | BLOCK, 8)  # IPA 0x4000_0000
        program.store(LEVEL1 + 24, 0xC000_0000 | BLOCK, 8)  # IPA 0xC000_0000
        program.store(smmu + Offset.STRTAB_BASE, STREAM_TABLE, 8)
        program.store(smmu + Offset.STRTAB_BASE_CFG, 7)
        program.store(smmu + Offset.CMDQ_BASE, COMMANDS | 4, 8)
        program.store(smmu + Offset.EVENTQ_BASE, EVENTS | 4, 8)
        program.store(smmu + Offset.CR0, Cr0.CMDQEN | Cr0.EVENTQEN | Cr0.SMMUEN)
        program.store(COMMANDS, Opcode.TLBI_NSNH_ALL, 8)
        program.store(COMMANDS + 16, Opcode.SYNC, 8)
        program.store(smmu + Offset.CMDQ_PROD, 2)
        program.load(smmu + Offset.CMDQ_CONS)
        program.store(DATA, 0x1122_3344_5566_7788, 8)
        program.store(engine + DmaOffset.LENGTH, 8)
        program.store(engine + DmaOffset.TARGET, DATA + 0x1000 - 0x4000_0000, 8)
        for source in (DATA - 0x4000_0000, 0xFFC0_0000, 0xFDC0_0000, 0xFC00_0000, 0x1000):
            program.store(engine + DmaOffset.SOURCE, source, 8)
            program.store(engine + DmaOffset.COMMAND, DmaCommand.COPY)
            program.load(engine + DmaOffset.STATUS)
            program.store(engine + DmaOffset.CLEAR, 7)
        program.load(smmu + 0x1_0000 + Offset.EVENTQ_PROD)
        program.load(EVENTS, 8)
        booted = boot_machine(ns_image=program.end())
        machine = booted.machine
        assert machine.run(100_000) == "system off"
        found = struct.unpack(f"<{program.results}Q", machine.memory.backdoor.read(RESULTS, 8 * program.results))
        assert found[0] == 2
        assert found[1:6] == (DmaStatus.DONE, *[DmaStatus.ABORTED] * 4)
        assert found[6:] == (1, stream << 32 | Event.F_TRANSLATION)
        assert machine.memory.backdoor.read64(DATA + 0x1000) == 0x1122_3344_5566_7788
        assert root(machine, RootOffset.GPF_FAR) & 0xFFFF_FFFF_F000 == 0xFFC0_0000


class TestReset:
    """A system reset between two boots."""

    def test_closed_until_the_next_boot(self, booted: Any) -> None:
        """After the reset no device reaches memory; the next boot opens it again, and only Non-secure memory."""
        machine, port = booted.machine, device(booted.machine)
        rmm, host = type(booted.rmm)({}), machine.program(SecurityState.NON_SECURE, 2)
        port.write(0x9000_0000, b"data")
        machine.reset("test")
        with pytest.raises(DmaAborted):
            port.read(0x9000_0000, 4)
        boot(machine, rmm=rmm, ns_program=host)
        assert port.read(0x9000_0000, 4) == bytes(4)
        with pytest.raises(DmaAborted):
            port.read(machine.board.region("root").base, 4)
