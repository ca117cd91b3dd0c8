"""Pointer authentication of the CPU model ``max``: every kind of instruction at every level, keys and traps."""

from itertools import product
from typing import Any

import pytest

from cca_arch.sysregs import REGISTERS, Scr
from cca_arch.types import SecurityState
from cca_platform.isa.frame import KEYS

CODE, VECTORS, DATA = 0x8010_0000, 0x8011_0000, 0x8012_0000
IL, RW, APK, API = 1 << 25, 1 << 31, 1 << 40, 1 << 41
ENABLE = 1 << 31 | 1 << 30 | 1 << 27 | 1 << 13  # EnIA, EnIB, EnDA, EnDB
KEY = "s3_0_c2_c{}_{}"
KEY_REGISTERS = [KEY.format(crm, op2) for crm, op2 in ((1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (2, 1), (2, 2), (2, 3))]
KEY_REGISTERS += [KEY.format(3, 0), KEY.format(3, 1)]
PACIA, AUTIA, PACDB, AUTDB = 0xDAC10000, 0xDAC11000, 0xDAC10C00, 0xDAC11C00
XPACI, PACGA = 0xDAC143E0, 0x9AC03000
PACIASP, AUTIASP, RETAA, ERETAA = 0xD503233F, 0xD50323BF, 0xD65F0BFF, 0xD69F0BFF
BLRAAZ, BRAB, LDRAA = 0xD63F081F, 0xD71F0C00, 0xF8200400
POINTER, MODIFIER = 0x0000_8012_3456_7890, 0x1234


def on(bench: Any, el: int) -> None:
    """Let code at ``el`` use every key."""
    register = "sctlr_el2" if el == 2 else "sctlr_el1"
    bench.pe.write_sysreg(register, bench.pe.read_sysreg(register) | ENABLE)
    bench.pe.set_el2(RW | APK | API, 0, 0, 0)
    for number, name in enumerate(KEYS):
        bench.pe.write_sysreg(name, 0x0123_4567_89AB_CDEF * (number + 1) & (1 << 64) - 1)


def word(value: int, rd: int = 0, rn: int = 0, rm: int = 0) -> str:
    return f".word {value | rd | rn << 5 | rm << 16:#x}"


def end(el: int) -> str:
    return "smc #0" if el else "svc #0"


@pytest.fixture
def max_(benches: Any) -> Any:
    """A bench with the CPU model ``max``, whose exceptions to EL1 and EL2 report X20 = ESR and X24 = the level."""
    bench = benches(cpu="max")
    for level in (1, 2):
        report = f"mrs x20, esr_el{level}; mrs x21, far_el{level}; mrs x22, elr_el{level}; mov x24, #{level}; smc #0"
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS + 0x1000 * level + offset, report)
        bench.pe.write_sysreg(f"vbar_el{level}", VECTORS + 0x1000 * level)
    return bench


