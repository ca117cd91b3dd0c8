"""The table of causes: instructions that cannot be executed, calls that nobody handles, interrupts without a vector."""

from typing import Any, Final

from cca_arch.sysregs import VECTOR_TABLE, Ec, ImmediateEsr
from cca_platform.isa.names import name as named
from cca_platform.isa.sysinsn import SystemKind, decode_system
from cca_platform.pe.hint import LACK, lack

from .rule import Held, Rule, When
from .scene import Scene

__all__ = ["INSTRUCTIONS", "LACKS"]

_SYSTEM_REGISTERS: Final = (SystemKind.MRS, SystemKind.MSR)
_CALLS: Final[dict[int, str]] = {Ec.SVC: "SVC", Ec.HVC: "HVC", Ec.SMC: "SMC", Ec.BRK: "BRK"}
LACKS: Final = "unknown-feature"


def _undefined(s: Scene) -> bool:
    return s.ec == Ec.UNKNOWN


def _system(s: Scene) -> Any:
    return decode_system(s.word) if _undefined(s) and s.word >= 0 else None


def _lacks(s: Scene) -> Held:
    found = lack(s.pe, s.word, s.began_at.pc) if _undefined(s) and s.word >= 0 else None
    return False if found is None else found


def _kind(*kinds: SystemKind) -> When:
    def when(s: Scene) -> bool:
        found = _system(s)
        return found is not None and found.kind in kinds

    return when


def _higher(s: Scene) -> Held:
    found = _system(s)
    if found is None or found.kind not in _SYSTEM_REGISTERS:
        return False
    owner = {0: 1, 3: 0, 4: 2, 5: 2, 6: 3, 7: 1}.get(found.op1, 0)
    instruction = named(s.word)
    if owner <= s.began_at.el:
        return False
    elsewhere = f": EL{owner} belongs to the firmware"
    if s.began_at.el == 0 and owner == 1:
        elsewhere = ", or ask the kernel"
    elif owner == 2:
        elsewhere = ": EL2 belongs to the RMM" if s.realm else ", or start the image at EL2"
    return {"owner": owner, "instruction": instruction, "elsewhere": elsewhere}


def _no_code(s: Scene) -> bool:
    return _undefined(s) and s.word == 0


def _call(s: Scene) -> Held:
    name = _CALLS.get(s.ec)
    return False if name is None else {"call": name, "number": f"{int(ImmediateEsr(s.began_at.esr).imm16):#x}"}


def _hvc_in_realm(s: Scene) -> bool:
    found = _system(s)
    return s.realm and found is not None and found.kind is SystemKind.HVC


def _odd(s: Scene) -> Held:
    return {"address": f"{s.began_at.pc:#x}"} if s.ec == Ec.PC_ALIGNMENT else False


def _no_instruction(s: Scene) -> Held:
    instruction = named(max(s.word, 0), s.began_at.pc)
    return {"instruction": instruction, "level": s.began_at.el} if _undefined(s) else False


def _interrupt(s: Scene) -> Held:
    """No exception came first, but an interrupt, whose vector fails."""
    first = s.first
    kind = None if first is None else s.interrupt_vector(first.pc, first.vbar & -VECTOR_TABLE)
    if first is None or kind is None or not first.nested:
        return False
    sought = [] if s.interrupts is None else s.interrupts.sought
    intid = f" of INTID {sought[0]}" if sought else ""
    word = -1 if s.is_fetch else s.instruction(first.pc)
    state = "cannot be executed" if s.is_fetch else "is empty" if word == 0 else "fails"
    return {"kind": kind, "intid": intid, "offset": f"{first.pc - (first.vbar & -VECTOR_TABLE):#x}", "state": state}


def _answered(s: Scene) -> Held:
    """A call whose vector has code."""
    held = _call(s)
    return held if held is not False and s.instruction(s.vector) > 0 else False


def _entry(s: Scene) -> Held:
    """A vCPU or PE that PSCI has turned on, and that does not find its first instruction."""
    first = s.first
    ok = first is not None and s.is_fetch and not first.nested and first.lr == 0 and first.sp == 0
    return {"address": f"{s.far:#x}"} if ok and not s.who.endswith(" 0") else False

INSTRUCTIONS: Final = (
    Rule(
        "interrupt-vector",
        _interrupt,
        "an {kind}{intid} came, and its vector, VBAR_EL{own} + {offset}, {state}",
        "point VBAR_EL{own} to a table of vectors, aligned to 2 KiB, that handles each kind at its offset",
    ),
    Rule(
        "entry-point",
        _entry,
        "{who} starts at {address}, where no code can run: the entry point that PSCI CPU_ON was given",
        "give CPU_ON the address of code in X2",
    ),
    Rule(
        LACKS,
        _lacks,
        LACK,
        "{answer}",
    ),
    Rule(
        "hvc-in-realm",
        _hvc_in_realm,
        "HVC at {at} is undefined: Realms call the RMM with SMC",
        "use SMC #0 for RSI and PSCI",
    ),
    Rule(
        "hvc-without-el2",
        _kind(SystemKind.HVC),
        "HVC at {at} is undefined: there is no EL2 above this code",
        "use SMC #0, or start the image at EL2",
    ),
    Rule(
        "smc-at-el0",
        _kind(SystemKind.SMC),
        "SMC at {at} is undefined at EL0",
        "call the RMM or the firmware from EL1",
    ),
    Rule(
        "semihosting",
        _kind(SystemKind.HLT),
        "HLT at {at} is undefined: there is no semihosting",
        "print through the UART or a host call",
    ),
    Rule(
        "register-of-higher-level",
        _higher,
        "{instruction} at {at} is undefined: the register belongs to EL{owner}, and the code runs at EL{began_at.el}",
        "use a register of the code's own level{elsewhere}",
    ),
    Rule(
        "zeroes",
        _no_code,
        "the code at {at} is zero: what runs there is no code, but data or memory that nothing was loaded to",
        "check the linker script, the entry point and the end of the function before",
    ),
    Rule(
        "undefined",
        _no_instruction,
        "the instruction {instruction} at {at} is undefined at EL{level}",
        "check that PC runs over code, and that the compiler is told the right CPU",
    ),
    Rule(
        "fp-trapped",
        lambda s: s.ec == Ec.FP_ASIMD,
        "FP and SIMD are trapped at {at}: CPACR_EL1.FPEN is {fpen}",
        "set CPACR_EL1.FPEN to 0b11, then ISB",
    ),
    Rule(
        "sp-alignment",
        lambda s: {"sp": f"{s.began_at.sp:#x}"} if s.ec == Ec.SP_ALIGNMENT else False,
        "SP is not aligned to 16 bytes at {at}: it is {sp}",
        "keep SP a multiple of 16",
    ),
    Rule(
        "pc-alignment",
        _odd,
        "PC is not aligned: a branch went to {address}{caller}",
        "check the pointer or the return address",
    ),
    Rule(
        "illegal-state",
        lambda s: s.ec == Ec.ILLEGAL_STATE,
        "an illegal exception return came to {at}: SPSR named a level or state that cannot be",
        "write a valid mode to SPSR_ELx before ERET, such as 0x3c5 for EL1h",
    ),
    Rule(
        "call-not-handled",
        _answered,
        "{call} #{number} at {at} is not handled",
        "look at its handler, whose vector is at {vector:#x}",
    ),
    Rule(
        "no-handler",
        _call,
        "{call} #{number} at {at} has no handler",
        "point VBAR_EL{own} to a table of vectors, aligned to 2 KiB, that handles it",
    ),
)
"""What no abort began."""
