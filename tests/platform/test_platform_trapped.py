"""Instructions of EL1 that HCR_EL2 traps to real EL2 code: in the interrupt hook, or in Python."""

import random
from typing import Any, Final

import pytest
from tests.platform.conftest import VECTORS, Guest

from cca_arch.sysregs import Hcr
from cca_platform.native import block as w
from cca_platform.pe.traps import Traps
from cca_platform.trace.sinks import Listing

_BITS: Final = (Hcr.tid1, Hcr.tid2, Hcr.tid3, Hcr.tacr, Hcr.tvm, Hcr.trvm, Hcr.tpu, Hcr.tsw, Hcr.ttlb, Hcr.twi, Hcr.tdz)
_CODE: Final = (
    "mrs x1, id_aa64pfr0_el1", "mrs x1, id_aa64mmfr0_el1", "mrs x1, id_aa64isar0_el1", "mrs x1, aidr_el1",
    "mrs x1, ctr_el0", "mrs x1, ccsidr_el1", "msr csselr_el1, xzr", "mrs x1, actlr_el1", "mrs x1, mair_el1",
    "msr mair_el1, x9", "msr contextidr_el1, x9", "mrs x1, contextidr_el1", "ic iallu", "tlbi vmalle1", "dc isw, xzr",
    "mrs x1, revidr_el1", "mrs x1, tpidr_el1", "msr tpidr_el1, x1", "mrs x1, midr_el1", "mrs x1, s3_0_c12_c11_3",
)  # fmt: skip
_HANDLER: Final = (
    "mrs x20, esr_el2; mrs x21, elr_el2; mrs x22, spsr_el2; mrs x23, cntpct_el0; eor x28, x20, x28, ror #3; "
    "add x28, x28, x21; eor x28, x28, x22; add x28, x28, x23; add x27, x27, #1; add x21, x21, #4; msr elr_el2, x21; "
    "tst x27, #7; b.ne out; mrs x24, hcr_el2; eor x24, x24, x25; msr hcr_el2, x24; out: eret"
)


def _outcome(guest: Guest, seed: int) -> list[Any]:
    chosen = random.Random(seed)
    flips, first = (sum(one.mask for one in chosen.sample(_BITS, 5)) for _ in range(2))
    source = "; ".join(f"{chosen.choice(_CODE)}; eor x26, x1, x26, ror #9" for _ in range(150))
    for offset in (0x200, 0x400):
        guest.place(VECTORS + 0x1000 + offset, _HANDLER)
        guest.place(VECTORS + offset, "mrs x21, elr_el1; add x21, x21, #4; msr elr_el1, x21; add x26, x26, #77; eret")
    guest.HCR |= first
    report = guest.enter(source, x25=flips, x26=0, x27=0, x28=0)
    pe = guest.pe
    return [report.x, guest.machine.clock.now, guest.machine.clock.exceptions, pe.retired, pe.words[w.P_NESTED]]


class TestTraps:
    """TID1, TID2, TID3, TVM and their kind."""

    @pytest.mark.parametrize("cpu", ["a72", "max"])
    @pytest.mark.parametrize("seed", range(6))
    def test_random(self, seed: int, cpu: str) -> None:
        """Random instructions end alike while EL2 changes what it traps."""
        found = []
        for traced in (False, True):
            guest = Guest(cpu)
            if traced:
                guest.machine.trace.add(Listing())
            found.append(_outcome(guest, seed))
            guest.machine.close()
        assert found[0] == found[1]

    @pytest.mark.pure("what is kept is patched")
    @pytest.mark.parametrize("seed", range(3))
    def test_kept(self, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
        """They end as they do where Python is asked each time."""
        found, kept = list[Any](), list[str]()
        keep = Traps.keep
        for way in ("hook", "python"):
            guest = Guest()
            known = keep if way == "hook" else lambda *given: None
            monkeypatch.setattr(Traps, "keep", lambda *given, way=way, known=known: kept.append(way) or known(*given))
            found.append(_outcome(guest, seed))
            guest.machine.close()
        assert found[0] == found[1]
        assert kept.count("hook") < found[0][0][27] == kept.count("python"), "some of them must be taken in the hook"

    @pytest.mark.pure("what is kept is patched")
    def test_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Python is asked once about an instruction that is trapped again and again."""
        guest = Guest()
        asked = []
        monkeypatch.setattr(guest.machine.traps, "keep", lambda *given: asked.append(1) or Traps.keep(
            guest.machine.traps, *given))  # fmt: skip
        guest.place(VECTORS + 0x1400, "mrs x21, elr_el2; add x21, x21, #4; msr elr_el2, x21; mov x1, #9; eret")
        guest.HCR |= Hcr.tid3.mask
        report = guest.enter("mov x3, #40; again: mrs x1, id_aa64pfr0_el1; subs x3, x3, #1; b.ne again")
        assert report.x[1] == 9 and report.x[3] == 0 and len(asked) == 1
        guest.machine.close()
