"""The table of causes: memory that cannot be read, written or executed."""

from typing import Final

from cca_arch.sysregs import Fsc, Pstate, Tcr
from cca_arch.types import GRANULE_SIZE, Access
from cca_host.kvmtool.layout import DISTRIBUTOR_BASE, UART_BASE, UART_SIZE
from cca_platform.isa.decoder import decode
from cca_platform.isa.names import name as named

from ..walker import Walker
from .rule import Held, Rule, When
from .scene import Scene

__all__ = ["ABORTS"]

_BOARD_UARTS: Final = (0x1C09_0000, 0x0900_0000)  # the UARTs of the boards, which a Realm does not have
_UPPER: Final = 55  # the bit of an address that selects TTBR1
_NULL: Final = 16 * GRANULE_SIZE  # addresses below are null pointers and members of what they point to
_TABLE_FAULTS: Final = (Fsc.TRANSLATION, Fsc.ADDRESS_SIZE, Fsc.ACCESS_FLAG, Fsc.PERMISSION, Fsc.EXTERNAL_WALK)
_PAGE: Final = GRANULE_SIZE


def _external(s: Scene) -> bool:
    return s.is_abort and s.fault in (Fsc.EXTERNAL, Fsc.EXTERNAL_WALK) and not s.found.walk


def _unanswered(s: Scene) -> bool:
    """An abort that leads out of memory: an external abort or a translation fault of either stage."""
    return s.is_abort and s.fault in (Fsc.EXTERNAL, Fsc.TRANSLATION, Fsc.ADDRESS_SIZE)


def _null(s: Scene) -> Held:
    ok = _unanswered(s) and s.far < _NULL and not s.in_memory(s.far)
    return {"address": f"{s.far:#x}"} if ok else False


def _null_call(s: Scene) -> Held:
    return _null(s) if s.is_fetch else False


def _jump(s: Scene) -> Held:
    ok = s.is_fetch and _unanswered(s) and (s.ipa is None or not s.in_memory(s.ipa & ~s.shared))
    return {"address": f"{s.far:#x}"} if ok else False


def _no_stack(s: Scene) -> Held:
    """SP is near 0, above or, after a push, below it."""
    sp = s.began_at.sp
    if not (_unanswered(s) and s.uses_stack and (sp < _NULL or sp > (1 << 64) - _NULL)):
        return False
    name = "SP" if Pstate(s.began_at.pstate).sp else "SP_EL0, which PSTATE.SP selects,"
    return {"sp": f"{sp:#x}", "name": name}


def _overflow(s: Scene) -> Held:
    if not (s.is_abort and not s.is_fetch and s.near_stack):
        return False
    if s.fault not in (Fsc.EXTERNAL, Fsc.TRANSLATION, Fsc.PERMISSION, Fsc.ADDRESS_SIZE):
        return False
    return {"sp": f"{s.began_at.sp:#x}", "address": f"{s.far:#x}"}


def _uart(s: Scene) -> Held:
    if not (s.realm and _unanswered(s) and s.ipa is not None):
        return False
    alias = s.shared | UART_BASE
    of_board = any(base <= s.ipa & ~s.shared < base + _PAGE for base in _BOARD_UARTS)
    if of_board or UART_BASE <= s.ipa < UART_BASE + UART_SIZE:
        return {"ipa": f"{s.ipa:#x}", "alias": f"{alias:#x}"}
    return False


def _gic_unshared(s: Scene) -> Held:
    if not (s.realm and _unanswered(s) and s.ipa is not None):
        return False
    low = DISTRIBUTOR_BASE - 0x100_0000
    ok = low <= s.ipa < DISTRIBUTOR_BASE + 16 * GRANULE_SIZE
    return {"ipa": f"{s.ipa:#x}", "alias": f"{s.ipa | s.shared:#x}"} if ok else False


def _above(s: Scene) -> Held:
    """Without stage 1, an address is an IPA, also one that leads nowhere."""
    address = s.ipa if s.ipa is not None else 0 if s.walker.on else s.far
    if not (s.realm and _unanswered(s) and address >> s.ipa_width):
        return False
    return {"address": f"{address:#x}", "width": s.ipa_width, "bit": s.ipa_width - 1}


def _empty_ram(s: Scene) -> Held:
    ok = s.realm and _external(s) and s.ipa is not None and not s.ipa & s.shared and s.in_memory(s.ipa)
    ok = ok and s.ripas in ("EMPTY", "DESTROYED")
    return {"ripas_name": s.ripas, "at_ipa": f"{s.ipa:#x}", "alias": f"{(s.ipa or 0) | s.shared:#x}"} if ok else False


