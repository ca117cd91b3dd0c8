"""The other instructions that trap: system registers, exception generation, waiting and ERET, and their syndromes."""

from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

from cca_arch.sysregs import Encoding, SysregEsr, WfxEsr

__all__ = ["SystemInstruction", "SystemKind", "decode_system", "iss_sysreg", "iss_wfx"]


class SystemKind(Enum):
    """The instruction; the value is its mnemonic."""

    MSR = "MSR"
    MRS = "MRS"
    MSR_IMMEDIATE = "MSR (immediate)"
    SYS = "SYS"
    SYSL = "SYSL"
    SVC = "SVC"
    HVC = "HVC"
    SMC = "SMC"
    BRK = "BRK"
    HLT = "HLT"
    WFE = "WFE"
    WFI = "WFI"
    WFET = "WFET"
    WFIT = "WFIT"
    ERET = "ERET"
    ERETAA = "ERETAA"
    ERETAB = "ERETAB"


class SystemInstruction(NamedTuple):
    """A decoded system instruction; ``rt`` is 31 and the register fields are 0 if the instruction has none."""

    kind: SystemKind
    op0: int = 0
    op1: int = 0
    crn: int = 0
    crm: int = 0
    op2: int = 0
    rt: int = 31
    is_read: bool = False
    imm: int = 0  # imm16 of an exception, CRm of MSR (immediate)

    @property
    def encoding(self) -> Encoding:
        """The encoding of the register or operation."""
        return Encoding(self.op0, self.op1, self.crn, self.crm, self.op2)


_EXCEPTION: Final = {
    0xD4000001: SystemKind.SVC,
    0xD4000002: SystemKind.HVC,
    0xD4000003: SystemKind.SMC,
    0xD4200000: SystemKind.BRK,
    0xD4400000: SystemKind.HLT,
}
_WHOLE: Final = {
    0xD503205F: SystemInstruction(SystemKind.WFE),
    0xD503207F: SystemInstruction(SystemKind.WFI),
    0xD69F03E0: SystemInstruction(SystemKind.ERET),
    0xD69F0BFF: SystemInstruction(SystemKind.ERETAA),
    0xD69F0FFF: SystemInstruction(SystemKind.ERETAB),
}
_TIMED: Final = {0xD5031000: SystemKind.WFET, 0xD5031020: SystemKind.WFIT}
_TI: Final = {SystemKind.WFI: 0, SystemKind.WFE: 1, SystemKind.WFIT: 2, SystemKind.WFET: 3}
# (L, op0) -> kind; op0 = 0 holds hints, barriers and MSR (immediate)
_MOVE: Final = {
    (0, 1): SystemKind.SYS, (1, 1): SystemKind.SYSL,
    (0, 2): SystemKind.MSR, (1, 2): SystemKind.MRS,
    (0, 3): SystemKind.MSR, (1, 3): SystemKind.MRS,
}  # fmt: skip
_OP0, _OP2, _OP1 = SysregEsr.op0.low, SysregEsr.op2.low, SysregEsr.op1.low
_CRN, _RT, _CRM = SysregEsr.crn.low, SysregEsr.rt.low, SysregEsr.crm.low
_CONDITION: Final = int(WfxEsr.make(cv=1, cond=0b1110))
_RN, _RV = WfxEsr.rn.low, WfxEsr.rv.mask
_CRN_PSTATE: Final = 4  # CRn of MSR (immediate)


@lru_cache(maxsize=1 << 12)
def decode_system(word: int) -> SystemInstruction | None:
    """Decode a system instruction; returns None for any other word, including hints and barriers."""
    if word in _WHOLE:
        return _WHOLE[word]
    if (kind := _EXCEPTION.get(word & 0xFFE0001F)) is not None:
        return SystemInstruction(kind, imm=word >> 5 & 0xFFFF)
    if (kind := _TIMED.get(word & 0xFFFFFFE0)) is not None:
        return SystemInstruction(kind, rt=word & 31)
    if word >> 22 != 0b1101010100:
        return None
    is_read, op0, rt = word >> 21 & 1, word >> 19 & 3, word & 31
    op1, crn, crm, op2 = word >> 16 & 7, word >> 12 & 0xF, word >> 8 & 0xF, word >> 5 & 7
    move = _MOVE.get((is_read, op0))
    if move is not None:
        return SystemInstruction(move, op0, op1, crn, crm, op2, rt, bool(is_read))
    if (is_read, crn, rt) == (0, _CRN_PSTATE, 31):
        return SystemInstruction(SystemKind.MSR_IMMEDIATE, 0, op1, crn, crm, op2, imm=crm)
    return None


def iss_sysreg(instruction: SystemInstruction) -> int:
    """ISS of a trapped system register access or SYS operation; MSR (immediate) has Rt = 31."""
    return (
        instruction.op0 << _OP0
        | instruction.op2 << _OP2
        | instruction.op1 << _OP1
        | instruction.crn << _CRN
        | instruction.rt << _RT
        | instruction.crm << _CRM
        | instruction.is_read
    )


def iss_wfx(instruction: SystemInstruction) -> int:
    """ISS of a trapped WFI, WFE, WFIT or WFET: from AArch64, the condition is valid and AL."""
    timed = instruction.kind in _TIMED.values()
    return _CONDITION | (instruction.rt << _RN | _RV if timed else 0) | _TI[instruction.kind]
