"""CPU_SUSPEND at EL3: code at Non-secure EL2 that goes to sleep, and what wakes it."""

import struct
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ns_code import ENTRY, OFF, assemble, constant
from secure_code import BASE, FAST, NOTES, PREEMPT, YIELDING, notes, payload

from cca_arch.ffa import PARTITION_ID, Ffa
from cca_arch.psci import AffinityInfo, HwState, Psci, PsciStatus
from cca_arch.smccc import REGISTER_MASK
from cca_arch.sysregs import IccSgi
from cca_arch.tsp import PREEMPTED
from cca_platform import board
from cca_platform.board import Board
from cca_platform.machine.machine import Machine
from cca_platform.power import Level

FVP = tomllib.loads((Path(board.__file__).parent / "boards" / "fvp.toml").read_text())
RESULTS = 0x8900_0000
STANDBY, POWER_DOWN = 0, 1 << 16
CLUSTER, SYSTEM = POWER_DOWN | 1 << 24, POWER_DOWN | 2 << 24
GIC = f"""
    mov x0, #0xf; msr s3_4_c12_c9_5, x0; isb; mov x0, #0xff; msr s3_0_c4_c6_0, x0; mov x0, #1; msr s3_0_c12_c12_7, x0;
    {constant("x1", 0x2F00_0000)} mov w0, #0x12; str w0, [x1];
"""
"""Turns on the distributor and the CPU interface, for Group 1."""


def redistributor(pe: int) -> int:
    """The SGI frame of the redistributor of a PE."""
    return 0x2F11_0000 + 0x2_0000 * pe


def enable(intids: int, pe: int = 0) -> str:
    """Enable private interrupts in the redistributor."""
    return f"{constant('x1', redistributor(pe) + 0x100)} {constant('x0', intids)} str w0, [x1];"


def timer(ticks: int) -> str:
    """The hypervisor timer of this PE fires in so many ticks: INTID 26."""
    return f"{constant('x0', ticks)} msr cnthp_tval_el2, x0; mov x0, #1; msr cnthp_ctl_el2, x0; isb;"


def smc(fid: int, *arguments: str | int) -> str:
    """A call with these constants, or registers and labels by name."""
    code = ""
    for number, value in enumerate(arguments, 1):
        register = f"x{number}"
        if isinstance(value, int):
            code += constant(register, value)
        elif value[0] == "x":
            code += f"mov {register}, {value};"
        else:
            code += f"adr {register}, {value};"
    return f"{code} {constant('x0', fid)} smc #0;"


def suspend(state: int, entry: str | int = "woken", context_id: int = 0x77) -> str:
    return smc(Psci.CPU_SUSPEND_64, state, entry, context_id)


def words(machine: Machine, count: int) -> list[int]:
    return list(struct.unpack(f"<{count}Q", machine.memory.backdoor.read(RESULTS, 8 * count)))


def sleeper(state: int, context_id: int = 0x77, awake: str = "", after: str = "") -> bytes:
    """PE 0 sleeps until its timer fires. What it finds at the entry point, or behind the call, is at RESULTS."""
    return assemble(f"""
        {constant("x19", RESULTS)} {GIC} {enable(1 << 26)} {timer(0x10000)} msr daifset, #0xf;
        {suspend(state, context_id=context_id)}
        mrs x1, cnthp_ctl_el2; stp x0, x1, [x19]; {after} {OFF}
    woken: mov x9, x19; {constant("x19", RESULTS)} stp x0, x9, [x19, #16]; mrs x1, currentel; mrs x2, daif;
        stp x1, x2, [x19, #32]; mrs x1, sctlr_el2; mrs x2, s3_0_c12_c12_7; stp x1, x2, [x19, #48];
        {awake} {OFF}
    """)