class TestInstructions:
    """Pointers are signed and authenticated at EL0, EL1 and EL2."""

    @pytest.mark.parametrize("el", [0, 1, 2])
    @pytest.mark.parametrize(("sign", "authenticate"), [(PACIA, AUTIA), (PACDB, AUTDB)], ids=["IA", "DB"])
    def test_sign(self, max_: Any, el: int, sign: int, authenticate: int) -> None:
        """A signed pointer authenticates with its key and modifier alone."""
        on(max_, el)
        source = f"mov x1, x0; {word(sign, 1, 2)}; mov x3, x1; {word(authenticate, 3, 2)}; mov x4, x1; add x5, x2, #1; "
        source += f"{word(authenticate, 4, 5)}; mov x6, x1; {word(XPACI, 6)}; {end(el)}"
        x = max_.run(source, el=el, x0=POINTER, x2=MODIFIER)
        assert x[1] != POINTER
        assert x[1] & (1 << 48) - 1 == POINTER & (1 << 48) - 1
        assert (x[3], x[6]) == (POINTER, POINTER)
        assert x[4] != POINTER
        assert x[4] & (1 << 48) - 1 == POINTER & (1 << 48) - 1

    @pytest.mark.parametrize("el", [0, 1, 2])
    def test_off(self, max_: Any, el: int) -> None:
        """With SCTLR_ELx.EnIA = 0, PACIA and AUTIA do nothing, and RETAA is RET."""
        source = f"mov x1, x0; {word(PACIA, 1, 2)}; mov x3, x1; {word(AUTIA, 3, 2)}; adr x30, back; {word(RETAA)}; "
        x = max_.run(f"{source} mov x4, #1; back: {end(el)}", el=el, x0=POINTER, x4=0)
        assert (x[1], x[3], x[4]) == (POINTER, POINTER, 0)

    @pytest.mark.parametrize("el", [0, 1, 2])
    def test_return(self, max_: Any, el: int) -> None:
        """A function saves a signed return address, and RETAA returns there."""
        on(max_, el)
        source = f"mov sp, x9; adr x10, function; blr x10; mov x5, #7; {end(el)}; "
        source += f"function: {word(PACIASP)}; mov x6, x30; str x30, [sp, #-16]!; ldr x30, [sp], #16; {word(RETAA)}"
        x = max_.run(source, el=el, x9=DATA + 0x100, x5=0)
        assert x[5] == 7
        assert x[6] >> 48

    @pytest.mark.parametrize("el", [1, 2])
    def test_forged(self, max_: Any, el: int) -> None:
        """RETAA with an address that is not signed goes to a fetch that aborts, at a non-canonical address."""
        on(max_, el)
        x = max_.run(f"mov sp, x9; adr x30, back; {word(RETAA)}; back: smc #0", el=el, x9=DATA, x24=0)
        assert (x[20] >> 26, x[24]) == (0x21, el)
        assert x[21] >> 48
        assert x[21] & (1 << 48) - 1 == CODE + 12

    @pytest.mark.parametrize("el", [0, 1, 2])
    def test_branch_and_load(self, max_: Any, el: int) -> None:
        """BLRAAZ, BRAB and LDRAA take signed pointers."""
        on(max_, el)
        source = (
            f"adr x1, first; {word(PACIA | 0x2000, 1, 31)}; {word(BLRAAZ, 0, 1)}; first: adr x2, second; "
            f"{word(PACIA | 0x400, 2, 3)}; {word(BRAB | 3, 0, 2)}; mov x8, #1; second: mov x4, x5; "
            f"{word(PACIA | 0x2800, 4, 31)}; {word(LDRAA, 6, 4)}; {end(el)}"
        )
        max_.write(DATA, (0x1122_3344).to_bytes(8, "little"))
        x = max_.run(source, el=el, x3=MODIFIER, x5=DATA, x6=0, x8=0)
        assert (x[6], x[8]) == (0x1122_3344, 0)

    def test_exception_return(self, max_: Any) -> None:
        """ERETAA returns to a signed address."""
        on(max_, 2)
        source = f"mov sp, x9; adr x1, back; {word(PACIA, 1, 9)}; msr elr_el2, x1; msr spsr_el2, x2; {word(ERETAA)}; "
        x = max_.run(f"{source} mov x4, #1; back: mrs x3, currentel; smc #0", el=2, x2=0x3C9, x4=0, x9=DATA)
        assert (x[3], x[4]) == (8, 0)

    def test_generic(self, max_: Any) -> None:
        """PACGA is the upper half of QARMA5: the test vector of its publication (Avanzi 2016, QARMA-64, r = 5)."""
        on(max_, 1)
        for name, value in (("apgakeyhi_el1", 0x84BE85CE9804E94B), ("apgakeylo_el1", 0xEC2802D4E0A488E9)):
            max_.pe.write_sysreg(name, value)
        x = max_.run(f"{word(PACGA, 0, 1, 2)}; smc #0", x1=0xFB623599DA6E8127, x2=0x477D469DEC0B8762)
        assert x[0] == 0xC003B939 << 32

    @pytest.mark.parametrize(("bits", "pointer"), [(16, 1 << 56), (16, 1 << 54), (25, 1 << 46), (25, 1 << 62)])
    def test_no_address(self, max_: Any, bits: int, pointer: int) -> None:
        """A pointer whose upper bits are no sign extension is signed so that it does not authenticate."""
        on(max_, 1)
        max_.pe.write_sysreg("tcr_el1", bits | 1 << 23)  # without top byte ignore
        x = max_.run(f"mov x1, x0; {word(PACIA, 1, 2)}; mov x3, x1; {word(AUTIA, 3, 2)}; smc #0", x0=pointer | 0x1000)
        assert x[1] >> 48
        assert x[3] >> 61 & 3 == 1  # the error code of key A

    @pytest.mark.parametrize("el", [1, 2])
    def test_keys(self, max_: Any, el: int) -> None:
        """Ten registers, 64 bits each, at EL1 and EL2."""
        on(max_, el)
        names = KEY_REGISTERS
        source = "; ".join(f"add x1, x1, x2; msr {name}, x1" for name in names) + "; "
        source += "; ".join(f"mrs x{4 + number}, {name}" for number, name in enumerate(names))
        x = max_.run(f"{source}; smc #0", el=el, x1=0, x2=0x1111_1111_1111_1111)
        assert x[4:14] == [0x1111_1111_1111_1111 * number for number in range(1, 11)]
        assert [max_.pe.read_sysreg(name) for name in KEYS] == x[4:14]
        assert [REGISTERS[name] for name in KEYS] == [(3, 0, 2, int(n[9]), int(n[11])) for n in names]


_SAMPLES = {
    "pacia": word(PACIA, 1, 2), "paciasp": word(PACIASP), "pacga": word(PACGA, 1, 1, 2), "autdb": word(AUTDB, 1, 2),
    "retaa": word(RETAA), "braab": word(BRAB | 3, 0, 2), "ldraa": word(LDRAA, 6, 4),
}  # fmt: skip


