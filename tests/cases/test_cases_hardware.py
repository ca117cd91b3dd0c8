"""Witnesses of faults of the hardware's model: real code at Non-secure EL2, in a Realm and at S-EL1."""

import struct
from pathlib import Path

import pytest
from case_code import DUMP, ns_registers, realm_dumps, require
from ns_code import OFF, UART0, assemble, constant, say
from realm_code import load
from rmm_host import RAM
from secure_code import payload

from cca_arch.psci import Psci
from cca_arch.rmi.v1_0 import Rmi
from realmlab import NsImage, NsMachine, NsResult

TABLES = 0x8900_0000
MAPPED = 0x8850_0000  # a page that nothing else uses
SECURE_MEMORY = 0xFC00_0000
SECURE_UART = 0x1C0B_0000
CNTBASE1 = 0x2A83_0000  # the Non-secure frame of the generic timer
DEVICES = 0x1_0000_0000  # IPA of a Realm's devices
REALM_UART = DEVICES + 0x100_0000
ALIGNMENT_FAULT = 0x25 << 26 | 0x21  # Data Abort of the same level
SYNDROME = 0xFC00_003F  # EC and DFSC
PA = 0xFFFF_FFFF_F000

STAGE_1 = (
    f"{load('x1', TABLES)}; msr ttbr0_el2, x1; {load('x1', 25 | 1 << 23 | 1 << 31 | 0x3500 | 5 << 16)}; "
    f"msr tcr_el2, x1; {load('x1', 0xFF)}; msr mair_el2, x1; tlbi alle2; dsb sy; isb; "
    f"{load('x1', 0x30C5_0835)}; msr sctlr_el2, x1; isb; "
)
"""At EL2: DRAM is mapped flat as Normal memory by ``flat_tables``, with caches on and SCTLR_EL2.A = 0."""


def flat_tables() -> dict[int, bytes]:
    """Stage 1 for 2 GiB from 0x8000_0000: the first in blocks of 2 MiB, the other is one block."""
    tables = bytearray(0x2000)
    struct.pack_into("<Q", tables, 8 * 2, TABLES + 0x1000 | 3)
    struct.pack_into("<Q", tables, 8 * 3, 0xC000_0000 | 0x701)
    for number in range(512):
        struct.pack_into("<Q", tables, 0x1000 + 8 * number, 0x8000_0000 + (number << 21) | 0x701)
    return {TABLES: bytes(tables)}


def run(source: str, max_insns: int = 1_000_000, **options: object) -> NsResult:
    """Run code at Non-secure EL2 on a machine of its own."""
    with NsMachine(NsImage(assemble(source)), **options) as machine:  # type: ignore[arg-type] # options of several types
        return machine.run(max_insns=max_insns)


PRINT = f"{constant('x10', UART0)} strb w9, [x10];"
"""Send the low byte of X9; uses X10."""


class TestCaches:
    def test_code_that_is_written_through_another_address(self) -> None:
        """After DC CVAU, IC IVAU, DSB and ISB the new code runs, whatever address it was written through."""
        root, written, executed = 0x8820_0000, 0x8810_0000, 0x1_0810_0000
        source = f"""
            {load("x0", root)}; mov x1, #512; mov x2, x0; clear: str xzr, [x2], #8; subs x1, x1, #1; b.ne clear;
            {load("x3", 0x401)}; str x3, [x0]; {load("x3", 0x8000_0705)}; str x3, [x0, #16]; str x3, [x0, #32]; dsb ish;
            {load("x3", 0xFF00)}; msr mair_el2, x3;
            {load("x3", 25 | 1 << 8 | 1 << 10 | 3 << 12 | 2 << 16 | 1 << 31 | 1 << 23)}; msr tcr_el2, x3;
            msr ttbr0_el2, x0; tlbi alle2; dsb ish; isb;
            mrs x3, sctlr_el2; {load("x4", 1 << 12 | 4 | 1)}; orr x3, x3, x4; msr sctlr_el2, x3; isb;
            {load("x20", written)}; {load("x21", executed)}; mov x22, #1;
            loop:
            {load("x4", 0x5280_0000)}; orr w4, w4, w22, lsl #5; {load("x5", 0xD65F_03C0)};
            str w4, [x20]; str w5, [x20, #4]; dc cvau, x20; dsb ish; ic ivau, x21; dsb ish; isb;
            blr x21; add w9, w0, #48; {PRINT}
            add x22, x22, #1; cmp x22, #6; b.ne loop; {OFF}
        """
        assert run(source).console == b"12345"