class TestStandby:
    def test_wakes(self, boot_machine: Any) -> None:
        """An interrupt that PSTATE masks ends standby, which returns SUCCESS behind the call."""
        booted = boot_machine(ns_image=sleeper(STANDBY))
        assert booted.machine.run(1_000_000) == "system off"
        assert words(booted.machine, 3) == [PsciStatus.SUCCESS, 5, 0]

    @pytest.mark.parametrize("fid", [Psci.CPU_SUSPEND, Psci.CPU_SUSPEND_64])
    def test_does_not_wait(self, boot_machine: Any, fid: Psci) -> None:
        """Standby with the interrupt there already is over at once, and counts all the same."""
        booted = boot_machine(
            ns_image=assemble(f"""
                {constant("x19", RESULTS)} {GIC} {enable(1 << 26)} {timer(0)}
                {smc(fid, STANDBY)} {smc(Psci.STAT_COUNT_64, 0, STANDBY)} str x0, [x19];
                {smc(Psci.STAT_RESIDENCY_64, 0, STANDBY)} str x0, [x19, #8]; {OFF}
            """)
        )
        assert booted.machine.run(10_000) == "system off"
        assert words(booted.machine, 2) == [1, 0]

    def test_interrupt_is_taken(self, boot_machine: Any) -> None:
        """What wakes the PE stays pending for its own handler, if it does not mask it."""
        code = sleeper(STANDBY, after="mrs x0, s3_0_c12_c12_2; str x0, [x19, #16];")
        booted = boot_machine(ns_image=code)
        assert booted.machine.run(1_000_000) == "system off"
        assert words(booted.machine, 3)[2] == 26

    def test_masked_by_priority(self, boot_machine: Any) -> None:
        """Standby waits for what the CPU interface signals: not for an interrupt that ICC_PMR_EL1 masks."""
        code = assemble(f"{GIC} {enable(1 << 26)} msr s3_0_c4_c6_0, xzr; {timer(100)} {suspend(STANDBY, 0)} {OFF}")
        booted = boot_machine(ns_image=code)
        assert booted.machine.run(10_000) == "every PE waits for an interrupt that cannot come"

    def test_at_el1(self, boot_machine: Any) -> None:
        """Software at EL1 without EL2 sleeps alike."""
        booted = boot_machine(
            ns_el=1,
            ns_image=assemble(f"""
                {constant("x19", RESULTS)} mov x0, #0xff; msr s3_0_c4_c6_0, x0; mov x0, #1; msr s3_0_c12_c12_7, x0;
                {constant("x1", 0x2F00_0000)} mov w0, #0x12; str w0, [x1]; {enable(1 << 30)}
                {constant("x0", 0x10000)} msr cntp_tval_el0, x0; mov x0, #1; msr cntp_ctl_el0, x0; isb;
                {suspend(STANDBY)} mrs x1, cntp_ctl_el0; stp x0, x1, [x19]; {suspend(POWER_DOWN)} str x0, [x19, #16];
                mov x0, #2; msr cntp_ctl_el0, x0; {constant("x0", 0x10000)} msr cntp_tval_el0, x0; mov x0, #1;
                msr cntp_ctl_el0, x0; isb; {suspend(POWER_DOWN)} {OFF}
            woken: {constant("x19", RESULTS)} mrs x1, currentel; stp x0, x1, [x19, #24]; {OFF}
            """),
        )
        assert booted.machine.run(1_000_000) == "system off"
        assert words(booted.machine, 5) == [0, 5, 0, 0x77, 1 << 2]