def _not_memory(s: Scene) -> Held:
    ok = s.realm and _unanswered(s) and s.ipa is not None and not s.ipa & s.shared and not s.in_memory(s.ipa)
    return {"at_ipa": f"{s.ipa:#x}", "ripas_name": s.ripas or "EMPTY"} if ok else False


def _shared_code(s: Scene) -> Held:
    ok = s.realm and s.is_fetch and s.ipa is not None and bool(s.ipa & s.shared)
    return {"at_ipa": f"{s.ipa:#x}"} if ok else False


def _shared_nothing(s: Scene) -> Held:
    ok = s.realm and _external(s) and s.ipa is not None and bool(s.ipa & s.shared)
    return {"at_ipa": f"{s.ipa:#x}", "alias": f"{s.shared | UART_BASE:#x}"} if ok else False


def _gpf(s: Scene) -> Held:
    found = s.found if s.is_abort else None
    if found is None or not (s.fault == Fsc.GPF or found.gpf):
        return False
    pa = found.pa if found.pa is not None else s.far
    gpi = s.pe.machine.memory.gpi(pa)
    owner = "no" if gpi is None else gpi.name.title().replace("_", "-")
    region = next((one.name for one in s.pe.machine.board.regions if one.base <= pa < one.top), "")
    whose = f" (the region {region!r} of the firmware)" if region else ""
    return {"pa": f"{pa:#x}", "owner": owner, "whose": whose, "world": s.security.name.title().replace("_", "-")}


def _no_answer(s: Scene) -> Held:
    ok = not s.realm and s.is_abort and s.fault == Fsc.EXTERNAL
    pa = s.ipa if s.ipa is not None else s.far
    return {"pa": f"{pa:#x}"} if ok else False


def _granule_size(s: Scene) -> Held:
    """Tables of another granule than 4 KiB."""
    chosen = s.control("tcr") >> 14 & 3
    ok = s.is_abort and s.walker.on and s.found.stage != 2 and s.fault in _TABLE_FAULTS and chosen in (1, 2)
    return {"size": {1: 64, 2: 16}[chosen], "chosen": chosen} if ok else False


def _no_syndrome(s: Scene) -> Held:
    """An access to the shared half that the host cannot emulate."""
    access = decode(s.word) if s.realm and _external(s) and s.word > 0 else None
    ok = access is not None and not access.isv and s.ipa is not None and s.ipa & s.shared
    return {"instruction": named(s.word, s.began_at.pc), "at_ipa": f"{s.ipa or 0:#x}"} if ok else False


def _mmu_on(s: Scene) -> bool:
    return s.is_fetch and s.fault == Fsc.TRANSLATION and s.walker.on and s.in_memory(s.far)


def _stage1(fault: int) -> When:
    def when(s: Scene) -> Held:
        if s.fault != fault or s.found.stage == 2:
            return False
        return {"address": f"{s.far:#x}", "level": s.fault_level}

    return when


def _beyond(s: Scene) -> Held:
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


def _flat_beyond(s: Scene) -> Held:
    ok = s.fault == Fsc.ADDRESS_SIZE and not s.walker.on
    return {"address": f"{s.far:#x}"} if ok else False


def _device(s: Scene) -> Held:
    ok = s.fault in (Fsc.ALIGNMENT, Fsc.UNSUPPORTED_EXCLUSIVE) and s.walker.on and s.found.device
    return {"address": f"{s.far:#x}", "instruction": named(s.word, s.began_at.pc)} if ok else False


def _alignment(s: Scene) -> Held:
    ok = s.fault == Fsc.ALIGNMENT
    return {"address": f"{s.far:#x}", "instruction": named(max(s.word, 0), s.began_at.pc)} if ok else False


def _execute_never(s: Scene) -> Held:
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


def _read_only(s: Scene) -> Held:
    ok = s.is_write and s.fault == Fsc.PERMISSION and s.walker.translate(s.far).stage != 1
    return {"address": f"{s.far:#x}"} if ok else False


def _privileged(s: Scene) -> Held:
    ok = s.is_abort and s.fault == Fsc.PERMISSION
    pan = bool(Pstate(s.began_at.pstate).pan)
    why = "PSTATE.PAN is set" if pan and s.began_at.el == 1 else f"EL{s.began_at.el if s.first else 1} may not"
    return {"address": f"{s.far:#x}", "why": why} if ok else False


def _walk(s: Scene) -> Held:
    ok = s.is_abort and (s.found.walk or s.fault == Fsc.EXTERNAL_WALK)
    return {"address": f"{s.far:#x}", "ttbr": f"TTBR0_EL{s.own} is {s.control('ttbr0'):#x}"} if ok else False

ABORTS: Final = (
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
)
"""What instruction and data aborts began."""
