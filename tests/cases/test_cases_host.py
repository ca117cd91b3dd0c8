"""Witnesses of faults of the host: its vGIC, its scheduler, what it writes into a trace, and Realms without an end."""

import re
from pathlib import Path
from typing import Any

import pytest
from case_code import DUMP, realm_dumps, require
from realm_code import load
from rmm_host import RAM, to_code

import realmlab

GICD = 0x1_3FFF_0000
SGI_FRAME = 0x1_3FFE_0000
UART = 0x1_0100_0000
GICD_CTLR, ISENABLER, ISPENDR, ISACTIVER, IPRIORITYR, ICFGR = 0, 0x100, 0x200, 0x300, 0x400, 0xC00
IAR, EOIR, DIR = "S3_0_C12_C12_0", "S3_0_C12_C12_1", "S3_0_C12_C11_1"
CTLR, PMR, IGRPEN1, RPR = "S3_0_C12_C12_4", "S3_0_C4_C6_0", "S3_0_C12_C12_7", "S3_0_C12_C11_3"
SPIS = range(40, 46)
VIRTUAL_TIMER = 27
ACTIVE = 0x3F  # the bits of SPIS in their word of GICD_ISACTIVER, from SPIS.start


def store(address: int, value: int, size: str = "") -> str:
    """Write a word, or a byte with ``size`` "b"; uses X1 and X2."""
    return f"{load('x1', address)}; {load('x2', value)}; str{size} w2, [x1]; "


def read_active(register: int) -> str:
    """Read which of SPIS are active; uses X1."""
    shift = f"lsr x{register}, x{register}, #{SPIS.start - 32}"
    return f"{load('x1', GICD + ISACTIVER + 4)}; ldr w{register}, [x1]; {shift}; "


def spis(eoi_mode: int, priorities: list[int]) -> str:
    """SPIS with these priorities, edge-triggered and enabled; the vCPU takes them by IAR."""
    code = store(GICD + GICD_CTLR, 0x12) + store(GICD + ICFGR + 8, 0xAAAA_AAAA)
    for intid, priority in zip(SPIS, priorities, strict=True):
        code += store(GICD + IPRIORITYR + intid, priority, "b")
    code += f"mov x1, #{eoi_mode << 1}; msr {CTLR}, x1; mov x1, #0xF8; msr {PMR}, x1; "
    code += f"mov x1, #1; msr {IGRPEN1}, x1; isb; "
    return code + store(GICD + ISENABLER + 4, ACTIVE << SPIS.start - 32)


class TestVgic:
    def test_deactivation_of_more_than_there_are_list_registers(self, tmp_path: Path) -> None:
        """With EOImode = 1 a write to ICC_DIR_EL1 ends the interrupt that it names, in whatever order."""
        order = (45, 41, 43, 40, 44, 42)
        code = spis(1, [0xA0] * 6) + store(GICD + ISPENDR + 4, ACTIVE << SPIS.start - 32)
        for number in range(6):
            code += f"mrs x{3 + number}, {IAR}; msr {EOIR}, x{3 + number}; isb; "
        code += read_active(12) + DUMP
        for intid in order:
            code += f"mov x13, #{intid}; msr {DIR}, x13; isb; {read_active(12)} {DUMP}"
        taken, *ended = realm_dumps(code, tmp_path).registers
        require(sorted(taken[3:9]) == list(SPIS) and taken[12] == ACTIVE, "all are active")
        expected = [ACTIVE & ~sum(1 << one - SPIS.start for one in order[:count]) for count in range(1, 7)]
        assert [one[12] for one in ended] == expected

    def test_nested_interrupts(self, tmp_path: Path) -> None:
        """With EOImode = 0 six that interrupt each other end in order; the running priority goes back with them."""
        priorities = [0xA0, 0x90, 0x80, 0x70, 0x60, 0x50]
        code = spis(0, priorities)
        for number, intid in enumerate(SPIS):
            code += store(GICD + ISPENDR + 4, 1 << intid - 32) + f"mrs x{3 + number}, {IAR}; "
        code += read_active(12) + f"mrs x13, {RPR}; {DUMP}"
        for intid in reversed(SPIS):
            code += f"mov x14, #{intid}; msr {EOIR}, x14; isb; {read_active(12)} mrs x13, {RPR}; {DUMP}"
        taken, *ended = realm_dumps(code, tmp_path).registers
        assert (taken[3:9], taken[12], taken[13]) == (list(SPIS), ACTIVE, 0x50)
        left = [(ACTIVE >> count, [0xFF, *priorities][6 - count]) for count in range(1, 7)]
        assert [(one[12], one[13]) for one in ended] == left