class TestPowerDown:
    @pytest.mark.parametrize("state", [POWER_DOWN, CLUSTER, SYSTEM])
    def test_wakes(self, boot_machine: Any, state: int) -> None:
        """The PE comes back at the entry point as CPU_ON starts it: EL2h, masked, MMU off, X0 = context ID alone.

        The interrupt that woke it is pending in the redistributor; the CPU interface must be set up anew.
        """
        context_id = 0x1234_5678_9ABC_DEF0
        pending = f"{constant('x1', redistributor(0) + 0x200)} ldr w1, [x1];"
        awake = f"{pending} mrs x2, cnthp_ctl_el2; stp x1, x2, [x19, #64];"
        booted = boot_machine(ns_image=sleeper(state, context_id, awake))
        assert booted.machine.run(1_000_000) == "system off"
        found = words(booted.machine, 10)
        assert found[:8] == [0, 0, context_id, 0, 2 << 2, 0xF << 6, 0x30C5_0830, 0]
        assert found[8:] == [1 << 26, 5]
        assert [index for index, _ in booted.rmm.entries] == [0]  # the RMM has not been booted again

    def test_smc32(self, boot_machine: Any) -> None:
        """SMC32 passes 32 bits of the arguments."""
        code = f"{GIC} {enable(1 << 26)} {timer(0x10000)}"
        call = smc(Psci.CPU_SUSPEND, REGISTER_MASK << 32 & REGISTER_MASK | POWER_DOWN, "x20", REGISTER_MASK)
        booted = boot_machine(
            ns_image=assemble(
                f"{code} adr x20, woken; orr x20, x20, #0xffff00000000; {call} {OFF} "
                f"woken: {constant('x19', RESULTS)} str x0, [x19]; {OFF}"
            )
        )
        assert booted.machine.run(1_000_000) == "system off"
        assert words(booted.machine, 1) == [0xFFFF_FFFF]

    def test_masked_by_the_cpu_interface(self, boot_machine: Any) -> None:
        """The CPU interface loses its power, so neither ICC_PMR_EL1 nor ICC_IGRPEN1_EL1 keeps an interrupt away."""
        code = f"""
            {GIC} {enable(1 << 26)} msr s3_0_c4_c6_0, xzr; msr s3_0_c12_c12_7, xzr; {timer(100)} {suspend(POWER_DOWN)}
            {OFF} woken: {constant("x19", RESULTS)} str x0, [x19]; {OFF}
        """
        booted = boot_machine(ns_image=assemble(code))
        assert booted.machine.run(10_000) == "system off"
        assert words(booted.machine, 1) == [0x77]

    def test_never_wakes(self, boot_machine: Any) -> None:
        """Without an interrupt that can wake it, the run ends."""
        booted = boot_machine(ns_image=assemble(f"{suspend(POWER_DOWN, ENTRY)} {OFF}"))
        assert booted.machine.run(10_000) == "every PE waits for an interrupt that cannot come"
        assert booted.machine.power.off(0)

    def test_pending(self, boot_machine: Any) -> None:
        """With a wake-up interrupt there already, the call returns SUCCESS, and nothing is counted (as in TF-A)."""
        code = f"""
            {constant("x19", RESULTS)} {GIC} {enable(1 << 26)} {timer(0)} {suspend(CLUSTER)} str x0, [x19];
            {smc(Psci.STAT_COUNT_64, 0, POWER_DOWN)} str x0, [x19, #8]; {OFF} woken: b woken;
        """
        booted = boot_machine(ns_image=assemble(code))
        assert booted.machine.run(10_000) == "system off"
        assert words(booted.machine, 2) == [0, 0]

    def test_again(self, boot_machine: Any) -> None:
        """A PE that has been powered down sleeps in standby and powers down as before."""
        again = f"""
            add x21, x0, #1; {GIC} {timer(0x1000)} {suspend(STANDBY)} str x0, [x19, #72]; {timer(0x1000)}
            cmp x21, #0x79; b.eq done; {smc(Psci.CPU_SUSPEND_64, POWER_DOWN, "woken", "x21")} done: str x21, [x19, #64];
        """
        booted = boot_machine(ns_image=sleeper(POWER_DOWN, awake=again))
        assert booted.machine.run(1_000_000) == "system off"
        assert words(booted.machine, 10)[8:] == [0x79, 0]

    def test_virtual_interrupt(self, boot_machine: Any) -> None:
        """A virtual interrupt for the EL1 that called does not wake a PE that is powered down."""
        code = f"""
            {constant("x19", RESULTS)} {GIC} {enable(1 << 26)} {timer(0x10000)} {constant("x0", 0x8000_0090)}
            msr hcr_el2, x0; mov x0, #0x3c5; msr spsr_el2, x0; adr x0, guest; msr elr_el2, x0; isb; eret;
        guest: {suspend(POWER_DOWN)} mov x0, #1; str x0, [x19]; {OFF}
        woken: {constant("x19", RESULTS)} mrs x1, cnthp_ctl_el2; mrs x2, currentel; stp x0, x1, [x19];
            str x2, [x19, #16]; {OFF}
        """
        booted = boot_machine(ns_image=assemble(code))
        assert booted.machine.run(1_000_000) == "system off"
        assert words(booted.machine, 3) == [0x77, 5, 2 << 2]

    def test_serror(self, boot_machine: Any) -> None:
        """An SError wakes a PE, too, and is pending for the software that it wakes."""
        for state, found in ((STANDBY, [0, 1 << 8]), (POWER_DOWN, [0x77, 1 << 8])):
            code = f"{suspend(state)} woken: {constant('x19', RESULTS)} mrs x1, isr_el1; stp x0, x1, [x19]; {OFF}"
            booted = boot_machine(ns_image=assemble(f"msr daifset, #0xf; {code}"))
            booted.pe.run(limit=100)
            assert booted.pe.waiting
            booted.pe.raise_serror()
            assert booted.machine.run(10_000) == "system off"
            assert words(booted.machine, 2) == found

    def test_snapshot(self, boot_machine: Any) -> None:
        """A sleeping PE, its statistics and its domains are state: it wakes twice to the same end."""
        read = (
            f"{smc(fid, 0, state)} str x0, [x19], #8;"
            for fid in (Psci.STAT_COUNT_64, Psci.STAT_RESIDENCY_64)
            for state in (STANDBY, POWER_DOWN, CLUSTER)
        )
        awake = f"{GIC} {timer(0x3000)} {suspend(STANDBY)} {''.join(read)}"
        machine = boot_machine(ns_image=sleeper(CLUSTER, awake=awake)).machine
        machine.pes[0].run(limit=200)
        assert machine.power.off(0, Level.CLUSTER)
        saved = machine.snapshot()
        ends = []
        for _ in range(2):
            assert machine.run(1_000_000) == "system off"
            assert not machine.power.off(0)
            ends.append((words(machine, 10), machine.clock.now))
            machine.restore(saved)
            assert machine.power.off(0, Level.CLUSTER)
        assert ends[0] == ends[1]
        assert ends[0][0][:6] == [1, 1, 1, 122, 655, 655]


