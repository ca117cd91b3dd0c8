"""Registers of the GIC within the engine's hooks: what is kept of their values, and time."""

import random
from typing import Any

import pytest

from cca_arch.types import SecurityState
from cca_platform.gic.cpu import CpuInterface
from cca_platform.native import block as w

_PATCHED = "the CPU interface is patched"
NS, SECURE = SecurityState.NON_SECURE, SecurityState.SECURE
_PMR, _RPR, _CTLR = "s3_0_c4_c6_0", "s3_0_c12_c11_3", "s3_0_c12_c12_4"
_IAR1, _EOIR1, _HPPIR1, _SGI1R, _DIR = (
    "s3_0_c12_c12_0", "s3_0_c12_c12_1", "s3_0_c12_c12_2", "s3_0_c12_c11_5", "s3_0_c12_c11_1",
)  # fmt: skip
_BPR1, _IGRPEN1, _AP1R0 = "s3_0_c12_c12_3", "s3_0_c12_c12_7", "s3_0_c12_c9_0"
_ICH_HCR, _ICH_VMCR, _ICH_MISR, _ICH_ELRSR, _ICH_LR0, _ICH_LR1 = (
    "s3_4_c12_c11_0", "s3_4_c12_c11_7", "s3_4_c12_c11_2", "s3_4_c12_c11_5", "s3_4_c12_c12_0", "s3_4_c12_c12_1",
)  # fmt: skip
_READ = (_PMR, _PMR, _RPR, _CTLR, _IAR1, _HPPIR1, _BPR1, _IGRPEN1, _AP1R0)
_READ_EL2 = (*_READ, _ICH_HCR, _ICH_VMCR, _ICH_MISR, _ICH_ELRSR, _ICH_LR0, _ICH_LR1)
_WRITTEN = {
    _PMR: (0xF0, 0x80, 0x40), _EOIR1: (1, 2, 27), _DIR: (1, 2), _BPR1: (3, 5), _CTLR: (0, 2), _SGI1R: (1, 1 | 1 << 24),
    "cntv_tval_el0": (5, 50), "cntv_ctl_el0": (1, 0), _IGRPEN1: (1, 1, 0),
}  # fmt: skip
_WRITTEN_EL2 = {
    _ICH_HCR: (1, 3, 0), _ICH_VMCR: (0xF8 << 24 | 2, 0), _ICH_LR0: (5 << 60 | 0x21, 0), _ICH_LR1: (1 << 62 | 0x22,)
}  # fmt: skip


def _program(seed: int, el: int) -> str:
    """Reads and writes of GIC registers and of a timer that interrupts, between other instructions."""
    chosen, source = random.Random(seed), []
    written = _WRITTEN | (_WRITTEN_EL2 if el == 2 else {})
    for _ in range(150):
        if chosen.random() < 0.6:
            source.append(f"mrs x1, {chosen.choice(_READ_EL2 if el == 2 else _READ)}; eor x20, x1, x20, ror #7")
        else:
            register = chosen.choice(tuple(written))
            source.append(f"ldr x1, ={chosen.choice(written[register])}; msr {register}, x1")
        source.append(chosen.choice(("nop", "add x20, x20, #1; nop", "mrs x2, cntpct_el0; add x20, x20, x2, lsl #9")))
    return "; ".join(source)


def _outcome(bench: Any, seed: int, el: int) -> list[Any]:
    """Registers, GIC, time and counts in the end."""
    bench.enable_interrupts(0, 1, 27)
    x = bench.run(f"{_program(seed, el)}; smc #0", el=el)
    return [x, bench.machine.gic.save(), bench.machine.clock.now, bench.pe.retired]


