"""Instructions that the engine takes for others, found when their page is first fetched.

To the engine WFE is a yield, SEV and SEVL do nothing, and ERET is nobody's business. They are rare, so a code hook on
the address of each costs nothing elsewhere. A hook is on a virtual address, where other code may come to be: it reads
the instruction again. Ordered accesses (:mod:`cca_platform.engine.ordered`) have hooks while there are few of them.
"""

from typing import Final

from cca_platform.engine import interrupts, ordered
from cca_platform.engine.registers import PSTATE, get, load_regime
from cca_platform.isa.pstate import level
from cca_platform.mmu.dram import host_address, page_index
from cca_platform.mmu.translate import translate
from cca_platform.mmu.walk import FETCH
from cca_platform.native import block as w
from cca_platform.native.jit import (
    call_address,
    call_hook_add,
    callback,
    jit,
    load8,
    load32,
    load64,
    store8,
    store64,
)

__all__ = ["CODE_HOOK", "ERETS", "ON_SITE", "send_event", "watch"]

WFE: Final = 0xD503205F
SEV: Final = 0xD503209F
SEVL: Final = 0xD50320BF
ERETS: Final = (0xD69F03E0, 0xD69F0BFF, 0xD69F0FFF)  # ERET, ERETAA, ERETAB
_WORDS: Final = 1024  # of a page
CODE_HOOK: Final = 4  # UC_HOOK_CODE, which the engine checks against Unicorn's own number


@jit("i8(i8)")
def _is_event(word: int) -> int:
    """True for an instruction that has to do with the event register."""
    return 1 if word in (WFE, SEV, SEVL) or word in ERETS else 0


@jit("i8(i8)")
def _empty(p: int) -> int:
    """Have all hooks removed at the next block; pages that are fetched afterwards set theirs again."""
    store64(p + 8 * w.P_SITES_USED, w.SITES + 1)
    store64(p + 8 * w.P_SLICE_END, 0)
    return interrupts.set_budget(p)


@jit("i8(i8, i8)")
def _add(p: int, address: int) -> int:
    """Set a hook on this address, unless there is one; a full table is emptied at the next stop."""
    table, count = load64(p + 8 * w.P_SITES), load64(p + 8 * w.P_SITES_USED)
    for number in range(min(count, w.SITES)):
        if load64(table + 16 * number) == address:
            return 0
    if count >= w.SITES:
        return _empty(p)
    store64(table + 16 * count, address)
    store64(p + 8 * w.P_SITES_USED, count + 1)
    return call_hook_add(
        load64(p + 8 * w.P_UC_HOOK_ADD), load64(p + 8 * w.P_UC), table + 16 * count + 8, CODE_HOOK,
        load64(p + 8 * w.P_ON_SITE), p, address, address,
    )  # fmt: skip


@jit("i8(i8, i8)")
def watch(p: int, va: int) -> int:
    """Set the hooks that the page at ``va`` needs, which is about to be fetched from, and translated into P_OUT_PA.

    The page is searched once after each change of its code; a page without such instructions costs a look.
    """
    m = load64(p + 8 * w.P_MACHINE)
    pa = load64(p + 8 * w.P_OUT_PA) & ~0xFFF
    executed = load64(m + 8 * w.M_EXECUTED) + page_index(m, pa)
    known = load8(executed)
    if known == w.EXECUTED | w.SEARCHED:
        return 0
    found, host, page = w.EXECUTED | w.SEARCHED | known & w.REWRITTEN, host_address(m, pa), va & ~0xFFF
    for number in range(_WORDS):
        word, address = load32(host + 4 * number), page + 4 * number
        if _is_event(word):
            found |= w.HAS_SITES
            _add(p, address)
        elif ordered.is_ordered(p, word):
            found |= w.HAS_SITES
            if ordered.note(p, address):
                _add(p, address)
            else:
                _empty(p)
    store8(executed, found)
    return 0


@jit("i8(i8, i8)")
def _word(p: int, address: int) -> int:
    """The instruction that is about to be executed; what the TLB may hold is not translated again."""
    el, era = level(get(p, PSTATE)), load64(p + 8 * w.P_TLB_ERA)
    page = address & ~0xFFF | el
    if load64(p + 8 * w.P_SITE_PAGE) != page or load64(p + 8 * w.P_SITE_ERA) != era:
        load_regime(p, el)
        store64(p + 8 * w.P_EL, el)
        store64(p + 8 * w.P_SITE_ERA, 0)
        if translate(p, address & ~0xFFF, FETCH) != 0:
            return 0
        store64(p + 8 * w.P_SITE_HOST, host_address(load64(p + 8 * w.P_MACHINE), load64(p + 8 * w.P_OUT_PA)))
        store64(p + 8 * w.P_SITE_PAGE, page)
        store64(p + 8 * w.P_SITE_ERA, era)
    return load32(load64(p + 8 * w.P_SITE_HOST) + (address & 0xFFF))


@jit("i8(i8)")
def send_event(m: int) -> int:
    """SEV: set the event register of every PE."""
    pes = load64(m + 8 * w.M_PES)
    for number in range(load64(m + 8 * w.M_PES_COUNT)):
        store64(load64(pes + 8 * number) + 8 * w.P_EVENT, 1)
    return 0


@callback("void", "i64", "i64", "i32", "i64")
def ON_SITE(uc: int, address: int, size: int, p: int) -> None:
    """UC_HOOK_CODE, before such an instruction.

    Before WFE, and an access that is not aligned, the engine stops: Python decides what becomes of it.
    """
    word = _word(p, address)
    if word == WFE or (ordered.is_ordered(p, word) and ordered.unaligned(p, word)):
        store64(p + 8 * w.P_AT_SITE, 1 if word == WFE else 2)
        call_address(load64(p + 8 * w.P_UC_EMU_STOP), load64(p + 8 * w.P_UC))
    elif word == SEV:
        send_event(load64(p + 8 * w.P_MACHINE))
    elif word == SEVL or word in ERETS:
        store64(p + 8 * w.P_EVENT, 1)
