"""Native transfer of the engine's registers: single ones, and whole register files.

Calls Unicorn's public C functions through the addresses in the PE block, so that the compiled code can be cached on
disk. Nothing here imports Unicorn: the register numbers are constants, which the engine checks against Unicorn's own.
"""

from typing import Final

from cca_arch.sysregs import CPTR_EL2_RES1, HCR_EL2_OPEN, Cnthctl, Hcr, encodings
from cca_platform.engine import pmu
from cca_platform.isa.frame import EL1_FRAME_SIZE, offset, offset_el2
from cca_platform.isa.pstate import stack
from cca_platform.mmu.regime import EL2, regime_of
from cca_platform.native import block as w
from cca_platform.native.jit import (
    call_batch,
    call_control,
    call_reg_read,
    call_reg_write,
    jit,
    load64,
    store32,
    store64,
)

__all__ = [
    "CNTHCTL_RESET",
    "PAR_EL1",
    "PC",
    "PSTATE",
    "SP",
    "SP_EL0",
    "TB_REMOVE",
    "TB_REMOVE_PHYSICAL",
    "TLB_FLUSH",
    "UNICORN_REGISTERS",
    "VECTOR",
    "X0",
    "X29",
    "XZR",
    "clear_file",
    "drop_code",
    "flush_tlb",
    "general",
    "get",
    "get_system",
    "jump",
    "load_el1",
    "load_file",
    "load_regime",
    "put",
    "put_system",
    "save_el1",
    "save_el2",
    "select_sp",
    "set_el2",
    "store_file",
    "touch",
]

X0: Final = 199
X29: Final = 1
SP: Final = 4
XZR: Final = 7
PC: Final = 260
PSTATE: Final = 265
SP_EL0: Final = 270
PAR_EL1: Final = 284
CP: Final = 290
_NO_GENERAL, _BEYOND = 31, 29  # SP; X29 and X30 are not beside the others
_JUMP: Final = 8  # the first of the scratch words for ``jump``
VECTOR: Final = 1  # in place of an encoding: a register of 16 bytes
TLB_FLUSH: Final = 11 | 1 << 30  # UC_CTL_TLB_FLUSH with UC_CTL_IO_WRITE
TB_REMOVE: Final = 0x4800_0009  # UC_CTL_TB_REMOVE_CACHE with two arguments and UC_CTL_IO_WRITE
TB_REMOVE_PHYSICAL: Final = 0x4800_0011  # the same for UC_CTL_TB_REMOVE_PHYSICAL of platform/engine

CNTHCTL_RESET: Final = Cnthctl.el1pcen.mask | Cnthctl.el1pcten.mask
"""EL1PCEN, EL1PCTEN."""
_ENGINE_HCR: Final = HCR_EL2_OPEN | Hcr.twi.mask | Hcr.tid3.mask  # what it traps for a Python level above
_NO_TRAPS: Final = CPTR_EL2_RES1
_TLBI_ALLE1: Final = 1 << 16 | 4 << 12 | 8 << 8 | 7 << 4 | 4  # its op0, op1, CRn, CRm, op2
_SCTLR_EL1: Final = encodings.SCTLR_EL1.packed
_TCR_EL1: Final = encodings.TCR_EL1.packed
_TTBR0_EL1: Final = encodings.TTBR0_EL1.packed
_TTBR1_EL1: Final = encodings.TTBR1_EL1.packed
_MAIR_EL1: Final = encodings.MAIR_EL1.packed
_SCTLR_EL2: Final = encodings.SCTLR_EL2.packed
_TCR_EL2: Final = encodings.TCR_EL2.packed
_TTBR0_EL2: Final = encodings.TTBR0_EL2.packed
_MAIR_EL2: Final = encodings.MAIR_EL2.packed
_HCR_EL2: Final = encodings.HCR_EL2.packed
_MDCR_EL2: Final = encodings.MDCR_EL2.packed
_CPTR_EL2: Final = encodings.CPTR_EL2.packed
_VMPIDR_EL2: Final = encodings.VMPIDR_EL2.packed
_VPIDR_EL2: Final = encodings.VPIDR_EL2.packed
_TPIDR_EL3: Final = encodings.TPIDR_EL3.packed
UNICORN_REGISTERS: Final = {
    "X0": X0, "X29": X29, "SP": SP, "XZR": XZR, "PC": PC, "PSTATE": PSTATE, "SP_EL0": SP_EL0,
    "PAR_EL1": PAR_EL1, "CP_REG": CP,
}  # fmt: skip