class TestTranslation:
    def test_address_translation_is_not_protected(self) -> None:
        """AT translates only: an address that its user may not access is still an address (DDI 0487 D8.12.2)."""
        at = "{load}; at s1e2{kind}, x2; isb; mrs {to}, par_el1; "
        page, secure = load("x2", MAPPED), load("x2", SECURE_MEMORY)
        x = ns_registers(
            STAGE_1
            + at.format(load=page, kind="r", to="x10")
            + f"{load('x0', Rmi.GRANULE_DELEGATE)}; {load('x1', MAPPED)}; smc #0; mov x12, x0; "
            + at.format(load=page, kind="r", to="x3")
            + at.format(load=page, kind="w", to="x4")
            + at.format(load=secure, kind="r", to="x5")
            + "mov x24, #0",
            flat_tables(),
        )
        require((x[10] & 1, x[10] & PA, x[12], x[24]) == (0, MAPPED, 0, 0), "the page is mapped, then delegated")
        assert [(value & 1, value & PA) for value in x[3:6]] == [(0, MAPPED), (0, MAPPED), (0, SECURE_MEMORY)]


class TestAlignment:
    @pytest.mark.parametrize("address", [REALM_UART + 1, 0x1_0200_0001], ids=["uart", "nobody"])
    def test_device_access_with_the_mmu_off(self, address: int, tmp_path: Path) -> None:
        """With stage 1 off an unaligned access is an alignment fault of the Realm's own EL, and no exit."""
        dumps, _ = realm_dumps(f"{load('x1', address)}; ldr w3, [x1]; {DUMP}", tmp_path)
        assert dumps[0][20] & SYNDROME == ALIGNMENT_FAULT

    def test_device_access_with_the_mmu_on(self, tmp_path: Path) -> None:
        """An unaligned access that stage 1 makes Device is an alignment fault of the Realm's own EL, and no exit."""
        root = RAM + 0x30_0000
        tables = (
            f"{load('x1', root)}; {load('x2', RAM | 0x701 | 1 << 2)}; str x2, [x1, #16]; "
            f"{load('x2', DEVICES | 0x401 | 1 << 54)}; str x2, [x1, #32]; "
        )
        on = (
            f"msr ttbr0_el1, x1; {load('x2', 25 | 1 << 23 | 0x3500 | 5 << 32)}; msr tcr_el1, x2; "
            f"{load('x2', 0xFF04)}; msr mair_el1, x2; tlbi vmalle1; dsb sy; isb; "
            f"{load('x2', 0x30D0_0805)}; msr sctlr_el1, x2; isb; "
        )
        access = f"{load('x1', REALM_UART)}; ldrb w4, [x1, #5]; ldr w3, [x1, #1]; {DUMP}"
        dumps, _ = realm_dumps(tables + on + access, tmp_path)
        assert dumps[0][20] & SYNDROME == ALIGNMENT_FAULT

    @pytest.mark.parametrize("code", ["ldar x3, [x2]", "ldarh w3, [x2]", "stlr x3, [x2]"])
    def test_ordered_access(self, code: str) -> None:
        """LDAR and STLR of an unaligned address in Normal memory are alignment faults, whatever SCTLR.A is (v8.0)."""
        x = ns_registers(f"{STAGE_1} mov x20, #0; {load('x2', MAPPED + 1)}; {code}", flat_tables())
        assert x[20] & SYNDROME == ALIGNMENT_FAULT

    @pytest.mark.parametrize("code", ["ldxr x3, [x2]", "ldaxr w3, [x2]", "ldxp x3, x4, [x2]"])
    def test_exclusive_access(self, code: str) -> None:
        """An exclusive load of an unaligned address is an alignment fault, too."""
        x = ns_registers(f"{STAGE_1} mov x20, #0; {load('x2', MAPPED + 1)}; {code}", flat_tables())
        assert x[20] & SYNDROME == ALIGNMENT_FAULT

    def test_plain_access(self) -> None:
        """A plain load of an unaligned address in Normal memory is none with SCTLR.A = 0."""
        x = ns_registers(f"{STAGE_1} mov x20, #0; {load('x2', MAPPED + 1)}; ldr x3, [x2]", flat_tables())
        assert x[20] == 0


