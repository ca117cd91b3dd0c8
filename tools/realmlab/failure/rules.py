"""The table of causes: a row says what must hold of a failed run, the cause in a sentence, and what helps.

The first row that holds counts. ``{...}`` in a sentence is what :class:`~realmlab.failure.scene.Scene` or the row's
condition knows by that name. ``docs/reference/messages.md`` is made of these rows.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from cca_arch.sysregs import VECTOR_TABLE, Ec, Fsc, ImmediateEsr, Pstate, Tcr
from cca_arch.types import GRANULE_SIZE, Access
from cca_host.kvmtool.layout import DISTRIBUTOR_BASE, UART_BASE, UART_SIZE
from cca_platform.isa.decoder import decode
from cca_platform.isa.features import feature_of
from cca_platform.isa.names import name as named
from cca_platform.isa.sysinsn import SystemKind, decode_system
from cca_platform.models import MODELS

from ..walker import Walker
from .scene import Scene

__all__ = ["EXCEPTIONS", "LACKS", "Rule", "find"]

When = Callable[[Scene], "bool | Mapping[str, Any]"]


class Rule(Struct, frozen=True):
    """A row of the table. ``name`` is stable, for programs and for links."""

    name: str
    when: When
    """True, or the values for its sentences, if it explains the failure."""
    cause: str
    remedy: str


def find(rules: tuple[Rule, ...], scene: Scene) -> tuple[str, str, str] | None:
    """The (name, cause, remedy) of the first row that holds."""
    for rule in rules:
        held = rule.when(scene)
        if held is not False and held is not None:
            values = _Values(scene, held if isinstance(held, Mapping) else {})
            return rule.name, rule.cause.format_map(values), rule.remedy.format_map(values)
    return None


class _Values(dict[str, Any]):
    """What the sentences of a row can name."""

    def __init__(self, scene: Scene, held: Mapping[str, Any]) -> None:
        super().__init__(held)
        self.scene = scene

    def __missing__(self, name: str) -> Any:
        return getattr(self.scene, name)


# -- conditions ---------------------------------------------------------------------------------------------------
_SYSTEM_REGISTERS: Final = (SystemKind.MRS, SystemKind.MSR)
_CALLS: Final[dict[int, str]] = {Ec.SVC: "SVC", Ec.HVC: "HVC", Ec.SMC: "SMC", Ec.BRK: "BRK"}
_ERRORS: Final = (0x1C09_0000, 0x0900_0000)  # the UARTs of the boards, which a Realm does not have
_UPPER: Final = 55  # the bit of an address that selects TTBR1
_NULL: Final = 16 * GRANULE_SIZE  # addresses below are null pointers and members of what they point to
_TABLE_FAULTS: Final = (Fsc.TRANSLATION, Fsc.ADDRESS_SIZE, Fsc.ACCESS_FLAG, Fsc.PERMISSION, Fsc.EXTERNAL_WALK)
_PAGE: Final = GRANULE_SIZE


def _undefined(s: Scene) -> bool:
    return s.ec == Ec.UNKNOWN


def _system(s: Scene) -> Any:
    return decode_system(s.word) if _undefined(s) and s.word >= 0 else None


def _lacks(s: Scene) -> bool | Mapping[str, Any]:
    feature = feature_of(s.word) if _undefined(s) and s.word >= 0 else None
    if feature is None or s.pe.machine.model.has(feature):
        return False
    having = [name for name, model in MODELS.items() if model.has(feature)]
    answer = f"use `cpu` {' or '.join(having)}" if having else "no CPU model has it"
    return {
        "feature": feature,
        "answer": answer,
        "word": f"{s.word:#010x}",
        "pc": f"{s.began_at.pc:#x}",
        "index": s.pe.index,
    }


def _kind(*kinds: SystemKind) -> When:
    def when(s: Scene) -> bool:
        found = _system(s)
        return found is not None and found.kind in kinds

    return when


def _higher(s: Scene) -> bool | Mapping[str, Any]:
    found = _system(s)
    if found is None or found.kind not in _SYSTEM_REGISTERS:
        return False
    owner = {0: 1, 3: 0, 4: 2, 5: 2, 6: 3, 7: 1}.get(found.op1, 0)
    instruction = named(s.word)
    return {"owner": owner, "instruction": instruction} if owner > s.began_at.el else False


def _no_code(s: Scene) -> bool:
    return _undefined(s) and s.word == 0


def _call(s: Scene) -> bool | Mapping[str, Any]:
    name = _CALLS.get(s.ec)
    return False if name is None else {"call": name, "number": f"{int(ImmediateEsr(s.began_at.esr).imm16):#x}"}


def _aborts(fault: int, *, fetch: bool | None = None, write: bool | None = None) -> When:
    def when(s: Scene) -> bool:
        if s.fault != fault:
            return False
        return (fetch is None or s.is_fetch == fetch) and (write is None or s.is_write == write)

    return when


def _and(*conditions: When) -> When:
    """All of them, with the values of each."""

    def when(s: Scene) -> bool | Mapping[str, Any]:
        values: dict[str, Any] = {}
        for condition in conditions:
            held = condition(s)
            if held is False:
                return False
            if isinstance(held, Mapping):
                values |= held
        return values

    return when


def _any(*conditions: When) -> When:
    def when(s: Scene) -> bool | Mapping[str, Any]:
        return next((held for condition in conditions if (held := condition(s)) is not False), False)

    return when


def _realm(s: Scene) -> bool:
    return s.realm


def _external(s: Scene) -> bool:
    return s.is_abort and s.fault in (Fsc.EXTERNAL, Fsc.EXTERNAL_WALK) and not s.found.walk


def _unanswered(s: Scene) -> bool:
    """An abort that leads out of memory: an external abort or a translation fault of either stage."""
    return s.is_abort and s.fault in (Fsc.EXTERNAL, Fsc.TRANSLATION, Fsc.ADDRESS_SIZE)


def _null(s: Scene) -> bool | Mapping[str, Any]:
    ok = _unanswered(s) and s.far < _NULL and not s.in_memory(s.far)
    return {"address": f"{s.far:#x}"} if ok else False


def _null_call(s: Scene) -> bool | Mapping[str, Any]:
    return _null(s) if s.is_fetch else False


def _jump(s: Scene) -> bool | Mapping[str, Any]:
    ok = s.is_fetch and _unanswered(s) and (s.ipa is None or not s.in_memory(s.ipa & ~s.shared))
    return {"address": f"{s.far:#x}"} if ok else False


def _no_stack(s: Scene) -> bool | Mapping[str, Any]:
    sp = s.began_at.sp if s.first is not None else 0
    ok = (_unanswered(s) and s.uses_stack and sp < _NULL) or (
        _unanswered(s) and s.uses_stack and sp > (1 << 64) - _NULL
    )
    name = "SP" if s.first is None or Pstate(s.first.pstate).sp else "SP_EL0, which PSTATE.SP selects,"
    return {"sp": f"{sp:#x}", "name": name} if ok else False


def _overflow(s: Scene) -> bool | Mapping[str, Any]:
    if not (s.is_abort and not s.is_fetch and s.near_stack):
        return False
    if s.fault not in (Fsc.EXTERNAL, Fsc.TRANSLATION, Fsc.PERMISSION, Fsc.ADDRESS_SIZE):
        return False
    return {"sp": f"{s.began_at.sp:#x}", "address": f"{s.far:#x}"}


def _uart(s: Scene) -> bool | Mapping[str, Any]:
    if not (s.realm and _unanswered(s) and s.ipa is not None):
        return False
    alias = s.shared | UART_BASE
    if UART_BASE <= s.ipa < UART_BASE + UART_SIZE or any(base <= s.ipa & ~s.shared < base + _PAGE for base in _ERRORS):
        return {"ipa": f"{s.ipa:#x}", "alias": f"{alias:#x}"}
    return False


def _gic_unshared(s: Scene) -> bool | Mapping[str, Any]:
    if not (s.realm and _unanswered(s) and s.ipa is not None):
        return False
    low = DISTRIBUTOR_BASE - 0x100_0000
    ok = low <= s.ipa < DISTRIBUTOR_BASE + 16 * GRANULE_SIZE
    return {"ipa": f"{s.ipa:#x}", "alias": f"{s.ipa | s.shared:#x}"} if ok else False


def _above(s: Scene) -> bool | Mapping[str, Any]:
    address = s.ipa if s.ipa is not None else s.far
    ok = s.realm and _unanswered(s) and address >> s.ipa_width and not s.walker.on
    ok = ok or bool(s.realm and _unanswered(s) and s.ipa is not None and s.ipa >> s.ipa_width)
    bit = s.ipa_width - 1
    return {"address": f"{address:#x}", "width": s.ipa_width, "bit": bit} if ok else False


def _empty_ram(s: Scene) -> bool | Mapping[str, Any]:
    ok = s.realm and _external(s) and s.ipa is not None and not s.ipa & s.shared and s.in_memory(s.ipa)
    ok = ok and s.ripas in ("EMPTY", "DESTROYED")
    return {"ripas_name": s.ripas, "at_ipa": f"{s.ipa:#x}", "alias": f"{(s.ipa or 0) | s.shared:#x}"} if ok else False


def _not_memory(s: Scene) -> bool | Mapping[str, Any]:
    ok = s.realm and _unanswered(s) and s.ipa is not None and not s.ipa & s.shared and not s.in_memory(s.ipa)
    return {"at_ipa": f"{s.ipa:#x}", "ripas_name": s.ripas or "EMPTY"} if ok else False


def _shared_code(s: Scene) -> bool | Mapping[str, Any]:
    ok = s.realm and s.is_fetch and s.ipa is not None and bool(s.ipa & s.shared)
    return {"at_ipa": f"{s.ipa:#x}"} if ok else False


def _shared_nothing(s: Scene) -> bool | Mapping[str, Any]:
    ok = s.realm and _external(s) and s.ipa is not None and bool(s.ipa & s.shared)
    return {"at_ipa": f"{s.ipa:#x}", "alias": f"{s.shared | UART_BASE:#x}"} if ok else False


def _gpf(s: Scene) -> bool | Mapping[str, Any]:
    found = s.found if s.is_abort else None
    if found is None or not (s.fault == Fsc.GPF or found.gpf):
        return False
    pa = found.pa if found.pa is not None else s.far
    gpi = s.pe.machine.memory.gpi(pa)
    owner = "no" if gpi is None else gpi.name.title().replace("_", "-")
    region = next((one.name for one in s.pe.machine.board.regions if one.base <= pa < one.top), "")
    whose = f" (the region {region!r} of the firmware)" if region else ""
    return {"pa": f"{pa:#x}", "owner": owner, "whose": whose, "world": s.security.name.title().replace("_", "-")}


def _no_answer(s: Scene) -> bool | Mapping[str, Any]:
    ok = not s.realm and s.is_abort and s.fault == Fsc.EXTERNAL
    pa = s.ipa if s.ipa is not None else s.far
    return {"pa": f"{pa:#x}"} if ok else False


def _granule_size(s: Scene) -> bool | Mapping[str, Any]:
    """Tables of another granule than 4 KiB."""
    chosen = s.control("tcr") >> 14 & 3
    ok = s.is_abort and s.walker.on and s.found.stage != 2 and s.fault in _TABLE_FAULTS and chosen in (1, 2)
    return {"size": {1: 64, 2: 16}[chosen], "chosen": chosen} if ok else False


def _no_syndrome(s: Scene) -> bool | Mapping[str, Any]:
    """An access to the shared half that the host cannot emulate."""
    access = decode(s.word) if s.realm and _external(s) and s.word > 0 else None
    ok = access is not None and not access.isv and s.ipa is not None and s.ipa & s.shared
    return {"instruction": named(s.word, s.began_at.pc), "at_ipa": f"{s.ipa or 0:#x}"} if ok else False


def _mmu_on(s: Scene) -> bool:
    return s.is_fetch and s.fault == Fsc.TRANSLATION and s.walker.on and s.in_memory(s.far) and s.security is not None


def _stage1(fault: int) -> When:
    def when(s: Scene) -> bool | Mapping[str, Any]:
        if s.fault != fault or s.found.stage == 2:
            return False
        return {"address": f"{s.far:#x}", "level": s.fault_level}

    return when


def _beyond(s: Scene) -> bool | Mapping[str, Any]:
    """A virtual address that TCR_ELx does not cover."""
    if s.fault != Fsc.TRANSLATION or not s.walker.on:
        return False
    tcr, upper = Tcr(s.control("tcr")), bool(s.far >> _UPPER & 1) and s.own == 1
    size = int(tcr.t1sz if upper else tcr.t0sz)
    bits = 64 - min(max(size, 16), 39)
    outside = s.far >> bits != ((1 << 64 - bits) - 1 if upper else 0)
    off = bool(tcr.epd1 if upper else tcr.epd0) and s.own == 1
    if not outside and not off:
        return False
    half = 1 if upper else 0
    why = f"EPD{half} turns the tables of TTBR{half}_EL{s.own} off" if off else f"T{half}SZ = {size} covers {bits} bits"
    return {"address": f"{s.far:#x}", "why": why}


def _flat_beyond(s: Scene) -> bool | Mapping[str, Any]:
    ok = s.fault == Fsc.ADDRESS_SIZE and not s.walker.on
    return {"address": f"{s.far:#x}"} if ok else False


def _device(s: Scene) -> bool | Mapping[str, Any]:
    ok = s.fault in (Fsc.ALIGNMENT, Fsc.UNSUPPORTED_EXCLUSIVE) and s.walker.on and s.found.device
    return {"address": f"{s.far:#x}", "instruction": named(s.word, s.began_at.pc)} if ok else False


def _alignment(s: Scene) -> bool | Mapping[str, Any]:
    ok = s.fault == Fsc.ALIGNMENT
    return {"address": f"{s.far:#x}", "instruction": named(max(s.word, 0), s.began_at.pc)} if ok else False


def _execute_never(s: Scene) -> bool | Mapping[str, Any]:
    if not (s.is_fetch and s.fault == Fsc.PERMISSION):
        return False
    why = "UXN" if s.own == 2 or s.began_at.el == 0 else "PXN"
    lower = Walker(s.pe, int(s.security), 0, s.reg)
    written = s.walker.translate(s.far, Access.WRITE).stage != 1
    if s.own == 1 and s.began_at.el == 1 and lower.translate(s.far, Access.WRITE).stage != 1:
        why = "EL0 may write it (AP is 0b01), so EL1 may not execute it"
    if written and s.control("sctlr") >> 19 & 1:
        why = f"writable, and SCTLR_EL{s.own}.WXN is set"
    return {"address": f"{s.far:#x}", "why": why}


def _read_only(s: Scene) -> bool | Mapping[str, Any]:
    ok = s.is_write and s.fault == Fsc.PERMISSION and s.walker.translate(s.far).stage != 1
    return {"address": f"{s.far:#x}"} if ok else False


def _privileged(s: Scene) -> bool | Mapping[str, Any]:
    ok = s.is_abort and s.fault == Fsc.PERMISSION
    pan = bool(Pstate(s.began_at.pstate).pan)
    why = "PSTATE.PAN is set" if pan and s.began_at.el == 1 else f"EL{s.began_at.el if s.first else 1} may not"
    return {"address": f"{s.far:#x}", "why": why} if ok else False


def _walk(s: Scene) -> bool | Mapping[str, Any]:
    ok = s.is_abort and (s.found.walk or s.fault == Fsc.EXTERNAL_WALK)
    return {"address": f"{s.far:#x}", "ttbr": f"TTBR0_EL{s.own} is {s.control('ttbr0'):#x}"} if ok else False


def _odd(s: Scene) -> bool | Mapping[str, Any]:
    return {"address": f"{s.began_at.pc:#x}"} if s.ec == Ec.PC_ALIGNMENT else False


def _zeroes_ahead(s: Scene) -> bool | Mapping[str, Any]:
    """Undefined, at a place that is no instruction of the payload."""
    if not _undefined(s):
        return False
    return {"instruction": named(max(s.word, 0), s.began_at.pc), "level": s.began_at.el}


def _interrupt(s: Scene) -> bool | Mapping[str, Any]:
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


def _answered(s: Scene) -> bool | Mapping[str, Any]:
    """A call whose vector has code."""
    held = _call(s)
    return held if held is not False and s.instruction(s.vector) > 0 else False


def _entry(s: Scene) -> bool | Mapping[str, Any]:
    """A vCPU or PE that PSCI has turned on, and that does not find its first instruction."""
    first = s.first
    ok = first is not None and s.is_fetch and not first.nested and first.lr == 0 and first.sp == 0
    return {"address": f"{s.far:#x}"} if ok and not s.who.endswith(" 0") else False


LACKS: Final = "unknown-feature"

EXCEPTIONS: Final = (
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
        "the instruction {word} at {pc} is of {feature}, which PE {index} lacks",
        "{answer}",
    ),
    Rule(
        "hvc-in-realm",
        _and(_realm, _kind(SystemKind.HVC)),
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
        "use the register of the code's own level, or start the image at EL{owner}",
    ),
    Rule(
        "zeroes",
        _no_code,
        "the code at {at} is zero: what runs there is no code, but data or memory that nothing was loaded to",
        "check the linker script, the entry point and the end of the function before",
    ),
    Rule(
        "undefined",
        _zeroes_ahead,
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
        "null-call",
        _null_call,
        "a jump to {address}{caller}: a null pointer to a function, or a return address that was lost",
        "check the pointer, and the stack that holds X30",
    ),
    Rule(
        "no-stack",
        _no_stack,
        "{name} is {sp} at {at}: no stack was set up",
        "point SP to the top of some memory before the first function",
    ),
    Rule(
        "uart-not-shared",
        _uart,
        "IPA {ipa} is no UART of a Realm at {at}: the UART is at {alias}, in the shared half",
        "use {alias}, and map it as Device if the MMU is on",
    ),
    Rule(
        "gic-not-shared",
        _gic_unshared,
        "IPA {ipa} at {at} lacks the shared bit: the GIC of a Realm is in the shared half",
        "use {alias}",
    ),
    Rule(
        "above-ipa-space",
        _above,
        "{address} at {at} is above the IPA space of {width} bits: the shared bit is bit {bit}",
        "set bit {bit}, ipa_width - 1 of RSI_REALM_CONFIG, for the shared alias",
    ),
    Rule(
        "shared-code",
        _shared_code,
        "a Realm cannot execute shared memory: {at} is at IPA {at_ipa}, in the shared half",
        "run code from protected memory, without the shared bit",
    ),
    Rule(
        "ripas-empty",
        _empty_ram,
        "RIPAS of IPA {at_ipa} is {ripas_name} at {at}: the page is not the Realm's any more",
        "make it RAM by RSI_IPA_STATE_SET, or use its shared alias {alias}",
    ),
    Rule(
        "stage1-walk",
        _walk,
        "the translation tables of stage 1 cannot be read for {address} at {at}: {ttbr}",
        "point TTBR0 and every table descriptor to memory of this software",
    ),
    Rule(
        "granule-size",
        _granule_size,
        "TCR_EL{own}.TG0 is {chosen:#04b}: tables of {size} KiB granules, which this CPU does not have, at {at}",
        "set TG0 to 0 and build tables of 4 KiB granules",
    ),
    Rule(
        "mmu-without-code",
        _mmu_on,
        "the MMU is on and does not map the code: there is no translation of {far:#x}, level {fault_level}",
        "map the code that turns the MMU on at its own address, then write the tables before SCTLR, with DSB and ISB",
    ),
    Rule(
        "stack-overflow",
        _overflow,
        "the stack ran into {address}, which is no memory for it: SP is {sp} at {at}",
        "give the stack more room, or stop the recursion",
    ),
    Rule(
        "null-pointer",
        _null,
        "a null pointer: {at} {verb} address {address}",
        "check the pointer",
    ),
    Rule(
        "va-beyond-tables",
        _beyond,
        "{address} at {at} is not in the range of the tables: TCR_EL{own}.{why}",
        "set TCR_EL{own} for the addresses in use, or use an address within the tables",
    ),
    Rule(
        "jump-to-nowhere",
        _jump,
        "a jump to {address}, where no memory is{caller}",
        "check the pointer, the vectors or the return address",
    ),
    Rule(
        "stage1-unmapped",
        _stage1(Fsc.TRANSLATION),
        "stage 1 does not map {address}, which {at} {verb}: no translation at level {level}",
        "add the page to the tables, with DSB and ISB after it",
    ),
    Rule(
        "access-flag",
        _stage1(Fsc.ACCESS_FLAG),
        "stage 1 maps {address} without the access flag, at {at}",
        "set AF, bit 10, in the descriptor",
    ),
    Rule(
        "execute-never",
        _execute_never,
        "stage 1 maps {address} as not executable: {why}",
        "map code read-only, without PXN and UXN",
    ),
    Rule(
        "read-only",
        _read_only,
        "stage 1 maps {address} read-only, and {at} writes it",
        "clear AP[2] in the descriptor, or write elsewhere",
    ),
    Rule(
        "permission",
        _privileged,
        "stage 1 refuses {address} at {at}: {why}",
        "check AP in the descriptor and PSTATE.PAN",
    ),
    Rule(
        "wild-address",
        _flat_beyond,
        "{address}, which {at} {verb}, is no physical address: it has too many bits",
        "check the pointer; with the MMU off every address is physical",
    ),
    Rule(
        "address-size",
        _stage1(Fsc.ADDRESS_SIZE),
        "a descriptor or TTBR of stage 1 holds an address that is too large, for {address} at {at}",
        "check the output address and TCR_EL1.IPS",
    ),
    Rule(
        "device-memory",
        _device,
        "stage 1 maps {address} as Device, which {instruction} at {at} must not meet unaligned",
        "map memory as Normal: check MAIR_EL1 and AttrIndx in the descriptor",
    ),
    Rule(
        "alignment",
        _alignment,
        "the access to {address} by {instruction} at {at} is not aligned",
        "align the data; exclusives, atomics and ordered accesses must always be",
    ),
    Rule(
        "granule-protection",
        _gpf,
        "granule protection fault: PA {pa} is in the {owner} PAS{whose}, and {world} software {verb} it at {at}",
        "use memory of your own world; RMI_GRANULE_UNDELEGATE gives a granule back",
    ),
    Rule(
        "no-syndrome",
        _no_syndrome,
        "{instruction} at {at} accesses IPA {at_ipa} of the shared half, but the host cannot emulate it: an access "
        "that writes its base register back, or moves more than one register, has no syndrome (ISV is 0)",
        "use plain loads and stores of one general register for devices",
    ),
    Rule(
        "shared-nothing",
        _shared_nothing,
        "nothing is at IPA {at_ipa} of the shared half, which {at} {verb}: neither memory nor a device",
        "share memory of the Realm by its own address with the shared bit; the UART is at {alias}",
    ),
    Rule(
        "not-memory",
        _not_memory,
        "IPA {at_ipa}, which {at} {verb}, is not the Realm's memory ({memory}): its RIPAS is {ripas_name}",
        "link and allocate within the memory that the device tree describes, or give `memory`",
    ),
    Rule(
        "nothing-there",
        _no_answer,
        "nothing answers at PA {pa}, which {at} {verb}: it is neither memory nor a device of the board",
        "check the address against the board, `realmlab run --board`",
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
"""What began an endless series of exceptions, or whose handler does not come back."""
