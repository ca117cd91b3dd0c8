"""What runs inside the engine's hooks, as native code: register transfers, TLB fills, the clock, timers, AT.

Every function works on the words of :mod:`cca_platform.block` and calls Unicorn's public C functions through the
addresses kept there, so that the compiled code can be cached on disk. Nothing here imports Unicorn: the register
numbers that it needs are the constants below, which the engine checks against Unicorn's own.
"""

from typing import Final

from cca_platform import block as w
from cca_platform.frame import offset
from cca_platform.mmu import fill, host_address, translate
from cca_platform.native import (
    call_reg_read,
    call_reg_write,
    call_stop,
    callback,
    jit,
    load8,
    load32,
    load64,
    store32,
    store64,
)

__all__ = [
    "ON_BLOCK",
    "ON_FILL",
    "ON_MRS",
    "ON_MSR",
    "ON_SYS",
    "UNICORN_REGISTERS",
    "instruction",
    "load_el1",
    "read_general",
    "save_el1",
    "select_sp",
    "set_budget",
    "take_exception",
    "timer_deadline",
    "transfer",
    "uncount",
    "write_general",
]

_X0: Final = 199
_X29: Final = 1
_SP: Final = 4
_XZR: Final = 7
_PC: Final = 260
_PSTATE: Final = 265
_SP_EL0: Final = 270
_PAR_EL1: Final = 284
_CP: Final = 290
UNICORN_REGISTERS: Final = {
    "X0": _X0, "X29": _X29, "SP": _SP, "XZR": _XZR, "PC": _PC, "PSTATE": _PSTATE, "SP_EL0": _SP_EL0,
    "PAR_EL1": _PAR_EL1, "CP_REG": _CP,
}  # fmt: skip

