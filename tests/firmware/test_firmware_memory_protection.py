"""MEM_PROTECT and MEM_PROTECT_CHECK_RANGE at EL3: what a reset keeps of DRAM, and what the protection covers."""

import struct
from collections.abc import Callable
from typing import Any

import pytest
from ns_code import OFF, assemble, constant

from cca_arch.psci import Psci, PsciStatus
from cca_arch.smccc import REGISTER_MASK
from cca_platform.board import Bank

RESULTS, KEPT = 0x8900_0000, 0x9000_0000
WORD = 0x1122_3344_5566_7788
DENIED = PsciStatus.DENIED & REGISTER_MASK


def smc(fid: int, *arguments: int) -> str:
    """A call; X19 goes on by the result."""
    registers = "".join(constant(f"x{number}", value) for number, value in enumerate(arguments, 1))
    return f"{registers} {constant('x0', fid)} smc #0; str x0, [x19], #8;"


def results(boot_machine: Callable[..., Any], *calls: str, board: str = "fvp") -> list[int]:
    """What these calls of Non-secure EL2 return."""
    results = RESULTS if board == "fvp" else 0x4900_0000
    at = 0x8800_0000 if board == "fvp" else 0x4800_0000
    booted = boot_machine(board=board, ns_image=assemble(f"{constant('x19', results)} {' '.join(calls)} {OFF}", at))
    assert booted.machine.run(10_000) == "system off"
    return list(struct.unpack(f"<{len(calls)}Q", booted.machine.memory.backdoor.read(results, 8 * len(calls))))


class TestProtect:
    """MEM_PROTECT answers with the state before it, and is off at boot."""

    def test_states(self, boot_machine: Callable[..., Any]) -> None:
        """Zero in W1 turns it off, anything else on; the upper half of X1 does not count."""
        asked = (0, 1, 1, 0x8000_0000, 1 << 32, 0)
        assert results(boot_machine, *(smc(Psci.MEM_PROTECT, value) for value in asked)) == [0, 0, 1, 1, 1, 0]

    def test_features(self, boot_machine: Callable[..., Any]) -> None:
        """PSCI_FEATURES knows the three functions; MEM_PROTECT has no SMC64 form."""
        fids = (Psci.MEM_PROTECT, Psci.MEM_PROTECT_CHECK_RANGE, Psci.MEM_PROTECT_CHECK_RANGE_64, 0xC400_0013)
        answers = results(boot_machine, *(smc(Psci.FEATURES, fid) for fid in fids))
        assert answers == [0, 0, 0, PsciStatus.NOT_SUPPORTED & REGISTER_MASK]

    @pytest.mark.parametrize(
        ("calls", "kept"),
        [
            (((Psci.SYSTEM_RESET,),), True),
            (((Psci.MEM_PROTECT, 1), (Psci.SYSTEM_RESET,)), False),
            (((Psci.MEM_PROTECT, 1), (Psci.MEM_PROTECT, 0), (Psci.SYSTEM_RESET,)), True),
            (((Psci.MEM_PROTECT, 1), (Psci.SYSTEM_RESET2_64, 0)), True),
        ],
    )
    def test_reset(self, boot_machine: Callable[..., Any], calls: tuple[tuple[int, ...], ...], kept: bool) -> None:
        """A reset under protection overwrites nonvolatile DRAM, too; a warm reset turns the protection off first."""
        source = " ".join(smc(*call) for call in calls)
        booted = boot_machine(ns_image=assemble(f"{constant('x19', RESULTS)} {source} {OFF}"))
        machine, raw = booted.machine, booted.machine.memory.backdoor
        machine.nonvolatile = (Bank(KEPT, 0x1000),)
        raw.write64(KEPT, WORD)
        machine.reset(machine.run(10_000))
        assert raw.read64(KEPT) == (WORD if kept else 0)
        raw.write64(KEPT, WORD)
        machine.reset("again")
        assert raw.read64(KEPT) == WORD, "the protection is off after the reset"

    def test_snapshot(self, boot_machine: Callable[..., Any]) -> None:
        """A snapshot has it: with one from before, memory is not protected; with one from after, it is."""
        booted = boot_machine(ns_image=assemble(f"{constant('x19', RESULTS)} {smc(Psci.MEM_PROTECT, 1)} wfi; {OFF}"))
        machine, before = booted.machine, booted.machine.snapshot()
        assert machine.run(10_000) == "every PE waits for an interrupt that cannot come"
        after = machine.snapshot()
        for saved, protected in ((before, False), (after, True), (before, False)):
            machine.restore(saved)
            assert booted.firmware.save().psci.protected is protected


class TestCheckRange:
    """SUCCESS for what lies as a whole in one bank of DRAM that the boot leaves to the Non-secure world."""

    @pytest.mark.parametrize(
        ("base", "length", "covered"),
        [
            (0x8000_0000, 0x1000, True),
            (0x8000_0000, 0x7C00_0000, True),
            (0x8_8000_0000, 0x8000_0000, True),
            (0xFBFF_FFFF, 1, True),
            (0x8000_0000, 0, False),
            (0x7FFF_FFFF, 2, False),
            (0x8000_0000, 0x7C00_0001, False),
            (0xFC00_0000, 0x1000, False),
            (0x8_FFFF_F000, 0x1001, False),
            (REGISTER_MASK, 1, False),
            (1, REGISTER_MASK, False),
            (REGISTER_MASK, 0, False),
            (0, 1, False),
        ],
    )
    def test_ranges(self, boot_machine: Callable[..., Any], base: int, length: int, covered: bool) -> None:
        """Neither nothing, nor memory of another world, nor a range around the end of the address space."""
        answers = results(boot_machine, smc(Psci.MEM_PROTECT_CHECK_RANGE_64, base, length))
        assert answers == [PsciStatus.SUCCESS if covered else DENIED]

    def test_smc32(self, boot_machine: Callable[..., Any]) -> None:
        """The SMC32 form takes 32 bits of each register."""
        answers = results(
            boot_machine,
            smc(Psci.MEM_PROTECT_CHECK_RANGE, 5 << 32 | 0x8000_0000, 7 << 32 | 0x1000),
            smc(Psci.MEM_PROTECT_CHECK_RANGE_64, 5 << 32 | 0x8000_0000, 0x1000),
        )
        assert answers == [PsciStatus.SUCCESS, DENIED]

    def test_other_board(self, boot_machine: Callable[..., Any]) -> None:
        """The board says where DRAM is."""
        check = Psci.MEM_PROTECT_CHECK_RANGE_64
        calls = smc(check, 0x4000_0000, 0xBC00_0000), smc(check, 0x8_8000_0000, 0x1000)
        assert results(boot_machine, *calls, board="virt") == [PsciStatus.SUCCESS, DENIED]