_WITH_EL2 = (SecurityState.NON_SECURE, SecurityState.REALM)


class TestTraps:
    """HCR_EL2 and SCR_EL3 {APK, API}: without them, what uses keys traps."""

    @staticmethod
    def _run(bench: Any, source: str, el: int, hcr: int) -> list[int]:
        """Run at EL1 or EL0 below EL2 code that has written HCR_EL2."""
        on(bench, 1)
        setup = "msr hcr_el2, x10; adr x9, lower; msr elr_el2, x9; msr spsr_el2, x16; eret; lower: "
        given = {"x10": hcr, "x16": 0x3C5 if el else 0x3C0, "x24": 0, "x20": 0}
        return list(bench.run(f"{setup}{source}; {end(el)}", el=2, **given))

    @pytest.mark.parametrize("el", [0, 1])
    @pytest.mark.parametrize("name", _SAMPLES)
    def test_instruction(self, max_: Any, name: str, el: int) -> None:
        """HCR_EL2.API = 0: each instruction that would use a key is EC 0x09, without ISS, at EL2."""
        x = self._run(max_, _SAMPLES[name], el, RW | APK)
        assert (x[20], x[22], x[24]) == (0x09 << 26 | IL, CODE + 20, 2)

    @pytest.mark.parametrize("el", [0, 1])
    def test_stripping(self, max_: Any, el: int) -> None:
        """XPACI uses no key, and does not trap."""
        assert self._run(max_, f"{word(XPACI, 1)}", el, RW)[24] == (0 if el else 1)

    @pytest.mark.parametrize("name", KEY_REGISTERS)
    @pytest.mark.parametrize("write", [0, 1])
    def test_keys(self, max_: Any, name: str, write: int) -> None:
        """HCR_EL2.APK = 0: each access of EL1 to a key is EC 0x18 at EL2."""
        x = self._run(max_, f"msr {name}, x7" if write else f"mrs x7, {name}", 1, RW | API)
        crm, op2 = int(name[9]), int(name[11])
        iss = 3 << 20 | op2 << 17 | 2 << 10 | 7 << 5 | crm << 1 | (1 - write)
        assert (x[20], x[24]) == (0x18 << 26 | IL | iss, 2)

    def test_keys_at_el0(self, max_: Any) -> None:
        """EL0 has no access: the instruction is undefined whatever HCR_EL2 says."""
        for hcr in (RW, RW | APK | API):
            x = self._run(max_, f"mrs x7, {KEY_REGISTERS[0]}", 0, hcr)
            assert (x[20], x[24]) == (IL, 1)

    def test_kept(self, max_: Any) -> None:
        """HCR_EL2.APK and API read as they were written; on ``a72`` they are RES0."""
        assert max_.run("msr hcr_el2, x1; mrs x2, hcr_el2; smc #0", el=2, x1=RW | APK | API)[2] == RW | APK | API

    def test_res0(self, benches: Any) -> None:
        """A PE without FEAT_PAuth has neither control."""
        x = benches().run("msr hcr_el2, x1; mrs x2, hcr_el2; smc #0", el=2, x1=RW | APK | API)
        assert x[2] == RW

    @pytest.mark.parametrize(
        ("state", "el"), [*((SecurityState.SECURE, el) for el in (0, 1)), *product(_WITH_EL2, range(3))]
    )
    def test_el3(self, max_: Any, state: SecurityState, el: int) -> None:
        """SCR_EL3 of each world: without API an instruction is EC 0x09 at EL3, without APK a key is EC 0x18."""
        on(max_, el)
        both = Scr.apk.mask | Scr.api.mask
        max_.machine.scr[state] = both & ~Scr.api.mask
        max_.run(f"{word(PACIA, 1, 2)}; {end(el)}", state, el)
        assert max_.el3.syndromes[-1] == 0x09 << 26 | IL
        max_.machine.scr[state] = both & ~Scr.apk.mask
        other = SecurityState.REALM if state is SecurityState.NON_SECURE else SecurityState.NON_SECURE
        max_.run("smc #0", other)  # whose SCR_EL3 forbids nothing
        max_.run(f"mrs x1, {KEY_REGISTERS[0]}; {end(el)}", state, el)
        undefined, trapped = 0x17 << 26 | IL, 0x18 << 26 | IL | 3 << 20 | 2 << 10 | 1 << 5 | 1 << 1 | 1
        assert max_.el3.syndromes[-1] == (trapped if el else undefined)  # the report of EL1 ends with an SMC

    def test_el2_first(self, max_: Any) -> None:
        """What both EL2 and EL3 trap is EL2's."""
        max_.machine.scr[SecurityState.NON_SECURE] = 0
        assert self._run(max_, word(PACIA, 1, 2), 1, RW)[24] == 2
