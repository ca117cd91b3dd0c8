"""Non-secure EL2 as real AArch64 code: it meets EL3 by SMC as a Python host does, and its registers survive."""

import struct
from pathlib import Path
from typing import Any

import pytest
from ns_code import ENTRY, OFF, assemble, constant

from cca_arch.psci import Psci, PsciStatus, mpidr_affinity
from cca_arch.rmi.v1_0 import Rmi
from cca_arch.smccc import NOT_SUPPORTED

RESULTS = 0x8900_0000
PAYLOADS = Path(__file__).parents[2] / "realm_payloads" / "bin"

def words(booted: Any, count: int) -> list[int]:
    return list(struct.unpack(f"<{count}Q", booted.machine.memory.backdoor.read(RESULTS, 8 * count)))


class TestCalls:
    @pytest.mark.parametrize("fid", [Rmi.VERSION, Rmi.REC_ENTER], ids=lambda fid: fid.name)
    def test_rmi(self, boot_machine: Any, fid: Rmi) -> None:
        """An RMI call changes X0..X4 and nothing else: X5..X30, SP and the EL2 registers are as they were.

        Also when the RMM gives the PE to a Realm meanwhile, with EL2 controls of its own.
        """
        kept = [number for number in range(5, 31) if number != 19]
        booted = boot_machine(
            ns_image=assemble(
                "".join(constant(f"x{number}", 0x1000_0000_0000 + number) for number in kept)
                + constant("x0", 0x8800_4000)
                + "mov sp, x0; msr vbar_el2, x0; add x0, x0, #1; msr tpidr_el2, x0;"
                + constant("x0", 0x8000_0000_0000_0010)
                + "orr x0, x0, #0x80000000; msr hcr_el2, x0; isb;"
                + constant("x19", RESULTS)
                + constant("x0", fid)
                + "mov x1, #0x10000; smc #0; stp x0, x1, [x19]; stp x2, x3, [x19, #16]; str x4, [x19, #32];"
                + "".join(f"str x{number}, [x19, #{8 * number}];" for number in kept)
                + "mov x0, sp; str x0, [x19, #256]; mrs x0, vbar_el2; str x0, [x19, #264];"
                + "mrs x0, tpidr_el2; str x0, [x19, #272]; mrs x0, hcr_el2; str x0, [x19, #280];"
                + "mrs x0, currentel; str x0, [x19, #288];"
                + OFF
            )
        )

        def answer(pe: Any) -> tuple[int, ...]:
            if fid == Rmi.REC_ENTER:
                pe.set_el2(hcr=0x8008_2001, vtcr=0x8002_3559, vttbr=0x7_0000_9000_0000, vmpidr=0x8000_0000)
            return (0x51, 0x52, 0x53, 0x54, 0x55)

        booted.rmm.answer = answer
        assert booted.machine.run(100_000) == "system off"
        found = words(booted, 37)
        assert found[:5] == [0x51, 0x52, 0x53, 0x54, 0x55]
        assert [found[number] for number in kept] == [0x1000_0000_0000 + number for number in kept]
        assert found[32:35] == [0x8800_4000, 0x8800_4000, 0x8800_4001]
        assert found[35] & 0x8008_3011 == 0x8000_0010
        assert found[36] == 2 << 2

    @pytest.mark.parametrize(
        ("fid", "immediate", "result"),
        [
            (Psci.VERSION, 0, 0x10001),
            (0x8000_0000, 0, 0x10005),
            (0xC400_01B0, 0, NOT_SUPPORTED),
            (0xC400_0190, 0, NOT_SUPPORTED),
            (0x1234, 0, NOT_SUPPORTED),
            (Psci.VERSION, 1, NOT_SUPPORTED),
            (Rmi.VERSION, 0xFFFF, NOT_SUPPORTED),
        ],
    )
    def test_smc(self, boot_machine: Any, fid: int, immediate: int, result: int) -> None:
        """Each SMC returns to the next instruction; every immediate but 0 is unknown."""
        booted = boot_machine(
            ns_image=assemble(
                f"{constant('x19', RESULTS)} {constant('x0', fid)} mov x1, #7; smc #{immediate}; stp x0, x1, [x19];"
                f"{OFF}"
            )
        )
        assert booted.machine.run(10_000) == "system off"
        assert words(booted, 2) == [result, 7]

    def test_reset(self, boot_machine: Any) -> None:
        """PSCI_SYSTEM_RESET ends the run and says so."""
        booted = boot_machine(ns_image=assemble(OFF.replace(f"#{Psci.SYSTEM_OFF & 0xFFFF}", "#9")))
        assert booted.machine.run(10_000) == "system reset: PSCI"

    def test_entry_state(self, boot_machine: Any) -> None:
        """The payload starts at EL2h with DAIF masked, general registers zero, and EL2 registers as after reset."""
        registers = ("sctlr_el2", "hcr_el2", "vtcr_el2", "vttbr_el2", "cntvoff_el2", "vmpidr_el2", "mpidr_el1")
        booted = boot_machine(
            ns_image=assemble(
                f"{constant('x19', RESULTS)} stp x0, x1, [x19]; stp x2, x3, [x19, #16]; mrs x5, currentel;"
                "mrs x6, daif; mrs x7, spsel; mrs x8, cptr_el2; stp x5, x6, [x19, #32]; stp x7, x8, [x19, #48];"
                + "".join(f"mrs x5, {name}; str x5, [x19, #{64 + 8 * at}];" for at, name in enumerate(registers))
                + OFF
            )
        )
        assert booted.machine.run(10_000) == "system off"
        found = words(booted, 15)
        assert found[:8] == [0, 0, 0, 0, 2 << 2, 0xF << 6, 1, 0x33FF]
        assert found[8:13] == [0x30C5_0830, 1 << 31, 0, 0, 0]  # HCR_EL2.RW is RAO/WI
        assert found[13] == found[14] == booted.pe.mpidr