class TestRefused:
    @pytest.mark.parametrize(
        "state",
        [1, 0x8000, STANDBY | 1 << 24, STANDBY | 2 << 24, POWER_DOWN | 3 << 24, POWER_DOWN | 1]
        + [POWER_DOWN | 1 << bit for bit in (*range(17, 24), *range(26, 32))],
    )
    def test_state(self, boot_machine: Any, state: int) -> None:
        """A StateID, a level in standby, level 3, a reserved bit: INVALID_PARAMETERS, before the entry point."""
        code = f"{suspend(state, 1)} {constant('x19', RESULTS)} str x0, [x19]; {OFF}"
        booted = boot_machine(ns_image=assemble(code))
        assert booted.machine.run(10_000) == "system off"
        assert words(booted.machine, 1) == [PsciStatus.INVALID_PARAMETERS]

    @pytest.mark.parametrize("entry", [ENTRY + 2, 0x1C09_0000, 0xFFC0_0000, 0xFC00_0000, 1 << 63])
    def test_entry(self, boot_machine: Any, entry: int) -> None:
        """An entry point that Non-secure software cannot start at: INVALID_ADDRESS. Standby has none."""
        code = f"""
            {constant("x19", RESULTS)} {suspend(POWER_DOWN, entry)} str x0, [x19];
            {GIC} {enable(1 << 26)} {timer(0)} {suspend(STANDBY, entry)} str x0, [x19, #8]; {OFF}
        """
        booted = boot_machine(ns_image=assemble(code))
        assert booted.machine.run(10_000) == "system off"
        assert words(booted.machine, 2) == [PsciStatus.INVALID_ADDRESS, PsciStatus.SUCCESS]

    def test_program(self, booted: Any) -> None:
        """A Python program has no code to come back to."""
        assert booted.pe.smc(Psci.CPU_SUSPEND, POWER_DOWN, ENTRY)[0] == PsciStatus.DENIED