_FRAME_SP_EL0, _FRAME_SP_EL1, _FRAME_PC, _FRAME_PSTATE = 31, 32, 33, 34  # words of an EL1&0 frame
assert [offset(name) // 8 for name in ("x30", "sp_el0", "sp_el1", "pc", "pstate")] == [30, 31, 32, 33, 34]
_READ: Final = 16
_WRITE: Final = 17
_FETCH: Final = 18
_PAN_BIT: Final = 22
_HCR_TID3: Final = 1 << 18
_NEVER: Final = 0x7FFF_FFFF_FFFF_FFFF
_NO_FAR: Final = -(1 << 63)


@jit("i8(i8, i8)")
def _get(p: int, register: int) -> int:
    """A register of the engine that fits 64 bits."""
    scratch = p + 8 * w.P_SCRATCH
    store64(scratch, 0)  # Unicorn writes only 32 bits of PSTATE
    call_reg_read(load64(p + 8 * w.P_UC_REG_READ), load64(p + 8 * w.P_UC), register, scratch)
    return load64(scratch)


@jit("i8(i8, i8, i8)")
def _put(p: int, register: int, value: int) -> int:
    """Write a register of the engine."""
    scratch = p + 8 * w.P_SCRATCH
    store64(scratch, value)
    return call_reg_write(load64(p + 8 * w.P_UC_REG_WRITE), load64(p + 8 * w.P_UC), register, scratch)


@jit("i8(i8, i8)")
def _select(p: int, encoding: int) -> int:
    """Make Unicorn's ``uc_arm64_cp_reg`` in the scratch words; ``encoding`` is op0:op1:CRn:CRm:op2, 4 bits each."""
    scratch = p + 8 * w.P_SCRATCH
    store32(scratch, encoding >> 8 & 15)
    store32(scratch + 4, encoding >> 4 & 15)
    store32(scratch + 8, encoding >> 16 & 15)
    store32(scratch + 12, encoding >> 12 & 15)
    store32(scratch + 16, encoding & 15)
    return scratch


@jit("i8(i8, i8)")
def _get_system(p: int, encoding: int) -> int:
    """A system register of the engine by its encoding."""
    scratch = _select(p, encoding)
    call_reg_read(load64(p + 8 * w.P_UC_REG_READ), load64(p + 8 * w.P_UC), _CP, scratch)
    return load64(scratch + 24)


@jit("i8(i8, i8, i8)")
def _put_system(p: int, encoding: int, value: int) -> int:
    """Write a system register of the engine by its encoding."""
    scratch = _select(p, encoding)
    store64(scratch + 24, value)
    return call_reg_write(load64(p + 8 * w.P_UC_REG_WRITE), load64(p + 8 * w.P_UC), _CP, scratch)


@jit("i8(i8)")
def read_general(p: int) -> int:
    """X0..X30, SP, PC and PSTATE of the engine into the words from P_X, and a copy into those from P_HELD."""
    function, engine = load64(p + 8 * w.P_UC_REG_READ), load64(p + 8 * w.P_UC)
    to = p + 8 * w.P_X
    for number in range(29):
        call_reg_read(function, engine, _X0 + number, to + 8 * number)
    call_reg_read(function, engine, _X29, to + 8 * 29)
    call_reg_read(function, engine, _X29 + 1, to + 8 * 30)
    call_reg_read(function, engine, _SP, to + 8 * 31)
    call_reg_read(function, engine, _PC, to + 8 * 32)
    store64(to + 8 * 33, 0)
    call_reg_read(function, engine, _PSTATE, to + 8 * 33)
    held = p + 8 * w.P_HELD
    for number in range(34):
        store64(held + 8 * number, load64(to + 8 * number))
    return 0


@jit("i8(i8)")
def write_general(p: int) -> int:
    """Give the engine those of X0..X30, SP, PC and PSTATE that differ from what it holds."""
    function, engine = load64(p + 8 * w.P_UC_REG_WRITE), load64(p + 8 * w.P_UC)
    source, held = p + 8 * w.P_X, p + 8 * w.P_HELD
    if load64(source + 8 * 33) != load64(held + 8 * 33):
        call_reg_write(function, engine, _PSTATE, source + 8 * 33)
        _put_system(p, 0x36D02, 0)  # TPIDR_EL3: any system register write makes Unicorn look at PSTATE again
        store64(held + 8 * 33, load64(source + 8 * 33))
    for number in range(33):
        value = load64(source + 8 * number)
        if value != load64(held + 8 * number):
            register = _X0 + number
            if number >= 29:
                register = _X29 + number - 29
            if number == 31:
                register = _SP
            if number == 32:
                register = _PC
            call_reg_write(function, engine, register, source + 8 * number)
            store64(held + 8 * number, value)
    return 0


@jit("i8(i8, i8, i8, i8)")
def transfer(p: int, table: int, frame: int, store: int) -> int:
    """Move registers between the engine and memory at ``frame``; ``store`` 1 = engine to memory.

    ``table`` is the address of (count, then register number, encoding, offset for each); a register number of
    UC_ARM64_REG_CP_REG takes its encoding, a negative one is the word -number of the PE block.
    """
    reading, writing = load64(p + 8 * w.P_UC_REG_READ), load64(p + 8 * w.P_UC_REG_WRITE)
    engine = load64(p + 8 * w.P_UC)
    row = table + 8
    for _ in range(load64(table)):
        register, encoding, at = load64(row), load64(row + 8), frame + load64(row + 16)
        row += 24
        if register < 0:
            if store:
                store64(at, load64(p - 8 * register))
            else:
                store64(p - 8 * register, load64(at))
        elif register == _CP:
            if store:
                store64(at, _get_system(p, encoding))
            else:
                _put_system(p, encoding, load64(at))
        elif store:
            call_reg_read(reading, engine, register, at)
        else:
            call_reg_write(writing, engine, register, at)
    if not store:
        store64(p + 8 * w.P_REGIME, -1)
    return 0


@jit("i8(i8, i8, i8)")
def save_el1(p: int, table: int, frame: int) -> int:
    """Store the EL1&0 register file to memory: general registers and PC from the block, the others from the engine."""
    transfer(p, table, frame, 1)
    for number in range(31):
        store64(frame + 8 * number, load64(p + 8 * (w.P_X + number)))
    pstate = load64(p + 8 * w.P_PSTATE)
    store64(frame + 8 * _FRAME_PC, load64(p + 8 * w.P_PC))
    store64(frame + 8 * _FRAME_PSTATE, pstate)
    if pstate & 0xD != 9:  # at EL2h the SP is SP_EL2, which belongs to the other frame
        slot = _FRAME_SP_EL1 if pstate & 0xD == 5 else _FRAME_SP_EL0
        store64(frame + 8 * slot, load64(p + 8 * w.P_SP))
    return 0


@jit("i8(i8, i8, i8)")
def load_el1(p: int, table: int, frame: int) -> int:
    """Load the EL1&0 register file; 1 when the engine's TLB, which has no VMID or ASID, does not serve this one."""
    changed = 0
    row = table + 8
    for _ in range(load64(table)):
        encoding = load64(row + 8)
        regime = encoding == 0x30100 or encoding & ~3 == 0x30200  # SCTLR_EL1, TTBR0_EL1, TTBR1_EL1, TCR_EL1
        if regime and _get_system(p, encoding) != load64(frame + load64(row + 16)):
            changed = 1
        row += 24
    for number in range(3):
        control = load64(p + 8 * (w.P_TLB_CONTROLS + number))
        wanted = load64(p + 8 * (w.P_HCR + number))
        if control != wanted:
            store64(p + 8 * (w.P_TLB_CONTROLS + number), wanted)
            changed = 1
    transfer(p, table, frame, 0)
    for number in range(31):
        store64(p + 8 * (w.P_X + number), load64(frame + 8 * number))
    pstate = load64(frame + 8 * _FRAME_PSTATE)
    store64(p + 8 * w.P_PC, load64(frame + 8 * _FRAME_PC))
    store64(p + 8 * w.P_PSTATE, pstate)
    store64(p + 8 * w.P_SP, load64(frame + 8 * (_FRAME_SP_EL1 if pstate & 0xD == 5 else _FRAME_SP_EL0)))
    return changed


@jit("i8(i8, i8)")
def _load_regime(p: int, el: int) -> int:
    """Have the control registers of the translation regime of ``el`` in the block; the MSR hook marks them stale."""
    regime = 2 if el == 2 else 1
    if load64(p + 8 * w.P_REGIME) != regime:
        op1 = 0x4000 if el == 2 else 0
        store64(p + 8 * w.P_SCTLR, _get_system(p, 0x30100 | op1))
        store64(p + 8 * w.P_TCR, _get_system(p, 0x30202 | op1))
        store64(p + 8 * w.P_TTBR0, _get_system(p, 0x30200 | op1))
        store64(p + 8 * w.P_MAIR, _get_system(p, 0x30A20 | op1))
        if el != 2:
            store64(p + 8 * w.P_TTBR1, _get_system(p, 0x30201))
        store64(p + 8 * w.P_REGIME, regime)
    return 0


@jit("i8(i8, i8, i8, i8, i8)")
def take_exception(p: int, target: int, esr: int, far: int, kind: int) -> int:
    """Architectural entry into the vector table of EL1 or EL2 (DDI 0487, AArch64.TakeException).

    Works on PC, PSTATE and SP in the block. ``kind`` is 0x0 synchronous, 0x80 IRQ, 0x100 FIQ, 0x180 SError; ``far`` is
    written when not -1 << 63, ``esr`` for synchronous exceptions and SError.
    """
    pstate = load64(p + 8 * w.P_PSTATE)
    source, op1 = pstate >> 2 & 3, 0x4000 if target == 2 else 0
    bank = source if pstate & 1 else 0
    _put(p, _SP_EL0 + bank, load64(p + 8 * w.P_SP))
    _put_system(p, 0x30401 | op1, load64(p + 8 * w.P_PC))
    _put_system(p, 0x30400 | op1, pstate)
    if kind == 0 or kind == 0x180:
        _put_system(p, 0x30520 | op1, esr)
    if far != _NO_FAR:
        _put_system(p, 0x30600 | op1, far)
    offset = 0x400
    if source == target:
        offset = 0x200 if pstate & 1 else 0
    kept = pstate & 0xF1400000  # NZCV, DIT and PAN
    if load64(p + 8 * w.P_HAS_PAN) and target == 1 and _get_system(p, 0x30100) >> 23 & 1 == 0:
        kept |= 1 << _PAN_BIT  # SCTLR_EL1.SPAN = 0
    store64(p + 8 * w.P_PC, _get_system(p, 0x30C00 | op1) + offset + kind)
    store64(p + 8 * w.P_PSTATE, kept | 0x3C0 | target << 2 | 1)
    store64(p + 8 * w.P_SP, _get(p, _SP_EL0 + target))
    return 0


@jit("i8(i8)")
def select_sp(p: int) -> int:
    """Take the SP of the block from the bank that its PSTATE selects."""
    pstate = load64(p + 8 * w.P_PSTATE)
    store64(p + 8 * w.P_SP, _get(p, _SP_EL0 + ((pstate >> 2 & 3) if pstate & 1 else 0)))
    return 0


@jit("i8(i8)")
def instruction(p: int) -> int:
    """The instruction word at PC of the block, or -1 when it cannot be fetched (any more)."""
    pstate = load64(p + 8 * w.P_PSTATE)
    _load_regime(p, pstate >> 2 & 3)
    store64(p + 8 * w.P_EL, pstate >> 2 & 3)
    if translate(p, load64(p + 8 * w.P_PC), _FETCH) != 0:
        return -1
    host = host_address(load64(p + 8 * w.P_MACHINE), load64(p + 8 * w.P_OUT_PA))
    return load32(host) if host else -1


@jit("i8(i8)")
def uncount(p: int) -> int:
    """Take back from the clock what the last block has counted but PC has not reached."""
    m, pc = load64(p + 8 * w.P_MACHINE), load64(p + 8 * w.P_PC)
    start, size = load64(p + 8 * w.P_BLOCK_PC), load64(p + 8 * w.P_BLOCK_SIZE)
    if start <= pc < start + size:
        rest = (start + size - pc) >> 2
        store64(m + 8 * w.M_CLOCK, load64(m + 8 * w.M_CLOCK) - rest)
        store64(p + 8 * w.P_RETIRED, load64(p + 8 * w.P_RETIRED) - rest)
        store64(p + 8 * w.P_BLOCK_SIZE, pc - start)
    return 0


@jit("i8(i8)")
def _is_unprivileged(p: int) -> int:
    """Whether the instruction at PC is an LDTR or STTR, whose access at EL1 is checked as EL0's."""
    pc = _get(p, _PC)
    store64(p + 8 * w.P_EL, 1)
    if translate(p, pc, _FETCH) != 0:
        return 0
    host = host_address(load64(p + 8 * w.P_MACHINE), load64(p + 8 * w.P_OUT_PA))
    if host == 0:
        return 0
    return 1 if load32(host) & 0x3B200C00 == 0x38000800 else 0


@callback("bool", "i64", "i64", "i32", "i64", "i64")
def ON_FILL(uc: int, va: int, access: int, entry: int, p: int) -> bool:
    """UC_HOOK_TLB_FILL: ``entry`` is a uc_tlb_entry (paddr, perms); False refuses the access."""
    store64(p + 8 * w.P_FILLS, load64(p + 8 * w.P_FILLS) + 1)
    pstate = _get(p, _PSTATE)
    el = pstate >> 2 & 3
    pan = pstate >> _PAN_BIT & 1
    _load_regime(p, el)
    if el == 1 and access != _FETCH and _is_unprivileged(p):
        el = 0
    store64(p + 8 * w.P_EL, el)
    store64(p + 8 * w.P_PAN, pan if el else 0)
    permissions = fill(p, va, access)
    if permissions == 0:
        return False
    store64(entry, load64(p + 8 * w.P_OUT_PA) & ~0xFFF)
    store32(entry + 8, permissions)
    return True


@jit("i8(i8, i8)")
def timer_deadline(p: int, now: int) -> int:
    """Clock value at which an unmasked EL1 timer asserts its interrupt, at least ``now``; the largest int64: never."""
    deadline = _NEVER
    mask = load64(p + 8 * w.P_TIMER_MASK)
    virtual, physical = load64(p + 8 * w.P_CNTV_CVAL), load64(p + 8 * w.P_CNTP_CVAL)
    if load64(p + 8 * w.P_CNTV_CTL) & 3 == 1 and mask & 1 == 0 and virtual >= 0:  # negative: beyond any clock
        deadline = max(now, virtual + load64(p + 8 * w.P_CNTVOFF))
    if load64(p + 8 * w.P_CNTP_CTL) & 3 == 1 and mask & 2 == 0 and physical >= 0:
        deadline = min(deadline, max(now, physical))
    return deadline


@jit("i8(i8)")
def set_budget(p: int) -> int:
    """Let the PE run until its slice ends or a timer fires, whichever is first."""
    m = load64(p + 8 * w.P_MACHINE)
    budget = min(load64(p + 8 * w.P_SLICE_END), timer_deadline(p, load64(m + 8 * w.M_CLOCK)))
    store64(m + 8 * w.M_BUDGET, budget)
    return budget


@callback("void", "i64", "i64", "i32", "i64")
def ON_BLOCK(uc: int, address: int, size: int, p: int) -> None:
    """UC_HOOK_BLOCK: count the block that is about to run, or stop before it when the budget is used up."""
    m = load64(p + 8 * w.P_MACHINE)
    clock = load64(m + 8 * w.M_CLOCK)
    if clock >= load64(m + 8 * w.M_BUDGET):  # before adding, or a small budget would livelock
        store64(p + 8 * w.P_STOPPED, 1)
        call_stop(load64(p + 8 * w.P_UC_EMU_STOP), uc)
    else:
        store64(m + 8 * w.M_CLOCK, clock + (size >> 2))
        store64(p + 8 * w.P_RETIRED, load64(p + 8 * w.P_RETIRED) + (size >> 2))
        store64(p + 8 * w.P_BLOCK_PC, address)
        store64(p + 8 * w.P_BLOCK_SIZE, size)


@jit("i8(i8, i8, i8)")
def _timer_access_allowed(p: int, crm: int, op2: int) -> int:
    """Whether the current EL may use this CNT* register without a trap (CNTKCTL_EL1, CNTHCTL_EL2 with E2H = 0)."""
    el = _get(p, _PSTATE) >> 2 & 3
    virtual = crm == 3 or (crm == 0 and op2 == 2)
    if el == 0 and not (crm == 0 and op2 == 0):
        control = _get_system(p, 0x30E10)
        if crm == 0:
            return control >> (1 if virtual else 0) & 1
        return control >> (8 if virtual else 9) & 1
    if el < 2 and not virtual and not (crm == 0 and op2 == 0):
        return _get_system(p, 0x34E10) >> (0 if crm == 0 else 1) & 1
    return 1


@jit("i8(i8, i8, i8)")
def _identify(p: int, register: int, index: int) -> int:
    """MPIDR_EL1 at EL2, and the ID registers (CRm 4 to 7) that no level traps, from the table of the PE."""
    el = _get(p, _PSTATE) >> 2 & 3
    value = load64(p + 8 * w.P_MPIDR)
    if index >= 32:
        if el == 0 or (el == 1 and load64(p + 8 * w.P_HCR) & _HCR_TID3):
            return 0
        value = load64(load64(p + 8 * w.P_ID_TABLE) + 8 * (index - 32))
    elif index != 5 or el != 2:
        return 0
    if register != _XZR:
        _put(p, register, value)
    return 1


@callback("i32", "i64", "i32", "i64", "i64")
def ON_MRS(uc: int, register: int, cp: int, p: int) -> int:
    """UC_HOOK_INSN MRS: the counter, the EL1 timers and identification; every other register is read natively."""
    crm, op2 = load32(cp + 4), load32(cp + 16)
    if load32(cp) == 0 and load32(cp + 8) == 3 and load32(cp + 12) == 0 and crm < 8:
        return _identify(p, register, 8 * crm + op2)
    if load32(cp) != 14 or load32(cp + 8) != 3 or load32(cp + 12) != 3:
        return 0
    if (crm != 0 and crm != 2 and crm != 3) or op2 > 2 or not _timer_access_allowed(p, crm, op2):
        return 0
    clock = load64(load64(p + 8 * w.P_MACHINE) + 8 * w.M_CLOCK)
    offset = load64(p + 8 * w.P_CNTVOFF)
    if crm == 0:
        value = clock
        if op2 == 0:
            value = load64(p + 8 * w.P_COUNTER_HZ)
        elif op2 == 2:
            value = clock - offset
    else:
        now = clock - (offset if crm == 3 else 0)
        words = p + 8 * (w.P_CNTV_CTL if crm == 3 else w.P_CNTP_CTL)
        control, compare = load64(words), load64(words + 8)
        if op2 == 0:
            value = (compare - now) & 0xFFFFFFFF
        elif op2 == 1:
            value = control | (4 if control & 1 and 0 <= compare <= now else 0)
        else:
            value = compare
    if register != _XZR:
        _put(p, register, value)
    return 1


@callback("i32", "i64", "i32", "i64", "i64")
def ON_MSR(uc: int, register: int, cp: int, p: int) -> int:
    """UC_HOOK_INSN MSR: the EL1 timers, and note of writes that change a translation regime."""
    crn, crm, op0, op1, op2 = load32(cp), load32(cp + 4), load32(cp + 8), load32(cp + 12), load32(cp + 16)
    if op0 != 3:
        return 0
    value = load64(cp + 24)
    if crn == 1 or crn == 2 or crn == 10:
        store64(p + 8 * w.P_REGIME, -1)
        if op1 == 4 and crn == 1 and crm == 1 and op2 == 0:
            store64(p + 8 * w.P_HCR, value)
        elif op1 == 4 and crn == 2 and crm == 1:
            store64(p + 8 * (w.P_VTCR if op2 == 2 else w.P_VTTBR), value)
        return 0
    if crn == 14 and op1 == 4 and crm == 0 and op2 == 3:
        store64(p + 8 * w.P_CNTVOFF, value)
        return 0
    if crn != 14 or op1 != 3 or (crm != 2 and crm != 3) or op2 > 2 or not _timer_access_allowed(p, crm, op2):
        return 0
    clock = load64(load64(p + 8 * w.P_MACHINE) + 8 * w.M_CLOCK)
    words = p + 8 * (w.P_CNTV_CTL if crm == 3 else w.P_CNTP_CTL)
    if op2 == 0:
        signed = value & 0xFFFFFFFF
        signed -= (signed & 0x80000000) << 1
        store64(words + 8, clock - (load64(p + 8 * w.P_CNTVOFF) if crm == 3 else 0) + signed)
    elif op2 == 1:
        store64(words, value & 3)
    else:
        store64(words + 8, value)
    compare = load64(words + 8)
    if compare < 0 or compare > clock - (load64(p + 8 * w.P_CNTVOFF) if crm == 3 else 0):
        # the level that was masked has gone: the next one is news
        store64(p + 8 * w.P_TIMER_MASK, load64(p + 8 * w.P_TIMER_MASK) & ~(1 if crm == 3 else 2))
    set_budget(p)
    return 1


@jit("i8(i8, i8, i8, i8, i8)")
def _address_translate(p: int, va: int, el: int, access: int, both: int) -> int:
    """AT: the walk of the MMU, its answer in PAR_EL1. ``both`` 0 = stage 1 only."""
    _load_regime(p, el)
    store64(p + 8 * w.P_EL, el)
    store64(p + 8 * w.P_PAN, 0)
    failed = translate(p, va, access) == 1
    stage2 = failed and load64(p + 8 * w.P_FAULT_STAGE) == 2
    walk = stage2 and load64(p + 8 * w.P_FAULT_S1PTW) != 0
    if stage2 and not walk and not both:
        par = 0x800 | load64(p + 8 * w.P_FAULT_IPA) & 0xFFFFFFFFF000 | load64(p + 8 * w.P_OUT_ATTR) << 56
    elif failed:
        par = 0x801 | load64(p + 8 * w.P_FAULT_FSC) << 1
        if stage2:
            par |= 1 << 9
        if walk:
            par |= 1 << 8
    else:
        address = load64(p + 8 * (w.P_OUT_PA if both else w.P_OUT_IPA))
        par = 0x800 | address & 0xFFFFFFFFF000 | load64(p + 8 * w.P_OUT_ATTR) << 56
    _put(p, _PAR_EL1, par)
    return 1


@jit("i8(i8, i8)")
def _instruction_invalidate(p: int, va: int) -> int:
    """IC by VA with several PEs: code of this page that another PE translated is stale."""
    m = load64(p + 8 * w.P_MACHINE)
    el = _get(p, _PSTATE) >> 2 & 3
    _load_regime(p, el)
    store64(p + 8 * w.P_EL, el)
    store64(p + 8 * w.P_PAN, 0)
    if translate(p, va, _READ) == 0:
        for bank in range(load64(m + 8 * w.M_BANKS)):
            words = m + 8 * (w.M_BANK + 4 * bank)
            at = load64(p + 8 * w.P_OUT_PA) - load64(words)
            if 0 <= at < load64(words + 8) and load8(load64(m + 8 * w.M_EXECUTED) + load64(words + 24) + (at >> 12)):
                store64(m + 8 * w.M_CODE_WRITTEN, 1)
    return 0


@callback("i32", "i64", "i32", "i64", "i64")
def ON_SYS(uc: int, register: int, cp: int, p: int) -> int:
    """UC_HOOK_INSN SYS: AT is answered here; TLBI and IC are noted for the other PEs and then run natively."""
    crn, crm, op1, op2 = load32(cp), load32(cp + 4), load32(cp + 12), load32(cp + 16)
    m = load64(p + 8 * w.P_MACHINE)
    if crn == 8:
        if crm == 3 or crm == 1:
            store64(m + 8 * w.M_TLBI, load64(m + 8 * w.M_TLBI) + 1)
            store64(p + 8 * w.P_TLBI_SEEN, load64(p + 8 * w.P_TLBI_SEEN) + 1)
        return 0
    if crn != 7:
        return 0
    if (crm == 1 or crm == 5) and load64(m + 8 * w.M_PES_USED) > 1:
        if op1 == 3 and op2 == 1:
            _instruction_invalidate(p, load64(cp + 24))
        elif op1 == 0 and op2 == 0:
            store64(m + 8 * w.M_CODE_WRITTEN, 1)
        return 0
    if crm == 8 and (_get(p, _PSTATE) >> 2 & 3) > 0:
        access = _WRITE if op2 & 1 else _READ
        if op1 == 0 and op2 < 4:
            return _address_translate(p, load64(cp + 24), 1 - (op2 >> 1), access, 0)
        if op1 == 4 and op2 < 2:
            return _address_translate(p, load64(cp + 24), 2, access, 0)
        if op1 == 4:
            return _address_translate(p, load64(cp + 24), 1 - (op2 >> 1 & 1), access, 1)
    return 0