OPEN = f"mov x1, #0xF0; msr {PMR}, x1; mov x1, #1; msr {IGRPEN1}, x1; isb; "
SUSPEND = f"{load('x0', 0xC400_0001)}; mov x1, #0; smc #0; "
EXPIRED = "mov x1, #1; msr cntv_cval_el0, x1; msr cntv_ctl_el0, x1; isb; "


def timer(enabled: bool = True, distributor: int = 2) -> str:
    """The virtual timer's PPI, with priority 0xA0, and the distributor."""
    code = store(GICD + GICD_CTLR, distributor) + store(SGI_FRAME + IPRIORITYR + VIRTUAL_TIMER, 0xA0, "b")
    return code + (store(SGI_FRAME + ISENABLER, 1 << VIRTUAL_TIMER) if enabled else "")


class TestIdle:
    @pytest.mark.parametrize(
        "interface",
        [
            f"mov x1, #0xF0; msr {PMR}, x1; msr {IGRPEN1}, xzr",
            f"mov x1, #0x80; msr {PMR}, x1; mov x1, #1; msr {IGRPEN1}, x1",
            f"mov x1, #1; msr {IGRPEN1}, x1",
        ],
        ids=["group-off", "masked", "reset"],
    )
    def test_interrupt_that_is_not_signalled(self, interface: str, tmp_path: Path) -> None:
        """A vCPU sleeps while its CPU interface signals nothing; if nothing can wake it, the run ends as idle."""
        _, result = realm_dumps(f"{timer()} {interface}; isb; {EXPIRED} wfi; wfi; wfi", tmp_path)
        assert result.reason == "idle"
        assert result.calls["RMI_REC_ENTER"] < 20

    @pytest.mark.parametrize("setup", [timer(enabled=False), timer(distributor=0)], ids=["interrupt-off", "gic-off"])
    @pytest.mark.parametrize("wait", ["wfi; ", SUSPEND], ids=["wfi", "suspend"])
    def test_interrupt_that_is_not_forwarded(self, setup: str, wait: str, tmp_path: Path) -> None:
        """Nor does the distributor or redistributor wake it with what it does not forward."""
        _, result = realm_dumps(f"{setup} {OPEN} {EXPIRED} {wait * 3}", tmp_path)
        assert result.reason == "idle"

    def test_masked_suspend(self, tmp_path: Path) -> None:
        """CPU_SUSPEND waits for what the CPU interface can signal, as WFI does."""
        _, result = realm_dumps(f"{timer()} {OPEN} msr {PMR}, xzr; {EXPIRED} {SUSPEND * 3}", tmp_path)
        assert result.reason == "idle"

    def test_running_priority(self, tmp_path: Path) -> None:
        """An interrupt of the priority that runs is not signalled; when that has ended, it is."""
        ping = store(SGI_FRAME + IPRIORITYR, 0xA0, "b") + store(SGI_FRAME + ISPENDR, 1)
        code = f"{timer()} {OPEN} {ping} mrs x3, {IAR}; {EXPIRED}"
        awake, result = realm_dumps(f"{code} msr {EOIR}, x3; isb; wfi; wfi; mrs x4, {IAR}; {DUMP}", tmp_path)
        assert (result.reason, awake[0][3], awake[0][4]) == ("system_off", 0, VIRTUAL_TIMER)
        _, result = realm_dumps(f"{code} wfi; wfi; wfi", tmp_path)
        assert result.reason == "idle"

    @pytest.mark.parametrize("wait", ["wfi; ", SUSPEND], ids=["wfi", "suspend"])
    def test_interrupt_that_is_signalled(self, wait: str, tmp_path: Path) -> None:
        """What is signalled and masked by PSTATE alone wakes the vCPU, before its wait or in it."""
        later = "mrs x1, cntvct_el0; add x1, x1, #200, lsl #12; msr cntv_cval_el0, x1; "
        later += "mov x1, #1; msr cntv_ctl_el0, x1; "
        for armed in (EXPIRED, later):
            code = f"{timer()} {OPEN} {armed} {wait} mrs x4, {IAR}; {DUMP}"
            awake, result = realm_dumps(code, tmp_path)
            assert (result.reason, awake[0][4]) == ("system_off", VIRTUAL_TIMER)


