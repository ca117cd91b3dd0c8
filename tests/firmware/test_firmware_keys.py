"""Keys of pointer authentication at Non-secure EL2 and in the Secure world: EL3 and the RMM keep them apart."""

from pathlib import Path

import pytest
from case_code import ns_registers
from ns_code import OFF, assemble, constant
from secure_code import FAST, payload

import realmlab
from cca_arch.sysregs import REGISTERS
from cca_platform.isa.frame import KEYS

NAMES = [f"s3_0_c2_c{REGISTERS[name].crm}_{REGISTERS[name].op2}" for name in KEYS]
SIGN, AUTHENTICATE, RETAA = ".word 0xdac10041", ".word 0xdac11041", ".word 0xd65f0bff"  # PACIA, AUTIA X1, X2


def _set(base: int, names: list[str] = NAMES) -> str:
    return "; ".join(f"mov x9, #{base + number}; msr {name}, x9" for number, name in enumerate(names)) + "; "


class TestNonSecure:
    """Real code at EL2 and EL1."""

    def test_over_a_realm(self) -> None:
        """A host in C enters Realms; its keys are the same afterwards."""
        times = realmlab.NsImage((3).to_bytes(8, "little"), 0x9400_0000)  # how often it enters the REC
        with realmlab.NsMachine(["ns_enter", times], cpu="max") as machine:
            regs = machine.cpus[0].regs
            for number, name in enumerate(KEYS):
                setattr(regs, name, 0x1000 + number)
            result = machine.run(max_insns=20_000_000)
            assert result.status == 0
            assert [getattr(regs, name) for name in KEYS] == [0x1000 + number for number in range(10)]

    @pytest.mark.parametrize("el", [1, 2])
    def test_entry(self, el: int) -> None:
        """EL3 lets the images use pointer authentication: nothing traps at the level of their entry."""
        enable = f"mrs x3, sctlr_el{el}; {constant('x4', 1 << 31)} orr x3, x3, x4; msr sctlr_el{el}, x3; isb; "
        sign = f"mov x1, #0x7000; mov x2, #9; {SIGN}; mov x5, x1; {AUTHENTICATE}; cmp x1, #0x7, lsl #12; b.ne bad; "
        sign += "cmp x5, x1; b.eq bad; "
        source = f"{_set(0x11)} {enable} {sign} {OFF} bad: b bad;"
        with realmlab.NsMachine(realmlab.NsImage(assemble(source)), el=el, cpu="max") as machine:
            assert machine.run(max_insns=10_000).reason == "system_off"

    def test_absent(self) -> None:
        """Without FEAT_PAuth the registers are unknown to the API, too."""
        with realmlab.NsMachine(realmlab.NsImage(assemble(OFF))) as machine:
            with pytest.raises(AttributeError, match=r"not 'apiakeylo_el1'"):
                machine.cpus[0].regs.apiakeylo_el1  # noqa: B018 # the read is what is tested
            with pytest.raises(AttributeError, match=r"not 'apgakeyhi_el1'"):
                machine.cpus[0].regs.apgakeyhi_el1 = 1


def test_secure(tmp_path: Path) -> None:
    """The Secure payload finds its own keys in each call, from its start on, and the caller has its own after it."""
    path = tmp_path / "secure.bin"
    answer = f"mrs x1, {NAMES[0]}; mrs x2, {NAMES[9]}; mrs x3, {NAMES[4]}; add x9, x1, #1; msr {NAMES[0]}, x9; "
    answer += "mov x4, x3; mov x3, x2; mov x2, x1; mov x1, #0;"
    path.write_bytes(payload(start=_set(0x51), fast=answer))
    call = f"{constant('x0', FAST)} smc #0; mov x{{}}, x1; mov x{{}}, x2; mov x{{}}, x3; "
    own = f"mrs x18, {NAMES[0]}; mrs x19, {NAMES[9]}"
    x = ns_registers(f"{_set(0x21)} {call.format(10, 11, 12)} {call.format(13, 14, 15)} {own}", secure=path, cpu="max")
    assert x[10:13] == [0x51, 0x5A, 0x55]
    assert x[13:16] == [0x52, 0x5A, 0x55]
    assert x[18:20] == [0x21, 0x2A]