class TestKept:
    """Values that native code answers."""

    @pytest.mark.pure(_PATCHED)
    @pytest.mark.parametrize("el", [1, 2])
    @pytest.mark.parametrize("seed", range(8))
    def test_random(self, benches: Any, monkeypatch: pytest.MonkeyPatch, seed: int, el: int) -> None:
        """Random accesses leave the same registers, GIC and time, whether values are kept or the GIC is asked."""
        found = [_outcome(benches(), seed, el)]
        monkeypatch.setattr(CpuInterface, "keep", lambda self, what, value: None)
        found.append(_outcome(benches(), seed, el))
        assert found[0] == found[1]

    @pytest.mark.pure(_PATCHED)
    def test_asked_once(self, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A register that does not change is asked for once."""
        asked, read = list[int](), CpuInterface.read

        def count(self: CpuInterface, *args: Any) -> int:
            asked.append(1)
            return read(self, *args)

        monkeypatch.setattr(CpuInterface, "read", count)
        bench.enable_interrupts()
        x = bench.run(f"mov x3, #50; again: mrs x1, {_PMR}; subs x3, x3, #1; b.ne again; smc #0")
        assert x[1] == 0xF0 and len(asked) == 1

    def test_level(self, bench: Any) -> None:
        """What EL2 has read of ICC_PMR_EL1 is not what its guest reads there with HCR_EL2.IMO: ICV_PMR_EL1."""
        bench.enable_interrupts()
        bench.vectors()
        guest = f"lower: mrs x3, {_PMR}; smc #0"
        source = (
            f"mrs x1, {_PMR}; ldr x2, =0x80000010; msr hcr_el2, x2; ldr x2, =0x60000002; msr {_ICH_VMCR}, x2; "
            f"mov x2, #0x3c5; msr spsr_el2, x2; adr x2, lower; msr elr_el2, x2; eret; {guest}"
        )
        x = bench.run(source, el=2)
        assert x[1] == 0xF0 and x[3] == 0x60

    @pytest.mark.parametrize("state", [NS, SECURE])
    def test_world(self, bench: Any, state: SecurityState) -> None:
        """Each Security state sees the priorities its own way, also if the other one has just looked."""
        bench.enable_interrupts()
        for one in (NS, SECURE, state):
            assert bench.run(f"mrs x1, {_PMR}; smc #0", one)[1] == (0xF8 if one is SECURE else 0xF0)

    def test_restored(self, bench: Any) -> None:
        """A restored machine reads what was saved, not what has been read since."""
        bench.enable_interrupts()
        saved = bench.machine.snapshot()
        source = f"mov x1, #0x80; msr {_PMR}, x1; mrs x2, {_PMR}; smc #0"
        assert bench.run(source)[2] == 0x80
        bench.machine.restore(saved)
        assert bench.run(f"mrs x2, {_PMR}; smc #0")[2] == 0xF0

    def test_undefined(self, bench: Any) -> None:
        """What is UNDEFINED is so each time, at its instruction, which is not retired."""
        bench.vectors("mrs x20, esr_el1; mrs x21, elr_el1; smc #0")
        x = bench.run(f"nop; mrs x1, {_ICH_HCR}; smc #0")
        assert x[20] >> 26 == 0 and x[21] == 0x8010_0004

    @pytest.mark.pure(_PATCHED)
    def test_error(self, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """An exception inside the GIC ends the run, as anywhere else."""

        def fail(self: CpuInterface, *args: Any) -> int:
            raise ZeroDivisionError("no GIC")

        monkeypatch.setattr(CpuInterface, "read", fail)
        with pytest.raises(Exception, match="no GIC"):
            bench.run(f"mrs x1, {_PMR}; smc #0")

    @pytest.mark.pure(_PATCHED)
    def test_counts(self, bench: Any) -> None:
        """Accesses are counted once each, and those before an access have passed when the GIC is asked."""
        seen = list[int]()
        bench.machine.gic.cpus[0].acknowledge = lambda *args: seen.append(bench.pe.words[w.P_RETIRED]) or 1023
        bench.run(f"nop; nop; mrs x1, {_IAR1}; nop; mrs x1, {_IAR1}; smc #0")
        assert seen == [2, 4] and bench.pe.retired == 6