class TestEl1:
    """Software that starts at EL1 has no EL2 above it."""

    def test_entry(self, boot_machine: Any) -> None:
        """EL1h, DAIF masked, SCTLR_EL1 as after reset; an SMC reaches EL3, HVC is undefined."""
        source = f"""
            {constant("x19", RESULTS)} mrs x5, currentel; mrs x6, daif; mrs x7, spsel; mrs x8, sctlr_el1;
            stp x5, x6, [x19]; stp x7, x8, [x19, #16];
            {constant("x0", Psci.VERSION)} smc #0; str x0, [x19, #32];
            {constant("x9", ENTRY)} msr vbar_el1, x9; isb; hvc #0
        """
        vector = assemble(f"mrs x5, esr_el1; str x5, [x19, #40]; {OFF}")
        booted = boot_machine(ns_image=assemble(source).ljust(0x200, b"\0") + vector, ns_el=1)
        assert booted.machine.run(10_000) == "system off"
        assert words(booted, 6) == [1 << 2, 0xF << 6, 1, 0x30D0_0800, 0x10001, 1 << 25]

    @pytest.mark.parametrize("fid", [Rmi.VERSION, Rmi.REC_ENTER], ids=lambda fid: fid.name)
    def test_rmi(self, boot_machine: Any, fid: Rmi) -> None:
        """It is a host as well: an RMI call comes back to EL1, also when a Realm ran meanwhile."""
        source = f"""
            {constant("x19", RESULTS)} {constant("x0", fid)} smc #0; str x0, [x19];
            mrs x1, currentel; str x1, [x19, #8]; {OFF}
        """
        booted = boot_machine(ns_image=assemble(source), ns_el=1)

        def answer(pe: Any) -> tuple[int, ...]:
            pe.set_el2(hcr=0x8008_2001, vtcr=0x8002_3559, vttbr=0x7_0000_9000_0000, vmpidr=0x8000_0000)
            return (0x51, 0, 0, 0, 0)

        if fid == Rmi.REC_ENTER:
            booted.rmm.answer = answer
        assert booted.machine.run(10_000) == "system off"
        assert words(booted, 2) == [0x51 if fid == Rmi.REC_ENTER else 0, 1 << 2]

    def test_second(self, boot_machine: Any) -> None:
        """CPU_ON starts the others at EL1 too."""
        source = f"""
            {constant("x0", Psci.CPU_ON_64)} {constant("x1", 0x100)} adr x2, second; mov x3, #0x77; smc #0;
        hang: b hang;
        second: {constant("x19", RESULTS)} mrs x1, currentel; stp x0, x1, [x19]; {OFF}
        """
        booted = boot_machine(ns_image=assemble(source), ns_el=1)
        assert booted.machine.run(1_000_000) == "system off"
        assert words(booted, 2) == [0x77, 1 << 2]


