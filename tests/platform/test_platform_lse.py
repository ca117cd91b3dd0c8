"""Atomic instructions, and other loads and stores of the CPU model ``max``, where they fault or meet a device."""

from collections.abc import Callable
from typing import Any

import pytest

IL, DATA, UART0 = 1 << 25, 0x9000_0000, 0x1C09_0000
TRANSLATION, PERMISSION, ALIGNMENT, UNSUPPORTED = 0x04, 0x0C, 0x21, 0x35
_CACHEABLE = 1 << 12  # HCR_EL2.DC: with stage 1 off, memory is Normal
# name -> (word, what it leaves at X0, the address, if that was 0x10); X1 = 3, X2 = 0x10, X3 is the result
ATOMICS: dict[str, tuple[int, int]] = {
    "ldadd": (0xF8210003, 0x13),
    "ldclral": (0xF8E21003, 0x00),
    "ldeora": (0xF8A12003, 0x13),
    "ldsetl": (0xF8613003, 0x13),
    "ldumax": (0xF8216003, 0x10),
    "ldsmin": (0xF8215003, 0x03),
    "ldaddb": (0x38210003, 0x13),
    "swpalh": (0x78E18003, 0x03),
    "swp": (0xB8218003, 0x03),
    "cas": (0xC8A27C01, 0x03),  # X2 is compared, X1 is stored
    "casalb": (0x08E2FC01, 0x03),
}
CASP = 0x48247C06  # CASP X4, X5, X6, X7, [X0]


@pytest.fixture
def guest(guests: Callable[..., Any]) -> Any:
    """A VM under real EL2 code, on PEs with FEAT_LSE."""
    guest = guests(cpu="max")
    guest.HCR |= _CACHEABLE
    return guest


def data_abort(fsc: int, *, wnr: int = 0, same: int = 0) -> int:
    return (0x24 | same) << 26 | IL | wnr << 6 | fsc


class TestStage2:
    """Faults of stage 2."""

    @pytest.mark.parametrize("name", ATOMICS)
    @pytest.mark.parametrize("el", [0, 1])
    def test_unmapped(self, guest: Any, name: str, el: int) -> None:
        """The read would fault, so WnR is 0; there is no ISV. Once it is mapped, the same instruction completes."""
        word, left = ATOMICS[name]
        raw = guest.machine.memory.backdoor
        got = guest.enter(f".word {word:#x}", el, x0=DATA + 0x128, x1=3, x2=0x10, x3=0x77)
        assert (got.level, got.esr) == (2, data_abort(TRANSLATION | 2))
        assert (got.far, got.hpfar, got.x[3]) == (DATA + 0x128, DATA >> 8, 0x77)
        guest.map(DATA, DATA, guest.S2)
        raw.write64(DATA + 0x128, 0x10)
        got = guest.enter(f".word {word:#x}", el, x0=DATA + 0x128, x1=3, x2=0x10, x3=0x77)
        assert got.level == (0 if el else 1)  # by the SVC
        assert raw.read64(DATA + 0x128) == left

    @pytest.mark.parametrize("name", ATOMICS)
    def test_read_only(self, guest: Any, name: str) -> None:
        """Only the write is refused: WnR is 1, and neither memory nor a register has changed."""
        raw = guest.machine.memory.backdoor
        raw.write64(DATA + 0x128, 0x10)
        guest.map(DATA, DATA, guest.S2 & ~(1 << 7))
        got = guest.enter(f".word {ATOMICS[name][0]:#x}", x0=DATA + 0x128, x1=3, x2=0x10, x3=0x77)
        assert (got.level, got.esr) == (2, data_abort(PERMISSION | 3, wnr=1))
        assert (got.x[1:4], raw.read64(DATA + 0x128)) == ([3, 0x10, 0x77], 0x10)

    def test_pair(self, guest: Any) -> None:
        """CASP, too: 16 bytes at once."""
        raw = guest.machine.memory.backdoor
        given = {"x0": DATA + 0x120, "x4": 1, "x5": 2, "x6": 8, "x7": 9}
        got = guest.enter(f".word {CASP:#x}", **given)
        assert (got.level, got.esr, got.far) == (2, data_abort(TRANSLATION | 2), DATA + 0x120)
        guest.map(DATA, DATA, guest.S2)
        raw.write(DATA + 0x120, (1).to_bytes(8, "little") + (2).to_bytes(8, "little"))
        assert guest.enter(f".word {CASP:#x}", **given).level == 0
        assert [raw.read64(DATA + 0x120), raw.read64(DATA + 0x128)] == [8, 9]
        got = guest.enter(f".word {CASP:#x}", **given)  # which does not compare equal now
        assert (got.x[4:6], raw.read64(DATA + 0x120)) == ([8, 9], 8)

    @pytest.mark.parametrize(
        ("word", "size", "sign", "sf", "wnr"),
        [
            (0xB8BFC003, 2, 0, 0, 0), (0xF8BFC003, 3, 0, 1, 0), (0xD9408003, 3, 0, 1, 0), (0x19808003, 0, 1, 1, 0),
            (0x99008003, 2, 0, 0, 1),
        ],
        ids=["ldapr w", "ldapr x", "ldapur", "ldapursb", "stlur w"],
    )  # fmt: skip
    def test_ordered(self, guest: Any, word: int, size: int, sign: int, sf: int, wnr: int) -> None:
        """FEAT_LRCPC2: the syndrome describes the access, with AR."""
        got = guest.enter(f".word {word:#x}", x0=DATA + 0x120)
        iss = 1 << 24 | size << 22 | sign << 21 | 3 << 16 | sf << 15 | 1 << 14
        assert (got.level, got.esr) == (2, data_abort(TRANSLATION | 2, wnr=wnr) | iss)