_FRAME_SP_EL0, _FRAME_SP_EL1, _FRAME_PC, _FRAME_PSTATE = 31, 32, 33, 34  # words of an EL1&0 frame
_FRAME_SP_EL2: Final = offset_el2("sp_el2")
assert [offset(name) // 8 for name in ("x30", "sp_el0", "sp_el1", "pc", "pstate")] == [30, 31, 32, 33, 34]


@jit("i8(i8)")
def general(number: int) -> int:
    """The engine's number of X0 to X30, or of SP for 31."""
    if number == _NO_GENERAL:
        return SP
    return X0 + number if number < _BEYOND else X29 + number - _BEYOND


@jit("i8(i8, i8)")
def get(p: int, register: int) -> int:
    """Read a register of the engine of up to 64 bits."""
    scratch = p + 8 * w.P_SCRATCH
    store64(scratch, 0)  # Unicorn writes only 32 bits of PSTATE
    call_reg_read(load64(p + 8 * w.P_UC_REG_READ), load64(p + 8 * w.P_UC), register, scratch)
    return load64(scratch)


@jit("i8(i8, i8, i8)")
def put(p: int, register: int, value: int) -> int:
    """Write a register of the engine."""
    scratch = p + 8 * w.P_SCRATCH
    store64(scratch, value)
    store64(p + 8 * w.P_SHADOW_VALID, 0)
    return call_reg_write(load64(p + 8 * w.P_UC_REG_WRITE), load64(p + 8 * w.P_UC), register, scratch)


@jit("i8(i8, i8)")
def jump(p: int, pc: int) -> int:
    """Write PC inside a hook: the engine leaves the block after the present instruction, and goes on there.

    By the batch call. The single one has the engine keep its PC at the next exit, too, whenever that is.
    """
    scratch = p + 8 * (w.P_SCRATCH + _JUMP)
    store64(scratch, PC)
    store64(scratch + 8, scratch + 16)
    store64(scratch + 16, pc)
    store64(p + 8 * w.P_SHADOW_VALID, 0)
    return call_batch(load64(p + 8 * w.P_UC_REG_BATCH), load64(p + 8 * w.P_UC), scratch, scratch + 8, 1)


@jit("i8(i8, i8)")
def _select(p: int, encoding: int) -> int:
    """Build Unicorn's ``uc_arm64_cp_reg`` in the scratch words; ``encoding`` is op0:op1:CRn:CRm:op2, 4 bits each."""
    scratch = p + 8 * w.P_SCRATCH
    store32(scratch, encoding >> 8 & 15)
    store32(scratch + 4, encoding >> 4 & 15)
    store32(scratch + 8, encoding >> 16 & 15)
    store32(scratch + 12, encoding >> 12 & 15)
    store32(scratch + 16, encoding & 15)
    return scratch


@jit("i8(i8, i8)")
def get_system(p: int, encoding: int) -> int:
    """Read a system register of the engine by its encoding."""
    scratch = _select(p, encoding)
    call_reg_read(load64(p + 8 * w.P_UC_REG_READ), load64(p + 8 * w.P_UC), CP, scratch)
    return load64(scratch + 24)


@jit("i8(i8, i8, i8)")
def _write_system(p: int, encoding: int, value: int) -> int:
    """Write a system register that is in no EL1&0 frame, or that the caller accounts for."""
    scratch = _select(p, encoding)
    store64(scratch + 24, value)
    return call_reg_write(load64(p + 8 * w.P_UC_REG_WRITE), load64(p + 8 * w.P_UC), CP, scratch)


@jit("i8(i8, i8, i8)")
def put_system(p: int, encoding: int, value: int) -> int:
    """Write a system register of the engine by its encoding."""
    store64(p + 8 * w.P_SHADOW_VALID, 0)
    return _write_system(p, encoding, value)


@jit("i8(i8, i8)")
def load_regime(p: int, el: int) -> int:
    """Load the control registers of the translation regime of ``el`` into the block; the MSR hook marks them stale."""
    regime = regime_of(el)
    if load64(p + 8 * w.P_REGIME) != regime:
        if regime == EL2:
            store64(p + 8 * w.P_SCTLR, get_system(p, _SCTLR_EL2))
            store64(p + 8 * w.P_TCR, get_system(p, _TCR_EL2))
            store64(p + 8 * w.P_TTBR0, get_system(p, _TTBR0_EL2))
            store64(p + 8 * w.P_MAIR, get_system(p, _MAIR_EL2))
        else:
            store64(p + 8 * w.P_SCTLR, get_system(p, _SCTLR_EL1))
            store64(p + 8 * w.P_TCR, get_system(p, _TCR_EL1))
            store64(p + 8 * w.P_TTBR0, get_system(p, _TTBR0_EL1))
            store64(p + 8 * w.P_TTBR1, get_system(p, _TTBR1_EL1))
            store64(p + 8 * w.P_MAIR, get_system(p, _MAIR_EL1))
        store64(p + 8 * w.P_REGIME, regime)
    return 0


@jit("i8(i8)")
def touch(p: int) -> int:
    """Make the engine re-evaluate PSTATE, as the write of any system register does."""
    return _write_system(p, _TPIDR_EL3, 0)


@jit("i8(i8)")
def flush_tlb(p: int) -> int:
    """Drop every translation of the engine's TLB, including broadcasts; returns 1 if the eras must start over."""
    m = load64(p + 8 * w.P_MACHINE)
    call_reg_read(load64(p + 8 * w.P_UC_CTL), load64(p + 8 * w.P_UC), TLB_FLUSH, 0)
    store64(p + 8 * w.P_TLBI_SEEN, load64(m + 8 * w.M_TLBI))
    store64(p + 8 * w.P_EL1_FILLED, 0)
    era = load64(p + 8 * w.P_TLB_ERA)
    store64(p + 8 * w.P_TLB_ERA, 1 if era == 255 else era + 1)
    return era == 255


@jit("i8(i8)")
def flush_el1(p: int) -> int:
    """Drop the translations of the EL1&0 regime, if there are any; those of EL2 stay. The era goes on."""
    if load64(p + 8 * w.P_EL1_FILLED):
        store64(p + 8 * w.P_EL1_FILLED, 0)
        _write_system(p, _TLBI_ALLE1, 0)
        store64(p + 8 * w.P_MAINTAINED, -1)
        store64(p + 8 * w.P_SITE_ERA, 0)
    return 0


@jit("i8(i8, i8)")
def drop_code(p: int, page: int) -> int:
    """Drop the engine's translated code of the page at physical address ``page``, for all virtual addresses.

    A stock engine finds code by virtual address, so the page is mapped at DROP_VA for a moment. Then the TLB is
    flushed: later accesses to the page must pass the fill hook.
    """
    control, engine = load64(p + 8 * w.P_UC_CTL), load64(p + 8 * w.P_UC)
    if load64(p + 8 * w.P_BUILT):
        call_control(control, engine, TB_REMOVE_PHYSICAL, page, page + 4096)
    else:
        store64(p + 8 * w.P_FETCHED, page)
        call_control(control, engine, TB_REMOVE, w.DROP_VA, w.DROP_VA + 4096)
        store64(p + 8 * w.P_FETCHED, 0)
    return call_reg_read(control, engine, TLB_FLUSH, 0)


@jit("i8(i8, i8, i8, i8, i8, i8, i8)")
def set_el2(p: int, hcr: int, vtcr: int, vttbr: int, vmpidr: int, mdcr: int, vpidr: int) -> int:
    """Set the EL2 controls of lower levels for a Python EL2, and those of the engine's own; CPTR_EL2 traps nothing."""
    store64(p + 8 * w.P_VTCR, vtcr)
    store64(p + 8 * w.P_VTTBR, vttbr)
    store64(p + 8 * w.P_CNTHCTL, CNTHCTL_RESET)
    store64(p + 8 * w.P_CNTVOFF, 0)
    owner = vttbr ^ vmpidr << 1
    if load64(p + 8 * w.P_OWNER) != owner:  # exceptions that another vCPU has taken here are not counted for this one
        store64(p + 8 * w.P_OWNER, owner)
        store64(p + 8 * w.P_NESTED, 0)
    same = load64(p + 8 * w.P_HCR) == hcr and load64(p + 8 * w.P_MDCR) == mdcr
    if same and load64(p + 8 * w.P_VMPIDR) == vmpidr:
        return 0
    pmu.stop(p)
    store64(p + 8 * w.P_HCR, hcr)
    store64(p + 8 * w.P_VMPIDR, vmpidr)
    store64(p + 8 * w.P_MDCR, mdcr)
    _write_system(p, _HCR_EL2, hcr & _ENGINE_HCR)
    _write_system(p, _MDCR_EL2, mdcr)
    _write_system(p, _CPTR_EL2, _NO_TRAPS)
    _write_system(p, _VMPIDR_EL2, vmpidr)
    _write_system(p, _VPIDR_EL2, vpidr)
    store64(p + 8 * w.P_REGIME, -1)
    return 0


@jit("i8(i8, i8, i8)")
def store_file(p: int, table: int, frame: int) -> int:
    """Store the registers of ``table`` to memory at ``frame``.

    ``table`` is the address of (count, then register number, encoding, offset for each); a register number of
    UC_ARM64_REG_CP_REG takes its encoding, a negative one is the word -number of the PE block.
    """
    reading, engine = load64(p + 8 * w.P_UC_REG_READ), load64(p + 8 * w.P_UC)
    row = table + 8
    for _ in range(load64(table)):
        register, encoding, at = load64(row), load64(row + 8), frame + load64(row + 16)
        row += 24
        if register < 0:
            store64(at, load64(p - 8 * register))
        elif register == CP:
            store64(at, get_system(p, encoding))
        else:
            call_reg_read(reading, engine, register, at)
    return 0


@jit("i8(i8, i8, i8)")
def save_el1(p: int, table: int, frame: int) -> int:
    """Store the EL1&0 register file to memory: general registers and PC from the block, all others from the engine."""
    store_file(p, table, frame)
    shadow = load64(p + 8 * w.P_SHADOW)
    for word in range(EL1_FRAME_SIZE >> 3):
        store64(shadow + 8 * word, load64(frame + 8 * word))
    store64(p + 8 * w.P_SHADOW_VALID, 1)
    for number in range(31):
        store64(frame + 8 * number, load64(p + 8 * (w.P_X + number)))
    pstate = load64(p + 8 * w.P_PSTATE)
    store64(frame + 8 * _FRAME_PC, load64(p + 8 * w.P_PC))
    store64(frame + 8 * _FRAME_PSTATE, pstate)
    if stack(pstate) != 2:  # SP_EL2 belongs to the other frame
        slot = _FRAME_SP_EL1 if stack(pstate) == 1 else _FRAME_SP_EL0
        store64(frame + 8 * slot, load64(p + 8 * w.P_SP))
    return 0


@jit("i8(i8, i8, i8)")
def save_el2(p: int, table: int, frame: int) -> int:
    """Store the EL2 registers of ``table``; SP_EL2 is the SP of the block if PSTATE selects it."""
    store_file(p, table, frame)
    if stack(load64(p + 8 * w.P_PSTATE)) == 2:
        store64(frame + _FRAME_SP_EL2, load64(p + 8 * w.P_SP))
    return 0


@jit("i8(i8, i8, i8, i8)")
def load_file(p: int, table: int, frame: int, shadow: int) -> int:
    """Load the registers of ``table`` from ``frame``; with a ``shadow`` of the engine's values, only differences."""
    writing, engine = load64(p + 8 * w.P_UC_REG_WRITE), load64(p + 8 * w.P_UC)
    row = table + 8
    for _ in range(load64(table)):
        register, encoding, offset = load64(row), load64(row + 8), load64(row + 16)
        row += 24
        at, held = frame + offset, shadow + offset
        if register < 0:
            store64(p - 8 * register, load64(at))
        elif shadow and load64(at) == load64(held) and (encoding != VECTOR or load64(at + 8) == load64(held + 8)):
            continue
        elif register == CP:
            _write_system(p, encoding, load64(at))
        else:
            call_reg_write(writing, engine, register, at)
    store64(p + 8 * w.P_SHADOW_VALID, 0)
    store64(p + 8 * w.P_REGIME, -1)
    return 0


@jit("i8(i8, i8)")
def clear_file(p: int, table: int) -> int:
    """Set the system registers of ``table``, which are of the EL1&0 frame, to zero."""
    shadow = load64(p + 8 * w.P_SHADOW)
    row = table + 8
    for _ in range(load64(table)):
        _write_system(p, load64(row + 8), 0)
        store64(shadow + load64(row + 16), 0)
        row += 24
    return 0


@jit("i8(i8, i8, i8)")
def load_el1(p: int, table: int, frame: int) -> int:
    """Load the EL1&0 register file; returns 1 if the engine's TLB, without VMID or ASID, is not valid for it."""
    shadow = load64(p + 8 * w.P_SHADOW) if load64(p + 8 * w.P_SHADOW_VALID) else 0
    changed = 0
    row = table + 8
    for _ in range(load64(table)):
        encoding, offset = load64(row + 8), load64(row + 16)
        if encoding in (_SCTLR_EL1, _TTBR0_EL1, _TTBR1_EL1, _TCR_EL1):
            holds = load64(shadow + offset) if shadow else get_system(p, encoding)
            if holds != load64(frame + offset):
                changed = 1
        row += 24
    for number in range(3):
        control = load64(p + 8 * (w.P_TLB_CONTROLS + number))
        wanted = load64(p + 8 * (w.P_HCR + number))
        if control != wanted:
            store64(p + 8 * (w.P_TLB_CONTROLS + number), wanted)
            changed = 1
    load_file(p, table, frame, shadow)
    for number in range(31):
        store64(p + 8 * (w.P_X + number), load64(frame + 8 * number))
    pstate = load64(frame + 8 * _FRAME_PSTATE)
    store64(p + 8 * w.P_PC, load64(frame + 8 * _FRAME_PC))
    store64(p + 8 * w.P_PSTATE, pstate)
    store64(p + 8 * w.P_SP, load64(frame + 8 * (_FRAME_SP_EL1 if stack(pstate) == 1 else _FRAME_SP_EL0)))
    return changed


@jit("i8(i8)")
def select_sp(p: int) -> int:
    """Load the SP of the block from the bank that PSTATE selects."""
    pstate = load64(p + 8 * w.P_PSTATE)
    store64(p + 8 * w.P_SP, get(p, SP_EL0 + stack(pstate)))
    return 0
