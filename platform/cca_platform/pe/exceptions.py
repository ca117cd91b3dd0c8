"""Converts the engine's reports to architectural exceptions: their class, syndrome and target level.

The engine itself does not enter exceptions. It reports an interrupt number, with PC at or past the instruction, or that
a TLB fill refused an access. Each is taken with ESR, FAR and HPFAR (DDI 0487, ESR_ELx).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from cca_arch.sysregs import FSC_LEVEL, REGISTERS, Ec, Fsc, Hcr, Mdcr, Pstate, Scr, encodings, syndrome
from cca_arch.types import Access, SecurityState
from cca_platform.engine import devices, hooks, interrupts, maintenance, synchronous, timers
from cca_platform.gic import TRAP_EL2, UNDEFINED
from cca_platform.isa import access as la
from cca_platform.isa.decoder import decode
from cca_platform.isa.features import feature_of
from cca_platform.isa.sysinsn import SystemInstruction, SystemKind, decode_system, iss_sysreg
from cca_platform.mmu.translate import DEVICE, REFUSED, translate
from cca_platform.native import block as w
from cca_platform.pe import delivery, pmu, soft
from cca_platform.pe.aborts import EXTERNAL_ABORT, abort
from cca_platform.pe.levels import SMC_0, take_program
from cca_platform.pe.mmio import ELSEWHERE, NOT_PLAIN, emulate, plain
from cca_platform.pe.recent import alike
from cca_platform.pe.traps import trap
from cca_platform.trace.events import FaultGpf, FaultStage2
from cca_platform.trace.forms import UNSET

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["SMC", "interrupt", "misaligned", "refused", "unaligned", "wait_trapped", "walk_refused"]

# What the engine's interrupt hook reports (QEMU's EXCP_ numbers).
_BREAKPOINT: Final = 3
_DATA_ALIGNMENT: Final = 4
_BRK: Final = 7
_HVC: Final = 11
_TRAPPED_SMC: Final = 12
SMC: Final = 13

_U64: Final = (1 << 64) - 1
_UNKNOWN: Final = syndrome(Ec.UNKNOWN)
_SVC_0, _HVC_0, _BRK_0 = syndrome(Ec.SVC), syndrome(Ec.HVC), syndrome(Ec.BRK)
_PC_ALIGNMENT: Final = syndrome(Ec.PC_ALIGNMENT)
_EL_LOW, _EL_ONES = Pstate.el.low, Pstate.el.ones
_HCR_TSC: Final = Hcr.tsc.mask
_HCR_APK, _HCR_API = Hcr.apk.mask, Hcr.api.mask
_SCR_APK, _SCR_API = Scr.apk.mask, Scr.api.mask
_ROOT: Final = int(SecurityState.ROOT)
_MDCR_TDE: Final = Mdcr.tde.mask
_WFE: Final = SystemInstruction(SystemKind.WFE)
_MOVES: Final = (SystemKind.MRS, SystemKind.MSR)
_IN_BLOCK: Final = {
    "hcr_el2": w.P_HCR, "cnthctl_el2": w.P_CNTHCTL, "mdcr_el2": w.P_MDCR, "pmuserenr_el0": w.P_PMUSERENR,
}  # fmt: skip
_TRANSLATION: Final = slice(w.P_OUT_PA, w.P_FAULT_GPT_LEVEL + 1)  # words of the last translation, refused or not


def interrupt(pe: "Pe", number: int) -> None:
    """Handle what UC_HOOK_INTR reported, with the registers in the block."""
    if number == SMC:
        _smc(pe)
    elif number in (synchronous.SVC, _HVC):  # PC is past the instruction
        esr = (_SVC_0 if number == synchronous.SVC else _HVC_0) | _immediate(pe, -4)
        pe.take(esr, 2 if number == _HVC or pe.el == 2 else 1)
    else:  # PC is at the instruction, which has not been retired
        hooks.uncount(pe.address)
        pe.count_fruitless()
        _not_executed(pe, number)


def _immediate(pe: "Pe", offset: int) -> int:
    """The 16-bit immediate of the SVC, HVC, SMC or BRK at PC + ``offset``."""
    return int(hooks.instruction(pe.address, offset)) >> 5 & 0xFFFF


def _smc(pe: "Pe") -> None:
    """Handle SMC: it goes to EL3 unless a Python EL2 traps EL1's, which then has not been executed.

    All calls of Realms and Non-secure code pass here, so this is short.
    """
    words, security = pe.words, pe.security
    if pe.el == 1 and words[w.P_HCR] & _HCR_TSC and (security, 2) in pe.programs:
        words[w.P_PC] = words[w.P_PC] - 4 & _U64
        take_program(pe, security, 2, SMC_0)  # the SMCCC defines no other immediate, and the RMM ignores it
    else:
        take_program(pe, _ROOT, 3, SMC_0 | _immediate(pe, -4))


def _not_executed(pe: "Pe", number: int) -> None:
    """BRK and breakpoints, an SMC that EL2 code traps, misaligned exclusives, undefined and trapped instructions."""
    own = max(pe.el, 1)
    if number == _BRK:
        pe.take(_BRK_0 | _immediate(pe, 0), _debug_target(pe))
    elif number == _BREAKPOINT:
        target = _debug_target(pe)
        pe.take(syndrome(Ec.BREAKPOINT | (target == pe.el), Fsc.DEBUG), target)
    elif number == _TRAPPED_SMC:
        pe.take(SMC_0 | _immediate(pe, 0), 2)
    elif number == _DATA_ALIGNMENT:
        _unaligned(pe, decode(int(hooks.instruction(pe.address, 0))))
    elif maintenance.refused(pe.address):
        pe.el = pe.spsr >> _EL_LOW & _EL_ONES
        _abort(pe, _instruction(pe))
    else:
        word = int(hooks.instruction(pe.address, 0))
        system = None if word < 0 else decode_system(word)
        if system is None or not _moved(pe, system):
            found = _trapped(pe, word, system)
            if found and system and system.kind is SystemKind.WFI and delivery.awake(pe):
                _step_over(pe)  # what would not wait is not trapped
            else:
                if found and system and pe.el == 1:
                    pe.machine.traps.keep(word, system, *found)
                pe.take(*(found or (_UNKNOWN, own)))


def unaligned(pe: "Pe") -> None:
    """Take the alignment fault of the ordered access at PC."""
    hooks.uncount(pe.address)
    _unaligned(pe, decode(_instruction(pe)))


def _unaligned(pe: "Pe", decoded: la.MemoryAccess | None) -> None:
    """Take an alignment fault; ``decoded`` is None if the code has been overwritten meanwhile."""
    own = max(pe.el, 1)
    far, iss = 0, int(Fsc.ALIGNMENT)
    if decoded is not None:
        far = la.address(decoded, pe.x, pe.words[w.P_SP], pe.elr)
        iss = la.iss(decoded, Fsc.ALIGNMENT, stage2=False)
    pe.take(syndrome(Ec.DATA_ABORT | (own == pe.el), iss), own, far)


def _trapped(pe: "Pe", word: int, system: SystemInstruction | None) -> tuple[int, int] | None:
    """(ESR, target level) of an instruction that a control traps; None if it is UNDEFINED."""
    feature = feature_of(word)
    if feature is not None and not pe.machine.model.has(feature):
        pe.words[w.P_UNKNOWN], pe.words[w.P_UNKNOWN_PC] = word, pe.elr
        return None
    if feature == "FEAT_PAuth":
        return _pauth_trap(pe, system)
    return None if system is None else _controlled(pe, system)


def _controlled(pe: "Pe", instruction: SystemInstruction) -> tuple[int, int] | None:
    """Syndrome and target of an instruction that a control traps, or None."""
    return trap(instruction, pe.el, pe.security != SecurityState.SECURE, lambda name: _control(pe, name))


def _pauth_trap(pe: "Pe", key: SystemInstruction | None) -> tuple[int, int] | None:
    """The trap of pointer authentication: of the ``key`` registers (APK), or of an instruction (API)."""
    if key is not None and pe.el == 0:
        return None
    esr = syndrome(Ec.PAC) if key is None else syndrome(Ec.SYSREG, iss_sysreg(key))
    in_hcr, in_scr = (_HCR_API, _SCR_API) if key is None else (_HCR_APK, _SCR_APK)
    if pe.security != SecurityState.SECURE and pe.el < 2 and not pe.words[w.P_HCR] & in_hcr:
        return esr, 2
    return None if pe.words[w.P_SCR] & in_scr else (esr, 3)


def _debug_target(pe: "Pe") -> int:
    """The level that gets debug exceptions: EL2 of its own, and those of lower levels with MDCR_EL2.TDE."""
    routed = pe.security != SecurityState.SECURE and _control(pe, "mdcr_el2") & _MDCR_TDE
    return 2 if pe.el == 2 or routed else 1


def misaligned(pe: "Pe") -> None:
    """Handle a PC that is not a multiple of 4."""
    pe.count_fruitless()
    pe.take(_PC_ALIGNMENT, max(pe.el, 1), pe.elr)


def _control(pe: "Pe", register: str) -> int:
    """Read a register that controls traps; those that the engine does not keep in full are in the block."""
    word = _IN_BLOCK.get(register)
    return pe.engine.read_system(REGISTERS[register]) if word is None else pe.words[word]


def _moved(pe: "Pe", instruction: SystemInstruction) -> bool:
    """Do an MRS or MSR of a register that the engine lacks: GIC, CNTHV, PMU.

    Returns False if it is UNDEFINED, or if a control other than the GIC's traps it.
    """
    op0, op1, crn, crm, op2 = encoding = instruction.encoding
    if instruction.kind not in _MOVES or op0 != 3:
        return _soft(pe, instruction)
    is_read, rt, x = instruction.kind is SystemKind.MRS, instruction.rt, pe.x
    value = 0 if is_read or rt == 31 else x[rt]
    if (crn == 12 and crm >= 8) or encoding == encodings.ICC_PMR_EL1:
        gic, hcr = pe.gic, pe.words[w.P_HCR]
        if is_read:
            value = gic.read(encoding, pe.el, pe.security, hcr)
            status = min(value, 0)
        else:
            status = gic.write(encoding, value, pe.el, pe.security, hcr)
        if status == UNDEFINED:
            return False
        if status == TRAP_EL2:
            pe.take(syndrome(Ec.SYSREG, iss_sysreg(instruction)), 2)
            return True
    elif (op1, crn, crm) == (4, 14, 3) and op2 <= 2 and pe.el == 2:
        if is_read:
            value = int(timers.read(pe.address, timers.CNTHV, op2)) & _U64
        else:
            timers.write(pe.address, timers.CNTHV, op2, value - (value >> 63 << 64))
    elif encoding in pmu.REGISTERS:
        register = None if _controlled(pe, instruction) else pmu.find(pe, encoding, is_read)
        if register is None:
            return False
        if is_read:
            value = pmu.read(pe, register)
        else:
            pe.retire_one()
            pmu.write(pe, register, value)
            pe.elr += 4
            interrupts.set_budget(pe.address)
            return True
    else:
        return _soft(pe, instruction)
    if is_read and rt != 31:
        x[rt] = value
    _step_over(pe)
    return True


def _soft(pe: "Pe", instruction: SystemInstruction) -> bool:
    """Do an MRS or MSR of a PSTATE bit that the engine lacks."""
    done = soft.moved(pe.words, pe.x, instruction)
    if done:
        _step_over(pe)
    return done


def wait_trapped(pe: "Pe") -> bool:
    """Take the trap of the WFE at PC, if there is one."""
    found = _controlled(pe, _WFE)
    if found:
        pe.take(*found)
    return bool(found)


def _step_over(pe: "Pe") -> None:
    """Complete the instruction at PC."""
    pe.elr += 4
    pe.retire_one()
    interrupts.set_budget(pe.address)


def refused(pe: "Pe") -> bool:
    """Handle an access refused by a TLB fill: emulate a device register, or take an abort.

    True if it was a plain access to a device, and nothing else has come of it.
    """
    words = pe.words
    status = plain(pe)
    if status == 0:
        return True
    if words[w.P_FAULT_ACCESS] == Access.FETCH and words[w.P_PC] & 3:
        misaligned(pe)
        return False
    is_device, word = words[w.P_FAULT_KIND] == DEVICE, -1
    if words[w.P_FAULT_ACCESS] != Access.FETCH:
        hooks.uncount(pe.address)
        word = _instruction(pe)
        decoded = decode(word) if word >= 0 and words[w.P_OUT_DEVICE] else None
        if decoded is not None and not la.aligned(decoded, la.address(decoded, pe.x, words[w.P_SP], pe.elr)):
            _unaligned(pe, decoded)  # before permission faults and stage 2 (rule XCHFJ)
            return False
    if is_device:
        if status == NOT_PLAIN:
            status = EXTERNAL_ABORT if word < 0 else emulate(pe, word)
        if status == 0:
            return False
        if status != ELSEWHERE:
            words[w.P_FAULT_FSC], words[w.P_FAULT_STAGE] = status, 1
            words[w.P_FAULT_S1PTW] = words[w.P_FAULT_GPF] = 0
    _abort(pe, word)
    return False


def walk_refused(pe: "Pe") -> None:
    """Take the abort of an AT at EL1 whose walk stage 2 refused; the instruction is before PC."""
    pe.words[w.P_FAULT_KIND] = 0
    pe.elr -= 4
    _abort(pe, _instruction(pe))


@contextmanager
def _translation_kept(pe: "Pe") -> Iterator[None]:
    """A context that preserves the words of the last translation."""
    kept = bytes(pe.words[_TRANSLATION])
    yield
    pe.words[_TRANSLATION] = memoryview(kept).cast("Q")


def _instruction(pe: "Pe") -> int:
    """The instruction word at PC, or -1."""
    return int(devices.fetched(pe.address))


def _abort(pe: "Pe", word: int) -> None:
    """Take the abort that the P_FAULT words describe; ``word`` is its instruction."""
    found = abort(pe.words, pe.x, pe.el, word, word >= 0 and _only_written(pe, word))
    if pe.machine.trace.on and not alike(pe):
        _trace(pe, found.esr, found.far, found.hpfar)
    pe.take(found.esr, found.target, found.far, found.hpfar)


def _only_written(pe: "Pe", word: int) -> bool:
    """True if only the write of an atomic was refused; a read would have been permitted."""
    decoded = decode(word)
    if decoded is None or decoded.kind is not la.Kind.ATOMIC:
        return False
    va = pe.words[w.P_FAULT_VA]
    with _translation_kept(pe):
        return bool(translate(pe.address, va - (va >> 63 << 64), int(Access.READ)) != REFUSED)


def _trace(pe: "Pe", esr: int, far: int, hpfar: int | None) -> None:
    words, trace = pe.words, pe.machine.trace
    access = Access(words[w.P_FAULT_ACCESS])
    if words[w.P_FAULT_GPF]:
        pa = words[w.P_FAULT_PA]
        gpi = pe.machine.memory.gpi(pa)
        refused = FaultGpf(
            pa=pa, va=far, pc=pe.elr, esr=esr, access=access, pas=words[w.P_FAULT_PAS],
            level=words[w.P_FAULT_GPT_LEVEL], gpi=UNSET if gpi is None else gpi,
        )  # fmt: skip
        trace.emit(refused, pe=pe)
    elif words[w.P_FAULT_STAGE] == 2:
        ipa = words[w.P_FAULT_IPA]
        fault, level = Fsc(words[w.P_FAULT_FSC] & ~FSC_LEVEL), words[w.P_FAULT_FSC] & FSC_LEVEL
        event = FaultStage2(
            ipa=ipa, va=far, pc=pe.elr, esr=esr, far=far, hpfar=hpfar or 0, access=access, level=level, fault=fault
        )
        trace.emit(event, pe=pe)