class TestAlone:
    """At EL1 without stage 2."""

    @staticmethod
    def _run(bench: Any, word: int, address: int, **registers: int) -> list[int]:
        bench.vectors()
        given = {"x0": address, "x1": 3, "x2": 0x10, "x3": 0x77, "x20": 0}
        return list(bench.run(f".word {word:#x}; smc #0", **given | registers))

    @pytest.mark.parametrize("name", ATOMICS)
    def test_device(self, benches: Any, name: str) -> None:
        """A device has no atomics: DFSC 0x35, and the device has not been accessed."""
        bench = benches(cpu="max")
        x = self._run(bench, ATOMICS[name][0], UART0)
        assert (x[20] & ~(1 << 6), x[21], x[3]) == (data_abort(UNSUPPORTED, same=1), UART0, 0x77)
        assert not bench.machine.bus.devices["uart0"].output

    @pytest.mark.parametrize("name", ["ldadd", "swp", "cas", "swpalh"])
    def test_unaligned(self, benches: Any, name: str) -> None:
        """Without FEAT_LSE2, an unaligned address is an alignment fault, with the MMU off as with it on."""
        x = self._run(benches(cpu="max"), ATOMICS[name][0], 0x8012_0001)
        assert x[20] & ~(1 << 6) == data_abort(ALIGNMENT, same=1)
        assert x[3] == 0x77

    @pytest.mark.parametrize("word", [0xB8BFC003, 0x99408003 & ~0x8000], ids=["ldapr", "ldapur"])
    def test_emulated(self, benches: Any, word: int) -> None:
        """Loads with ordering read a device: UARTFR, 0x90 when nothing is sent or received."""
        x = self._run(benches(cpu="max"), word, UART0 + 0x18)
        assert (x[20], x[3]) == (0, 0x90)

    def test_authenticated(self, benches: Any) -> None:
        """LDRAA reads a device, too, through its signed pointer."""
        bench = benches(cpu="max")
        bench.pe.set_el2(1 << 31 | 3 << 40, 0, 0, 0)
        x = self._run(bench, 0xF8200403, UART0 + 0x18)  # keys are off: the pointer is as it is
        assert (x[20], x[3]) == (0, 0x90)

    @pytest.mark.parametrize(("ldraa", "base"), [(0xF8200403, UART0 + 0x18), (0xF8203C03, UART0)])
    def test_signed(self, benches: Any, ldraa: int, base: int) -> None:
        """With a code in the bits above a VA of 39 bits; LDRAA with writeback leaves the authenticated address."""
        bench = benches(cpu="max")
        bench.pe.set_el2(1 << 31 | 3 << 40, 0, 0, 0)
        for name, value in (("apdakeylo_el1", 0x1234), ("sctlr_el1", 0x30D0_0800 | 1 << 27), ("tcr_el1", 25 | 1 << 23)):
            bench.pe.write_sysreg(name, value)
        bench.vectors()
        x = bench.run(f".word 0xdac12be0; mov x5, x0; .word {ldraa:#x}; smc #0", x0=base, x20=0)  # PACDZA X0
        assert x[5] >> 39 & 0x1FF
        assert (x[20], x[3] & 0xFF) == (0, 0x90)
        assert x[0] == (x[5] if base & 0xFF else UART0 + 0x18)

    def test_signed_where_nothing_is(self, benches: Any) -> None:
        """FAR of an abort is the authenticated address."""
        bench = benches(cpu="max")
        bench.pe.set_el2(1 << 31 | 3 << 40, 0, 0, 0)
        for name, value in (("apdakeylo_el1", 0x1234), ("sctlr_el1", 0x30D0_0800 | 1 << 27), ("tcr_el1", 25 | 1 << 23)):
            bench.pe.write_sysreg(name, value)
        bench.vectors()
        x = bench.run(".word 0xdac12be0; .word 0xf8200403; smc #0", x0=0x7000_0120, x20=0)
        assert x[20:22] == [0x25 << 26 | IL | 0x10, 0x7000_0120]
