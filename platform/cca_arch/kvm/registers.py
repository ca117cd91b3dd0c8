"""The identifiers of registers in KVM_GET_ONE_REG and KVM_SET_ONE_REG."""

from typing import Final

from cca_arch.fields import Bits, Field
from cca_arch.kvm.structures import KvmRegs
from cca_arch.sysregs.encodings import Encoding

__all__ = ["ARM64", "CORE", "FW", "PSCI_VERSION", "SYSREG", "RegId", "core", "gpr", "sysreg", "vector"]

ARM64: Final = 0x60
"""RegId.arch of arm64."""
CORE: Final = 0x10
"""RegId.coproc of the core registers: the members of kvm_regs."""
SYSREG: Final = 0x13
FW: Final = 0x14
"""RegId.coproc of what KVM's firmware has in place of registers."""
_WORD: Final = 4
_U64: Final = 3
_VECTOR: Final = 16  # bytes


class RegId(Bits):
    """An identifier: ``size`` is the logarithm of the bytes; ``index`` depends on ``coproc``."""

    index = Field(15, 0)
    coproc = Field(27, 16)
    rest = Field(51, 28)
    size = Field(55, 52)
    arch = Field(63, 56)


class SysregIndex(Bits):
    """RegId.index of a system register."""

    op2 = Field(2, 0)
    crm = Field(6, 3)
    crn = Field(10, 7)
    op1 = Field(13, 11)
    op0 = Field(15, 14)


def core(member: str, index: int = 0) -> int:
    """A member of kvm_regs; ``index`` selects one of an array."""
    found = KvmRegs.members[member]
    size = found.size.bit_length() - 1
    offset = found.offset + index * found.size
    return int(RegId.make(arch=ARM64, size=size, coproc=CORE, index=offset // _WORD))


def gpr(number: int) -> int:
    """X0 to X30."""
    return core("regs", number)


def vector(number: int) -> int:
    """V0 to V31."""
    index = (KvmRegs.offset("vregs") + _VECTOR * number) // _WORD
    return int(RegId.make(arch=ARM64, size=_VECTOR.bit_length() - 1, coproc=CORE, index=index))


def sysreg(encoding: Encoding) -> int:
    """A system register by its encoding."""
    index = SysregIndex.make(
        op0=encoding.op0, op1=encoding.op1, crn=encoding.crn, crm=encoding.crm, op2=encoding.op2
    )  # fmt: skip
    return int(RegId.make(arch=ARM64, size=_U64, coproc=SYSREG, index=index))


PSCI_VERSION: Final = int(RegId.make(arch=ARM64, size=_U64, coproc=FW, index=0))
"""KVM_REG_ARM_PSCI_VERSION."""