class TestBoard:
    def test_memory_mapped_counter(self) -> None:
        """CNTPCT counts in the Non-secure frame of the FVP's generic timer, as drivers read it: 64 bits at once."""
        source = f"{constant('x1', CNTBASE1)} ldr x2, [x1]; mov w9, #70; cbz x2, end; mov w9, #80;"
        assert run(f"{source} end: {PRINT} {OFF}").console == b"P"

    def test_secure_physical_timer(self, tmp_path: Path) -> None:
        """CNTPS_*_EL1 exist at S-EL1."""
        skip = f"{say('U', SECURE_UART)} mrs x1, elr_el1; add x1, x1, #4; msr elr_el1, x1; eret;"
        start = f"adr x1, vectors; msr vbar_el1, x1; isb; msr S3_7_C14_C2_1, xzr; {say('K', SECURE_UART)}"
        path = tmp_path / "secure.bin"
        path.write_bytes(payload(start=start, more=f".balign 2048; vectors: .space 0x200; {skip}"))
        with NsMachine(NsImage(assemble(OFF)), secure=path) as machine:
            assert bytes(machine.uarts["uart2"].output) == b"K"

    def test_console(self) -> None:
        """A thousand characters come as they are sent, each with one look at the flags as PL011 drivers do."""
        poll = "again: ldr w2, [x10, #0x18]; tbnz w2, #5, again;"
        source = f"{constant('x10', UART0)} mov x11, #1000; mov w9, #120; {poll} strb w9, [x10]; subs x11, x11, #1;"
        assert run(f"{source} b.ne again; {OFF}").console == b"x" * 1000

    def test_multithreading_bit_of_a_psci_target(self) -> None:
        """PSCI takes the affinity of the FVP's MPIDR_EL1 with the MT bit, as TF-A does there."""
        affinity = f"mrs x1, mpidr_el1; {constant('x2', 0xFF_01FF_FFFF)} and x1, x1, x2; mov x2, #0;"
        call = f"{constant('x0', Psci.AFFINITY_INFO_64)} smc #0; mov w9, #80; cbz x0, end; mov w9, #70;"
        assert run(f"{affinity} {call} end: {PRINT} {OFF}").console == b"P"


class TestCpuModels:
    """``max`` is a CPU with what every RME machine has, so that official builds of test suites run."""

    def test_dit(self) -> None:
        """DIT can be read."""
        assert run(f"{say('A')} .word 0xD53B42A3; {say('D')} {OFF}", cpu="max").console == b"AD"

    def test_pointer_authentication(self) -> None:
        """RETAA returns."""
        assert run(f"adr x30, back; .word 0xD65F0BFF; back: {say('P')} {OFF}", cpu="max").console == b"P"


class TestExceptionsWithoutEnd:
    def test_on_one_of_several_pes(self) -> None:
        """Exceptions without end on one PE end the run while another one waits for it."""
        on = f"{constant('x0', Psci.CPU_ON_64)} mov x1, #0x100; adr x2, second; mov x3, #0; smc #0;"
        result = run(f"{on} first: b first; second: mov x0, #0; msr vbar_el2, x0; br x0;", max_insns=2_000_000)
        assert (result.status, result.reason) == (3, "stuck")