class Records:
    """A trace sink that keeps the records."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def write(self, record: dict[str, Any]) -> None:
        self.records.append(record)

    def close(self) -> None:
        """Nothing to close."""


class TestTrace:
    def test_text_of_several_bytes(self, tmp_path: Path) -> None:
        """The trace's texts of a UART, joined, are what the Realm has sent, character by character in UTF-8."""
        text, sink = "é€😀\n", Records()
        code = load("x1", UART) + "; " + "".join(f"mov w2, #{byte}; strb w2, [x1]; " for byte in text.encode())
        _, result = realm_dumps(code, tmp_path, trace=realmlab.Trace(sink))
        require(result.console == text.encode(), "the bytes arrive")
        writes = [record for record in sink.records if record["event"] == "console.write"]
        assert "".join(record["text"] for record in writes) == text

    def test_text_that_ends_early(self, tmp_path: Path) -> None:
        """What is no UTF-8 shows as U+FFFD, the rest of a character at the end of the run."""
        sink = Records()
        code = load("x1", UART) + "; " + "".join(f"mov w2, #{byte}; strb w2, [x1]; " for byte in b"\xffa\xe2\x82")
        realm_dumps(code, tmp_path, trace=realmlab.Trace(sink))
        writes = [record["text"] for record in sink.records if record["event"] == "console.write"]
        assert writes == ["\ufffd", "a", "", "", "\ufffd"]

    def test_large_numbers(self, tmp_path: Path) -> None:
        """No number of a trace is above 2^53: what has 64 bits is text."""
        path = tmp_path / "trace.jsonl"
        router = GICD + 0x6000 + 8 * SPIS.start
        sink = realmlab.Trace(realmlab.JsonLines(path))
        realm_dumps(f"{load('x1', router)}; mov x2, #-1; str x2, [x1]; ldr x3, [x1]", tmp_path, trace=sink)
        sink.close()
        numbers = re.findall(r"[:\[,]\s*(-?\d+)(?=[,}\]])", path.read_text())
        assert numbers and all(abs(int(number)) <= 1 << 53 for number in numbers)


class TestExceptionsWithoutEnd:
    """Exceptions without end in a Realm end the run, and the message says so."""

    def run(self, vector: str, folder: Path, before: str = "") -> realmlab.RunResult:
        """A Realm whose exceptions come to ``vector``; the first one is an access where nothing is."""
        start = f"{before}{load('x1', RAM + 0x800)}; msr vbar_el1, x1; isb; {load('x0', 0x100_0000)}; strb w0, [x0]"
        path = folder / "storm.bin"
        path.write_bytes(to_code(f"{start} @0xA00: {vector}"))
        with realmlab.Machine() as machine:
            return machine.run_realm(path, memory="16M", max_insns=20_000)

    def test_vector_that_faults(self, tmp_path: Path) -> None:
        """The vector's first instruction faults again."""
        result = self.run("strb w0, [x0]", tmp_path)
        assert (result.status, result.reason) == (3, "stuck")

    def test_moving_stack(self, tmp_path: Path) -> None:
        """The vector makes room on the stack first, as kernels do, and then faults again."""
        result = self.run("sub sp, sp, #16; strb w0, [x0]", tmp_path)
        assert (result.status, result.reason) == (3, "stuck")

    @pytest.mark.parametrize("way", ["sub sp, sp, #16", "add sp, sp, #256"])
    def test_moving_stack_in_new_memory(self, way: str, tmp_path: Path) -> None:
        """The host gives page after page to the stack of such exceptions; that is no progress."""
        result = self.run(f"{way}; stp x0, x1, [sp]; .word 0", tmp_path, f"{load('x2', RAM + 0x80_0000)}; mov sp, x2; ")
        assert (result.status, result.reason) == (3, "stuck")
