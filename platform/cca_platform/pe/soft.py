"""MRS and MSR of PSTATE bits that the engine does not know: DIT and SSBS, at any level."""

from typing import Final

from cca_arch.fields import Field
from cca_arch.sysregs import Pstate, encodings
from cca_platform.isa.sysinsn import SystemInstruction, SystemKind
from cca_platform.native import block as w

__all__ = ["moved"]

_REGISTERS: Final[dict[tuple[int, ...], Field]] = {encodings.DIT: Pstate.dit, encodings.SSBS: Pstate.ssbs}
_IMMEDIATE: Final = {(3, 2): Pstate.dit, (3, 1): Pstate.ssbs}  # (op1, op2)
_NO_REGISTER: Final = 31


def moved(words: memoryview, x: memoryview, instruction: SystemInstruction) -> bool:
    """Do MRS DIT, MSR DIT, #imm and their like; False if it is no such instruction, or the CPU model lacks it.

    ``words`` is the PE block, ``x`` are X0 to X30.
    """
    if not words[w.P_FEATURES] & w.HAS_SOFT:
        return False
    kind, rt = instruction.kind, instruction.rt
    if kind is SystemKind.MSR_IMMEDIATE:
        field, value = _IMMEDIATE.get((instruction.op1, instruction.op2)), instruction.imm & 1
    else:
        field = _REGISTERS.get(instruction.encoding)
        value = 0 if field is None or rt == _NO_REGISTER else x[rt] >> field.low & 1
    if field is None:
        return False
    if kind is SystemKind.MRS:
        if rt != _NO_REGISTER:
            x[rt] = words[w.P_PSTATE] & field.mask
    else:
        words[w.P_PSTATE] = words[w.P_PSTATE] & ~field.mask | value << field.low
    return True
