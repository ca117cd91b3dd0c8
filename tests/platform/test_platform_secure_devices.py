"""The devices of the Secure world, from code at S-EL1, and from Non-secure code, which does not reach them."""

import struct
from pathlib import Path

import pytest
from case_code import ns_registers
from exact import exact_file
from ns_code import OFF, assemble
from realm_code import load
from secure_code import NOTES, payload

from cca_arch.sysregs import Fsc
from realmlab import NsImage, NsMachine

TRUSTED_WATCHDOG, COUNTER_CONTROL, TRUSTED_SRAM, TRUSTED_DRAM = 0x2A49_0000, 0x2A43_0000, 0x0400_0000, 0x0600_0000
WATCHDOG_IRQ, LOAD = 56, 33  # 33 edges of 32,768 Hz: about a millisecond
NONE = 1023


def notes(start: str, count: int, folder: Path) -> tuple[int, ...]:
    """What ``start`` at S-EL1 stores from X27 on."""
    path = folder / "secure.bin"
    path.write_bytes(payload(start=f"{load('x27', NOTES)}; {start}"))
    with NsMachine(NsImage(assemble(OFF)), secure=path, board=str(exact_file(folder))) as machine:
        return struct.unpack(f"<{count}Q", machine.memory.backdoor.read(NOTES, 8 * count))


class TestSecureWorld:
    """What a Secure payload finds."""

    def test_trusted_watchdog(self, tmp_path: Path) -> None:
        """The first time-out of the trusted watchdog is a Secure interrupt, at its time."""
        start = (
            f"mov x0, #0xff; msr S3_0_C4_C6_0, x0; mov x0, #1; msr S3_0_C12_C12_7, x0; isb; "
            f"{load('x28', TRUSTED_WATCHDOG)}; mov w0, #{LOAD}; str w0, [x28]; mrs x1, cntpct_el0; mov w0, #1; "
            f"str w0, [x28, #8]; none: mrs x5, S3_0_C12_C12_2; cmp x5, #{NONE}; b.eq none; mrs x2, cntpct_el0; "
            f"mrs x5, S3_0_C12_C12_0; ldr w6, [x28, #0x14]; str w0, [x28, #0xc]; str wzr, [x28, #8]; "
            f"ldr w7, [x28, #0x10]; msr S3_0_C12_C12_1, x5; sub x2, x2, x1; stp x2, x5, [x27]; stp x6, x7, [x27, #16]; "
        )
        ticks, intid, masked, raw = notes(start, 4, tmp_path)
        assert (intid, masked, raw) == (WATCHDOG_IRQ, 1, 0)
        period = 100_000_000 // 32_768
        assert (LOAD - 1) * period < ticks < (LOAD + 1) * period

    def test_counter(self, tmp_path: Path) -> None:
        """CNTControlBase has the frequency that firmware reads, and the counter of the PE."""
        start = (
            f"{load('x28', COUNTER_CONTROL)}; ldr w1, [x28, #0x20]; ldr w2, [x28]; ldr x3, [x28, #8]; "
            "mrs x4, cntpct_el0; stp x1, x2, [x27]; stp x3, x4, [x27, #16]; "
        )
        frequency, control, count, counter = notes(start, 4, tmp_path)
        assert (frequency, control) == (100_000_000, 1)
        assert counter - count == 1  # the second of two instructions

    @pytest.mark.parametrize("base", [TRUSTED_SRAM, TRUSTED_DRAM])
    def test_memory(self, tmp_path: Path, base: int) -> None:
        """Secure RAM keeps what is stored, by pairs and bytes."""
        start = (
            f"{load('x28', base + 0xFE8)}; {load('x1', 0x1122_3344_5566_7788)}; mvn x2, x1; stp x1, x2, [x28]; "
            "mov w3, #0xab; strb w3, [x28, #3]; ldp x4, x5, [x28]; ldrh w6, [x28, #6]; stp x4, x5, [x27]; "
            "str x6, [x27, #16]; "
        )
        first, second, middle = notes(start, 3, tmp_path)
        assert (first, second) == (0x1122_3344_AB66_7788, 0xEEDD_CCBB_AA99_8877)
        assert middle == 0x1122


@pytest.mark.parametrize("base", [TRUSTED_WATCHDOG, COUNTER_CONTROL, TRUSTED_SRAM, TRUSTED_DRAM])
@pytest.mark.parametrize("access", ["ldr w3, [x1]", "str wzr, [x1]"])
def test_non_secure_access(base: int, access: str) -> None:
    """Nothing of this answers Non-secure software: an external abort."""
    x = ns_registers(f"mov x20, #0; {load('x1', base)}; {access}")
    assert x[20] & 0x3F == Fsc.EXTERNAL
