"""From the state that a failed run left to its report: cause, remedy, first exception, registers."""

from collections.abc import Iterator, Mapping
from typing import Final

from cca_arch.explain import explain_esr
from cca_arch.sysregs import VECTOR_TABLE
from cca_platform.failure import Failure, FirstException
from cca_platform.isa.names import name as named
from cca_platform.pe.hint import missing

from ..results import Reason
from .instructions import LACKS
from .rule import find
from .rules import EXCEPTIONS, LOOPS, WAITS
from .scene import Scene

__all__ = ["report"]

_OFTEN: Final = 50
_GENERAL: Final = (*(f"x{number}" for number in range(31)), "sp", "pc", "pstate")
_OF_LEVEL: Final = ("esr", "elr", "spsr", "far", "vbar", "sctlr")


def report(scene: Scene, others: Mapping[str, Mapping[str, int]] | None = None) -> Failure:
    """The report of a run; ``scene`` is the vCPU or PE that explains it, ``others`` the registers of all others."""
    found = _cause(scene)
    rule, cause, remedy = found if found is not None else ("", "", "")
    lacks = "" if rule == LACKS else missing(scene.pe.machine.pes)
    return Failure(
        what=scene.what,
        rule=rule,
        cause=cause,
        remedy=remedy,
        note="; ".join(filter(None, (_handler(scene), lacks))),
        place=scene.place(scene.pc),
        first=_first(scene),
        registers={scene.who: registers(scene), **(others or {})},
    )


def _cause(scene: Scene) -> tuple[str, str, str] | None:
    if scene.first is not None:
        return find(EXCEPTIONS, scene)
    if scene.reason is Reason.IDLE:
        return find(WAITS, scene)
    return find(LOOPS, scene) if scene.reason in (Reason.LIMIT, Reason.INTERRUPTED) else None


def _handler(scene: Scene) -> str:
    """Why the exception is not handled, if there was one."""
    first = scene.first
    if first is None or scene.reason is Reason.EXIT:  # which says that it has been seen
        return ""
    vbar, own = first.vbar, f"VBAR_EL{first.target}"
    if vbar % VECTOR_TABLE:
        return f"{own} is {vbar:#x}, but a table of vectors must be aligned to 2 KiB"
    if vbar == 0 and not scene.in_memory(0):
        return f"{own} is 0: there are no vectors"
    if scene.reason is not Reason.STUCK:
        if first.count > _OFTEN:
            return f"its handler returns to it again and again: it came {first.count} times"
        return f"its handler does not come back: it is at {scene.short(scene.pc)}"
    if scene.interrupt_vector(first.pc, vbar) is not None:
        return ""
    vector = scene.vector
    word = scene.instruction(vector)
    if word < 0:
        return f"{own} is {vbar:#x}, where no code can run: there are no vectors"
    if word == 0:
        return f"the vector at {scene.short(vector)} is empty"
    again = next((one for one in scene.row if one != first and one.retired >= first.retired), None)
    if again is None:
        return ""
    return f"its handler fails itself at {scene.short(again.pc)}, {explain_esr(again.esr)}"


def _first(scene: Scene) -> FirstException | None:
    first = scene.first
    if first is None:
        return None
    ipa = scene.ipa
    hipas, ripas = (None, None) if ipa is None or not scene.realm or ipa & scene.shared else scene.entry(ipa)
    return FirstException(
        pc=scene.cause,
        place=scene.place(scene.cause),
        instruction=named(scene.word, scene.cause) if scene.word >= 0 else "",
        esr=first.esr,
        meaning=explain_esr(first.esr),
        far=first.far & (1 << 64) - 1,
        ipa=ipa,
        ripas=ripas,
        hipas=hipas,
        el=first.el,
        target=first.target,
    )


def registers(scene: Scene) -> dict[str, int]:
    """The registers of a vCPU or PE at the end: the general ones, and those of the level that takes its exceptions."""
    return dict(_registers(scene))


def _registers(scene: Scene) -> Iterator[tuple[str, int]]:
    for name in (*_GENERAL, *(f"{stem}_el{scene.own}" for stem in _OF_LEVEL)):
        value = scene.had(name)
        if value is not None:
            yield name, value