def two(first: str, state: int, pe: int = 1, entry: str = "woken", second: str = "") -> bytes:
    """PE ``pe`` comes on and goes to sleep; PE 0 does ``first`` meanwhile, and wakes it if ``first`` has ``WAKE``."""
    affinity = pe % 4 << 8 | pe // 4 << 16
    sgi = IccSgi.make(intid=5, aff1=pe % 4, aff2=pe // 4, targetlist=1)
    wake = f"{constant('x0', sgi)} msr s3_0_c12_c11_5, x0; hear: ldr x0, [x19, #232]; cbz x0, hear;"
    return assemble(f"""
        {constant("x19", RESULTS)} {GIC} {constant("x20", affinity)} {smc(Psci.CPU_ON_64, "x20", "second", 0)}
    wait: ldr x0, [x19, #248]; cbz x0, wait;
        {constant("x10", 100_000)} later: sub x10, x10, #1; cbnz x10, later;
        {first.replace(WAKE, wake)} {OFF}
    second: {constant("x19", RESULTS)} {GIC} {enable(1 << 5, pe)} {second} mov x0, #1; str x0, [x19, #248];
        {smc(Psci.CPU_SUSPEND_64, state, entry, 0x77)}
    woken: {constant("x19", RESULTS)} str x0, [x19, #240]; mov x0, #1; str x0, [x19, #232]; more: b more;
    """)


WAKE = "; wake up"


def stat(fid: int, state: int, at: int) -> str:
    """Stores a figure of PSCI_STAT of the PE in X20."""
    return f"{smc(fid, 'x20', state)} str x0, [x19, #{at}];"


class TestMeanwhile:
    @pytest.mark.parametrize("state", [STANDBY, POWER_DOWN, CLUSTER])
    def test_residency(self, boot_machine: Any, state: int) -> None:
        """The residency is the time from the call to the wake-up, in whole microseconds, each time added."""
        read = f"{stat(Psci.STAT_RESIDENCY_64, state, 0)} {stat(Psci.STAT_COUNT_64, state, 8)} {OFF}"
        code = f"""
            mov x21, #2; mov x20, #0;
        again: {constant("x10", 100_000)} later: sub x10, x10, #1; cbnz x10, later; {GIC} {enable(1 << 26)}
            {timer(250_050)} {smc(Psci.CPU_SUSPEND_64, state, "woken", "x21")} mov x0, x21;
        woken: sub x21, x0, #1; mov x20, #0; cbnz x21, again; {constant("x19", RESULTS)} {read}
        """
        machine = boot_machine(ns_image=assemble(code)).machine
        assert machine.run(2_000_000) == "system off"
        assert words(machine, 2) == [2 * 2500, 2]

    @pytest.mark.parametrize("state", [STANDBY, POWER_DOWN])
    def test_others(self, boot_machine: Any, state: int) -> None:
        """A sleeping PE is ON, is not turned on again, and wakes by an SGI."""
        first = f"""
            {smc(Psci.AFFINITY_INFO_64, "x20", 0)} str x0, [x19];
            {smc(Psci.CPU_ON_64, "x20", "second", 0)} str x0, [x19, #8]; {WAKE}
        """
        machine = boot_machine(ns_image=two(first, state)).machine
        assert machine.run(2_000_000) == "system off"
        found = words(machine, 31)
        assert found[:2] == [AffinityInfo.ON, PsciStatus.ALREADY_ON]
        assert found[30] == (0x77 if state else PsciStatus.SUCCESS)

    @pytest.mark.parametrize(
        ("state", "pe", "cluster_off"),
        [(CLUSTER, 4, True), (SYSTEM, 7, True), (POWER_DOWN, 4, False), (CLUSTER, 1, False)],
    )
    def test_last_man(self, boot_machine: Any, state: int, pe: int, cluster_off: bool) -> None:
        """A cluster is down while all of its PEs are off or have asked for that; the system never is."""
        booted = boot_machine(ns_image=two("", state, pe))
        power = booted.machine.power
        assert [power.off(index) for index in range(8)] == [False] + [True] * 7
        assert [power.off(index, Level.CLUSTER) for index in (0, 4)] == [False, True]
        assert booted.machine.run(2_000_000) == "system off"
        assert power.off(pe)
        assert power.off(pe, Level.CLUSTER) == cluster_off
        assert not power.off(pe, Level.SYSTEM)
        assert not power.off(0, Level.CLUSTER)

    @pytest.mark.parametrize(
        ("state", "pe", "counts"),
        [
            (STANDBY, 4, [1, 1, 0, 0]),
            (POWER_DOWN, 4, [0, 2, 0, 0]),
            (CLUSTER, 4, [0, 2, 1, 0]),
            (SYSTEM, 4, [0, 2, 1, 0]),
            (CLUSTER, 1, [0, 2, 0, 0]),
        ],
    )
    def test_statistics(self, boot_machine: Any, state: int, pe: int, counts: list[int]) -> None:
        """A state counts when it ends, that before CPU_ON included; a cluster is down from its last PE to its first.

        The residency is in microseconds of virtual time.
        """
        states = (STANDBY, POWER_DOWN, CLUSTER, SYSTEM)
        read = "".join(stat(Psci.STAT_COUNT_64, one, 8 * at) for at, one in enumerate(states))
        again = "".join(stat(Psci.STAT_COUNT_64, one, 64 + 8 * at) for at, one in enumerate(states))
        spent = "".join(stat(Psci.STAT_RESIDENCY, one, 128 + 8 * at) for at, one in enumerate(states))
        booted = boot_machine(ns_image=two(f"{spent} mov x21, x0; {read} {WAKE} {again} {spent}", state, pe))
        machine = booted.machine
        assert machine.run(2_000_000) == "system off"
        found = words(machine, 20)
        assert found[:4] == [0, 1, 0, 0]  # CPU_ON has ended the first power-down
        assert found[8:12] == counts
        asleep = [count > (at == 1) for at, count in enumerate(counts)]
        assert [spent >= 200 for spent in found[16:20]] == asleep  # 200,000 instructions at 1,000 MIPS

    def test_cpu_off(self, boot_machine: Any) -> None:
        """CPU_OFF takes its domains down and counts, once CPU_ON has ended it."""
        off = f"{smc(Psci.CPU_OFF)}"
        first = f"""
            {smc(Psci.AFFINITY_INFO_64, "x20", 0)} str x0, [x19]; {stat(Psci.STAT_COUNT_64, CLUSTER, 8)}
            {smc(Psci.CPU_ON_64, "x20", "woken", 0)} hear: ldr x0, [x19, #232]; cbz x0, hear;
            {stat(Psci.STAT_COUNT_64, CLUSTER, 16)} {stat(Psci.STAT_COUNT_64, POWER_DOWN, 24)}
        """
        booted = boot_machine(ns_image=two(first, STANDBY, 4, second=f"mov x0, #1; str x0, [x19, #248]; {off}"))
        assert booted.machine.run(2_000_000) == "system off"
        assert words(booted.machine, 4) == [AffinityInfo.OFF, 0, 1, 2]

    @pytest.mark.parametrize("target", [0x200_0000, 0x4_0000, 0x8100_0000_0000])
    def test_unknown(self, boot_machine: Any, target: int) -> None:
        """There are no figures for a PE or a state that does not exist."""
        code = f"""
            {constant("x19", RESULTS)} {GIC} {enable(1 << 26)} {timer(0)} {suspend(STANDBY, 0)}
            {smc(Psci.STAT_COUNT_64, 0, 0)} str x0, [x19]; {smc(Psci.STAT_COUNT_64, target, 0)} str x0, [x19, #8];
            {smc(Psci.STAT_COUNT_64, 0, 1)} str x0, [x19, #16]; {OFF}
        """
        booted = boot_machine(ns_image=assemble(code))
        assert booted.machine.run(10_000) == "system off"
        assert words(booted.machine, 3) == [1, 0, 0]


class TestSystemSuspend:
    def test_wakes(self, boot_machine: Any) -> None:
        """The last PE that is on powers the system down, and comes back at the entry point; its state counts."""
        code = f"""
            {constant("x19", RESULTS)} {GIC} {enable(1 << 26)} {timer(0x10000)}
            {smc(Psci.SYSTEM_SUSPEND_64, "woken", 0x1_2345_6789)} {OFF}
        woken: {constant("x19", RESULTS)} str x0, [x19]; mov x20, #0; {stat(Psci.STAT_COUNT_64, SYSTEM, 8)}
            {stat(Psci.STAT_RESIDENCY_64, SYSTEM, 16)} {OFF}
        """
        booted = boot_machine(ns_image=assemble(code))
        booted.pe.run(limit=200)
        assert booted.machine.power.off(0, Level.SYSTEM)
        assert booted.machine.run(1_000_000) == "system off"
        assert words(booted.machine, 3) == [0x1_2345_6789, 1, 655]

    def test_refused(self, boot_machine: Any) -> None:
        """DENIED while another PE is on, asleep or not; otherwise the entry point must be good."""
        call = smc(Psci.SYSTEM_SUSPEND_64, ENTRY + 2, 0)
        booted = boot_machine(ns_image=two(f"{call} str x0, [x19];", POWER_DOWN))
        assert booted.machine.run(2_000_000) == "system off"
        assert words(booted.machine, 1) == [PsciStatus.DENIED]
        booted = boot_machine(ns_image=assemble(f"{call} {constant('x19', RESULTS)} str x0, [x19]; {OFF}"))
        assert booted.machine.run(10_000) == "system off"
        assert words(booted.machine, 1) == [PsciStatus.INVALID_ADDRESS]

    def test_told(self, start: Any) -> None:
        """A Secure payload prepares, and learns that the whole system was down."""
        code = payload(resume=f"{constant('x9', NOTES)} str x0, [x9];")
        image = f"{GIC} {enable(1 << 26)} {timer(0x100)} {smc(Psci.SYSTEM_SUSPEND, 'woken', 0)} b .; woken: {OFF}"
        booted = start(code, ns_image=assemble(image))
        assert booted.machine.run(1_000_000) == "system off"
        assert notes(booted, 1) == [Level.SYSTEM]


class TestNodeHwState:
    def test_state(self, boot_machine: Any) -> None:
        """Whether a PE or its cluster has power; a PE in standby has."""
        for state, found in ((STANDBY, [HwState.ON] * 2), (POWER_DOWN, [1, 0]), (CLUSTER, [HwState.OFF] * 2)):
            calls = (smc(Psci.NODE_HW_STATE_64, "x20", level) for level in (Level.PE, Level.CLUSTER))
            read = "".join(f"{call} str x0, [x19, #{8 * at}];" for at, call in enumerate(calls))
            booted = boot_machine(ns_image=two(read, state, 4))
            assert booted.machine.run(2_000_000) == "system off"
            assert words(booted.machine, 2) == found

    @pytest.mark.parametrize(("target", "level"), [(0, 2), (0, 3), (0x4_0000, 0)])
    def test_refused(self, booted: Any, target: int, level: int) -> None:
        """A level above the cluster, or a PE that there is not."""
        assert booted.pe.smc(Psci.NODE_HW_STATE, target, level)[0] == PsciStatus.INVALID_PARAMETERS


class TestFeatures:
    def test_original(self, booted: Any) -> None:
        """CPU_SUSPEND takes the original format and has no OS-initiated mode; its statistics are there."""
        for name in ("CPU_SUSPEND", "SYSTEM_SUSPEND", "NODE_HW_STATE", "STAT_COUNT", "STAT_RESIDENCY"):
            for fid in (Psci[name], Psci[f"{name}_64"]):
                assert booted.pe.smc(Psci.FEATURES, fid)[0] == 0
        assert booted.pe.smc(Psci.FEATURES, Psci.SET_SUSPEND_MODE)[0] == PsciStatus.NOT_SUPPORTED
        assert booted.pe.smc(Psci.SET_SUSPEND_MODE, 1)[0] == PsciStatus.NOT_SUPPORTED

    def test_extended(self, boot_machine: Any, tmp_path: Any) -> None:
        """A board can choose the extended format: the recommended StateIDs, the type in bit 30."""
        board = tmp_path / "board.toml"
        board.write_text('like = "fvp"\n[psci]\nextended_state_id = true\n')
        refused = [0, 2, 0x22, POWER_DOWN, 1 << 30, 1 << 30 | 1, 1 << 30 | 0x20, 1 << 31 | 1, 1 << 30 | 0x2222]
        code = f"{constant('x19', RESULTS)}" + "".join(f"{suspend(state)} str x0, [x19], #8;" for state in refused)
        taken = f"""
            {GIC} {enable(1 << 26)} {timer(0x100)} {suspend(1)} str x0, [x19]; {timer(0x100)} {suspend(1 << 30 | 0x222)}
            {OFF} woken: {constant("x19", RESULTS + 8 * len(refused))} str x0, [x19, #8];
            {smc(Psci.FEATURES, Psci.CPU_SUSPEND_64)} str x0, [x19, #16]; {OFF}
        """
        booted = boot_machine(board=str(board), ns_image=assemble(code + taken))
        assert booted.machine.run(10_000) == "system off"
        found = words(booted.machine, len(refused) + 3)
        assert found == [PsciStatus.INVALID_PARAMETERS] * len(refused) + [0, 0x77, 2]

    def test_not_a_flag(self) -> None:
        """The key of a board is true or false."""
        with pytest.raises(ValueError, match=r"^psci\.extended_state_id: must be true or false, not 'yes'"):
            Board.parse({**FVP, "psci": {"extended_state_id": "yes"}}, "board")


class TestSecure:
    """A Secure payload is told of a power-down, and has the PE first when it wakes."""

    @pytest.mark.parametrize(("state", "level"), [(POWER_DOWN, Level.PE), (CLUSTER, Level.CLUSTER)])
    def test_told(self, start: Any, state: int, level: int) -> None:
        """It prepares at CPU_SUSPEND, and gets the level that was down at CPU_RESUME; its registers are kept."""
        code = payload(
            start=f"{constant('x27', 0xABCD)} msr tpidr_el1, x27;",
            suspend=f"{constant('x9', NOTES)} mov x8, #1; str x8, [x9];",
            resume=f"{constant('x9', NOTES)} mrs x8, tpidr_el1; stp x0, x8, [x9, #8]; str x27, [x9, #24];",
        )
        booted = start(code, ns_image=sleeper(state))
        assert booted.machine.run(1_000_000) == "system off"
        assert notes(booted, 4) == [1, level, 0xABCD, 0xABCD]
        assert words(booted.machine, 7)[2:] == [0x77, 0, 2 << 2, 0xF << 6, 0x30C5_0830]

    @pytest.mark.parametrize("state", [STANDBY, 1, POWER_DOWN | 1])
    def test_not_told(self, start: Any, state: int) -> None:
        """It has no part in standby, nor in a call that is refused."""
        booted = start(payload(suspend="b never;"), ns_image=sleeper(state))
        assert booted.machine.run(1_000_000) == "system off"
        assert words(booted.machine, 1)[0] == (PsciStatus.INVALID_PARAMETERS if state else PsciStatus.SUCCESS)

    def test_entry_refused(self, start: Any) -> None:
        """Nor in one with an entry point that is refused."""
        image = assemble(f"{suspend(POWER_DOWN, ENTRY + 1)} {constant('x19', RESULTS)} str x0, [x19]; {OFF}")
        booted = start(payload(suspend="b never;"), ns_image=image)
        assert booted.machine.run(1_000_000) == "system off"
        assert words(booted.machine, 1) == [PsciStatus.INVALID_ADDRESS]

    @pytest.mark.parametrize("fid", [Psci.CPU_SUSPEND_64, Psci.SYSTEM_OFF])
    def test_preempted(self, start: Any, fid: Psci) -> None:
        """A preempted call is dropped before the payload prepares; afterwards it serves others."""
        code = payload(
            yielding=f"{PREEMPT} b never;",
            aborted=f"{constant('x9', NOTES)} mov x8, #1; str x8, [x9];",
            suspend=f"{constant('x9', NOTES)} ldr x8, [x9]; str x8, [x9, #8];",
            system_off=f"{constant('x9', NOTES)} ldr x8, [x9]; str x8, [x9, #8];",
        )
        image = assemble(f"""
            {constant("x19", RESULTS)} {GIC} {enable(1 << 26)} {smc(YIELDING, 1)} str x0, [x19]; {timer(0x1000)}
            {smc(fid, POWER_DOWN, "woken", 0x77)} {OFF}
        woken: {constant("x19", RESULTS)} {smc(FAST, 5)} str x1, [x19, #8]; {OFF}
        """)
        booted = start(code, ns_image=image)
        assert booted.machine.run(1_000_000) == "system off"
        assert notes(booted, 2) == [1, 1]
        assert words(booted.machine, 2) == [PREEMPTED, 5 if fid == Psci.CPU_SUSPEND_64 else 0]

    def test_secure_interrupt(self, start: Any) -> None:
        """A Secure interrupt wakes the PE; the payload handles it once Non-secure software has the PE again."""
        code = payload(
            start=f"{constant('x1', redistributor(0) + 0x100)} mov w0, #0x200; str w0, [x1];"
            "mov x0, #0xff; msr s3_0_c4_c6_0, x0; mov x0, #1; msr s3_0_c12_c12_7, x0;",
            suspend="mov x0, #0x9000000; orr x0, x0, #1; msr s3_0_c12_c11_5, x0; isb;",
            interrupt=f"{constant('x9', NOTES)} mrs x8, s3_0_c12_c12_0; stp x8, x1, [x9]; msr s3_0_c12_c12_1, x8;",
        )
        booted = start(code, ns_image=sleeper(POWER_DOWN))
        assert booted.machine.run(1_000_000) == "system off"
        found = notes(booted, 2)
        assert found[0] == 9
        assert found[1] in range(ENTRY, ENTRY + 0x1000)
        assert words(booted.machine, 3)[2] == 0x77

    def test_partition(self, start: Any) -> None:
        """An FF-A partition has no vectors: it is not asked, and waits for messages before and after."""
        wait = f"{constant('x0', Ffa.MSG_WAIT)} smc #0; again: {constant('x0', Ffa.MSG_SEND_DIRECT_RESP)}"
        answer = f"{constant('x1', PARTITION_ID << 16)} mov x2, #0; mov x3, #0x33; smc #0; b again;"
        code = assemble(f"{wait} {answer}", BASE)
        ask = smc(Ffa.MSG_SEND_DIRECT_REQ, PARTITION_ID, 0)
        booted = start(code, ns_image=sleeper(POWER_DOWN, awake=f"{ask} stp x0, x3, [x19, #64];"))
        assert booted.machine.run(1_000_000) == "system off"
        found = words(booted.machine, 10)
        assert (found[2], found[8:]) == (0x77, [Ffa.MSG_SEND_DIRECT_RESP, 0x33])

    def test_without_vectors(self, start: Any) -> None:
        """A payload that could not start is not asked."""
        booted = start(payload(ready="mov x1, #0;", suspend="b never;"), ns_image=sleeper(POWER_DOWN))
        assert booted.machine.run(1_000_000) == "system off"
        assert words(booted.machine, 3)[2] == 0x77


class TestTrace:
    def test_returns(self, boot_machine: Any) -> None:
        """Standby returns in the trace, power-down does not; what wakes the PE is an interrupt to EL3."""
        for state, calls in ((STANDBY, ["smc.call", "smc.return"]), (POWER_DOWN, ["smc.call"])):
            asked = smc(Psci.VERSION)
            booted = boot_machine(ns_image=sleeper(state, awake=asked, after=asked), trace=True)
            assert booted.machine.run(1_000_000) == "system off"
            records = booted.records
            assert [one["event"] for one in records if one.get("name") == "PSCI_CPU_SUSPEND"] == calls
            assert [one["event"] for one in records if one.get("name") == "PSCI_VERSION"] == ["smc.call", "smc.return"]
            woke = [one for one in records if one["event"] == "interrupt.take"]
            assert [(one["intid"], one["target"]) for one in woke] == [(26, "0x3")]
