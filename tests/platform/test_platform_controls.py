"""What a level in Python sets for the code below it."""

from typing import Any

from cca_arch.types import SecurityState
from cca_platform.isa import frame

CODE = 0x8010_0000
VECTORS = 0x8011_0000
DATA = 0x8012_0000
REALM = SecurityState.REALM


class TestRegisterFiles:
    """Register files move between engine and memory."""

    def test_register_files(self, bench: Any) -> None:
        """save_el1 stores the interrupted code's registers in memory; restore_el1 brings every one of them back."""
        memory, pe = bench.machine.memory, bench.pe
        values = {"tpidr_el0": 1, "tpidr_el1": 2, "vbar_el1": VECTORS, "contextidr_el1": 4, "mair_el1": 0xFF}
        for name, value in values.items():
            pe.write_sysreg(name, value)
        address = memory.backdoor.host_address(DATA, frame.EL1_FRAME_SIZE)
        seen: list[bytes] = []

        class Level2:
            def on_sync(self, pe: Any, esr: int, far: int, hpfar: int) -> None:
                pe.save_el1(address)
                seen.append(memory.backdoor.read(DATA, frame.EL1_FRAME_SIZE))
                for name in values:
                    pe.write_sysreg(name, 0x1000)
                pe.x[:] = memoryview(bytes(31 * 8)).cast("Q")
                pe.restore_el1(address)

            def on_irq(self, pe: Any) -> None:
                raise AssertionError("no interrupt is routed to this level")

            def on_eret(self, pe: Any) -> None:
                raise AssertionError("nobody enters this level")

        bench.machine.install(REALM, 2, Level2())
        after = "mrs x10, tpidr_el0; mrs x11, tpidr_el1; mov x12, sp; fmov x13, d3; smc #0"
        source = f"fmov d3, x3; mov sp, x4; hvc #0; {after}"
        x = bench.run(source, REALM, x3=0x4008_0000_0000_0000, x4=0x8033_0000, x30=9)
        assert x[3] == 0x4008_0000_0000_0000
        assert x[10:14] == [1, 2, 0x8033_0000, x[3]]
        assert x[30] == 9
        stored = seen[0]
        for name, value in {**values, "x30": 9, "sp_el1": 0x8033_0000, "pc": CODE + 12, "pstate": 0x3C5}.items():
            at = frame.offset(name)
            assert int.from_bytes(stored[at : at + 8], "little") & 0xFFFFFFFF == value, name