class TestPower:
    @pytest.mark.parametrize(
        ("state", "result", "slept"), [(0, 0, True), (1, PsciStatus.INVALID_PARAMETERS, False)]
    )
    def test_cpu_suspend(self, boot_machine: Any, state: int, result: int, slept: bool) -> None:
        """CPU_SUSPEND to standby returns when an interrupt is pending; a state that is not there is refused."""
        source = f"""
            {constant("x19", RESULTS)} mov x0, #0xf; msr s3_4_c12_c9_5, x0; isb; mov x0, #0xff; msr s3_0_c4_c6_0, x0;
            mov x0, #1; msr s3_0_c12_c12_7, x0;
            {constant("x1", 0x2F00_0000)} mov w0, #0x12; str w0, [x1];
            {constant("x1", 0x2F11_0100)} mov w0, #0x4000000; str w0, [x1];
            mov x0, #0x100000; msr cnthp_tval_el2, x0; mov x0, #1; msr cnthp_ctl_el2, x0; isb;
            {constant("x0", Psci.CPU_SUSPEND)} {constant("x1", state)} smc #0;
            mrs x1, cnthp_ctl_el2; stp x0, x1, [x19]; {OFF}
        """
        booted = boot_machine(ns_image=assemble(source))
        assert booted.machine.run(10_000_000) == "system off"
        assert words(booted, 2) == [result, 5 if slept else 1]

    def test_cpu_on_and_off(self, boot_machine: Any) -> None:
        """CPU_ON takes a PE through the RMM's warm boot to the entry point with X0 = context_id; CPU_OFF ends it."""
        source = f"""
            {constant("x19", RESULTS)} {constant("x0", Psci.CPU_ON_64)} {constant("x1", 0x100)}
            adr x2, second; mov x3, #0x77; smc #0; str x0, [x19];
            {constant("x0", Psci.CPU_ON_64)} smc #0; str x0, [x19, #8];
        wait: {constant("x0", Psci.AFFINITY_INFO_64)} {constant("x1", 0x100)} mov x2, #0; smc #0;
            cmp x0, #1; b.ne wait;
            {OFF}
        second: {constant("x19", RESULTS)} str x0, [x19, #16];
            {constant("x0", Psci.CPU_OFF)} smc #0; str x0, [x19, #24];
        hang: b hang;
        """
        booted = boot_machine(ns_image=assemble(source))
        second = booted.machine.pes[1]
        assert mpidr_affinity(second.mpidr) == 0x100
        assert not second.on
        assert booted.machine.run(1_000_000) == "system off"
        found = words(booted, 4)
        assert found[:3] == [PsciStatus.SUCCESS, PsciStatus.ALREADY_ON, 0x77]
        assert found[3] == 0
        assert not second.on
        assert [(index, x[:4]) for index, x in booted.rmm.entries[1:]] == [(1, [1, 0, 0, 0])]
        assert booted.firmware.boot_codes[:3] == [0, 0, None]

    def test_timers_are_off(self, boot_machine: Any) -> None:
        """A PE that comes on again finds its timers disabled, and no interrupt of them."""
        registers = ("cnthp_ctl_el2", "cntp_ctl_el0", "cntv_ctl_el0")
        source = f"""
            {constant("x19", RESULTS)} mov x20, #2;
        again: {constant("x0", Psci.CPU_ON_64)} {constant("x1", 0x100)} adr x2, second; mov x3, x20; smc #0;
        wait: {constant("x0", Psci.AFFINITY_INFO_64)} mov x2, #0; smc #0; cmp x0, #1; b.ne wait;
            sub x20, x20, #1; cbnz x20, again;
            {OFF}
        second: {constant("x19", RESULTS)}
            {"".join(f"mrs x1, {name}; str x1, [x19], #8; " for name in registers)} mov x1, #1;
            {"".join(f"msr {name}, x1; " for name in registers)} mrs x1, cnthp_ctl_el2; str x1, [x19];
            {constant("x0", Psci.CPU_OFF)} smc #0;
        """
        booted = boot_machine(ns_image=assemble(source))
        assert booted.machine.run(1_000_000) == "system off"
        assert words(booted, 4) == [0, 0, 0, 5]
        assert booted.machine.gic.cpus[1].interrupts.wire == 0

    def test_entry_not_ns(self, boot_machine: Any) -> None:
        """An entry point that NS software cannot fetch from is INVALID_ADDRESS, and the PE stays off."""
        booted = boot_machine(
            ns_image=assemble(
                f"{constant('x19', RESULTS)} {constant('x0', Psci.CPU_ON_64)} {constant('x1', 0x100)}"
                f"{constant('x2', 0xFFC0_0000)} smc #0; str x0, [x19]; {OFF}"
            )
        )
        assert booted.machine.run(10_000) == "system off"
        assert words(booted, 1) == [PsciStatus.INVALID_ADDRESS]
        assert not booted.machine.pes[1].on


class TestPayloads:
    @pytest.mark.parametrize("name", ["ns_rmi", "ns_gpf"])
    def test_payload(self, boot_machine: Any, name: str) -> None:
        """The NS payloads boot from their ELF files, run to SYSTEM_OFF, and find nothing wrong."""
        booted = boot_machine(ns_image=(PAYLOADS / f"{name}.elf").read_bytes())
        assert booted.machine.run(10_000_000) == "system off"
        assert b" 0 wrong" in booted.machine.bus.devices["uart0"].output
